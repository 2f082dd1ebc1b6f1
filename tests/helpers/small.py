"""The real configs, shrunk until a run takes seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np

from l2l import main
from l2l.data.dataset import source_of
from l2l.runs import dependencies, run_folder
from l2l.runs.config import load_config, plain
from l2l.tasks import from_config
from l2l.train.loop import Trainer, train
from l2l.train.preemption import Stop
from l2l.train.setup import prepare
from tests.helpers import quick, xla

ROOT = Path(__file__).parents[2]


def config(stage: str, run: Path, data: Path, **changes):
    """configs/<stage>.py:sample on shards of helpers/shards.py; keys with dots are written with two underscores."""
    c = load_config(f"configs/{stage}.py:sample")
    c.makers, c.run, c.data.dir = (), str(run), str(data)
    c.teacher = c.init = c.student = ""
    c.mesh, c.log_every, c.eval_epochs, c.save_epochs = (-1, 1), 1, 1.0, 1.0
    c.data.batch, c.data.eval_batch, c.data.shuffle = 8, 8, 8
    if stage in ("teacher", "distill", "finetune"):
        c.data.crop, c.data.resize = 14, 16
        c.data.frames = 1 if stage == "finetune" else 2
        c.model.width, c.model.stages = 8, (1, 1)
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
    """Trains a config in this process and returns its run folder; with 0 epochs it keeps what it starts from."""
    if c.epochs:
        train(c, dependencies.ensure(c))
    else:
        with Stop() as stop:
            Trainer(prepare(c, dependencies.ensure(c)), stop).finish()
    return Path(c.run)


def stop_at(monkeypatch, step: int) -> None:
    """Has a training in this process asked to stop, as by its machine, before it makes the update after a step."""
    due = Stop.due

    def asked(self, now: int) -> bool:
        if now == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return due(self, now)

    monkeypatch.setattr(Stop, "due", asked)


def stage(c, folder: Path, **changes) -> None:
    """One stage of the real path, as its command runs it; with 0 epochs as `run` does."""
    c.run, c.makers, c.log_every = str(folder), (), 1
    with c.unlocked():
        c.update_from_flattened_dict(changes)
    main.run(c) if c.epochs else run(c)


def untrained(c, scale: float = 1.0) -> Path:
    """A finished clip model with the weights of `quick.fill`, scaled, and its run folder."""
    index = source_of(c, c.data.dir).index
    frames = np.zeros((1, c.data.frames, c.data.crop, c.data.crop, 3), np.float32)
    log_mel = np.zeros((1, 101, 40), np.float32)
    fresh = quick.fill(from_config.clip_task(c, len(index.labels)).model.init, frames, log_mel, train=False)
    record = {"config": plain(c), "inputs": {}, "labels": index.labels, "policy": index.policy, "student": None}
    run_folder.start(Path(c.run), record)
    run_folder.finish(Path(c.run), {"model": jax.tree.map(lambda x: x * np.float32(scale), fresh)}, {}, 0)
    return Path(c.run)


def same_arrays(a: Path, b: Path) -> bool:
    """Whether two .npz files hold the same names and bits."""
    with np.load(a) as x, np.load(b) as y:
        return set(x.files) == set(y.files) and all(np.array_equal(x[name], y[name]) for name in x.files)


def command(run: Path, data: Path, **changes) -> list[str]:
    """The real command that trains a small clip model; keys with dots are written with two underscores."""
    numbers = {
        "run": run,
        "data.dir": data,
        "makers": "()",
        "log_every": 1,
        "save_epochs": 0.3,
        "data.batch": 8,
        "data.eval_batch": 8,
        "data.frames": 1,
        "data.crop": 14,
        "data.resize": 16,
        "init": "",
        "model.width": 8,
        "model.stages": "(1, 1)",
        "model.feature": 16,
    }
    numbers |= {key.replace("__", "."): value for key, value in changes.items()}
    words = [f"--config.{key}={value}" for key, value in numbers.items()]
    return [sys.executable, "-m", "l2l.main", "--config=configs/finetune.py", *words]


def start(words: list[str], *, devices: int = 1, **more) -> subprocess.Popen:
    """Starts a command on so many simulated devices; its standard error is read as text."""
    environment = os.environ | {"XLA_FLAGS": xla.flags(devices)}
    return subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, **more)


def lines(run: Path) -> list[dict]:
    """metrics.jsonl without what differs from run to run: timings and memory."""
    text = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if not k.startswith("time/")} for x in text]


def wait_until_written(run: Path, process: subprocess.Popen, count: int) -> None:
    """Returns once the run has written `count` more lines than it has now, or has ended."""
    path = run / "metrics.jsonl"
    written = lambda: path.read_bytes().count(b"\n") if path.exists() else 0
    before = written()
    while process.poll() is None and written() < before + count:
        time.sleep(0.005)
