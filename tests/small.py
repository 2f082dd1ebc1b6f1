"""The real configs, shrunk until a run takes seconds."""

from pathlib import Path

import jax
import numpy as np

from l2l import build, inputs, runs
from l2l.data.source import source_of
from l2l.train import train
from tests import quick


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


def untrained(c, scale: float = 1.0) -> Path:
    """A finished teacher with the weights of `quick.fill`, scaled, and its run folder."""
    index = source_of(c, c.data.dir).index
    frames = np.zeros((1, c.data.frames, c.data.crop, c.data.crop, 3), np.float32)
    fresh = quick.fill(build.clip_task(c, len(index.labels)).model.init, frames, None, train=False)
    record = {"config": inputs.plain(c), "inputs": {}, "labels": index.labels, "policy": index.policy, "student": None}
    runs.start(Path(c.run), record)
    runs.finish(Path(c.run), {"model": jax.tree.map(lambda x: x * np.float32(scale), fresh)}, {}, 0)
    return Path(c.run)


def same_arrays(a: Path, b: Path) -> bool:
    """Whether two .npz files hold the same names and bits."""
    with np.load(a) as x, np.load(b) as y:
        return set(x.files) == set(y.files) and all(np.array_equal(x[name], y[name]) for name in x.files)
