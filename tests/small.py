"""The real configs, shrunk until a run takes seconds."""

from pathlib import Path

import numpy as np

from l2l import inputs
from l2l.train import train


def config(stage: str, run: Path, data: Path, **changes):
    """configs/<stage>.py:sample on shards of tests/shards.py; keys with dots are written with two underscores."""
    c = inputs.load_config(f"configs/{stage}.py:sample")
    c.makers, c.run, c.data.dir = (), str(run), str(data)
    c.teacher = c.init = c.student = ""
    c.mesh, c.log_every, c.eval_epochs, c.save_epochs = (-1, 1), 1, 1.0, 1.0
    c.data.batch, c.data.eval_batch, c.data.shuffle = 8, 8, 8
    if stage in ("teacher", "distill", "finetune"):
        c.data.crop, c.data.resize = 14, 16
        c.data.frames = 1 if stage == "finetune" else 2
        c.model.width = 2
    if stage in ("distill", "finetune"):
        c.model.feature = 16
    if stage == "skim":
        c.data.lengths = (24,)
        c.model.update({"steps": 3, "hidden": 16, "key": 8, "query": 16})
    for key, value in changes.items():
        *path, last = key.split("__")
        place = c
        for name in path:
            place = place[name]
        place[last] = value
    return c


def run(c) -> Path:
    """Trains a config in this process and returns its run folder."""
    train(c, inputs.ensure(c))
    return Path(c.run)


def same_arrays(a: Path, b: Path) -> bool:
    """Whether two .npz files hold the same names and bits."""
    with np.load(a) as x, np.load(b) as y:
        return set(x.files) == set(y.files) and all(np.array_equal(x[name], y[name]) for name in x.files)
