"""A run that is killed at random moments and continued ends as one that was never disturbed."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from l2l import runs
from tests import shards, small

KILLS = 20 if os.environ.get("L2L_SOAK") else 2
ROOT = Path(__file__).parent.parent


def command(run: Path, data: Path) -> list[str]:
    """A small clip model, trained by the real command."""
    numbers = {
        "run": run,
        "data.dir": data,
        "makers": "()",
        "log_every": 1,
        "epochs": 5 + 2 * KILLS,
        "save_epochs": 0.3,
        "data.batch": 8,
        "data.eval_batch": 8,
        "data.frames": 1,
        "data.crop": 14,
        "data.resize": 16,
        "init": "",
        "model.width": 2,
        "model.feature": 16,
    }
    stage = "--config=configs/finetune.py"
    return [sys.executable, "-m", "l2l.main", stage, *(f"--config.{key}={value}" for key, value in numbers.items())]


def lines(run: Path) -> list[dict]:
    text = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if not k.startswith("time/")} for x in text]


def wait_until_written(run: Path, process: subprocess.Popen, count: int) -> None:
    """Returns once the run has written `count` more lines than it has now, or has ended."""
    path = run / "metrics.jsonl"
    written = lambda: path.read_bytes().count(b"\n") if path.exists() else 0
    before = written()
    while process.poll() is None and written() < before + count:
        time.sleep(0.005)


@pytest.mark.soak
def test_killed_and_continued_equals_undisturbed(tmp_path):
    data = shards.clip_directory(tmp_path / "clips", videos={"train": 24, "val": 5})
    environment = os.environ | {"XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    start = lambda run: subprocess.Popen(command(run, data), cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    straight, disturbed = tmp_path / "straight", tmp_path / "disturbed"
    assert start(straight).wait(timeout=300) == 0
    dice, killed = random.Random(0), 0
    while killed < KILLS:
        process = start(disturbed)
        # Moments are counted in steps: how fast the machine is, and what it has compiled before, must not decide
        # whether there is anything left to kill. Every fourth kill falls somewhere in the start.
        if killed % 4 == 3:
            time.sleep(dice.uniform(0, 3))
        else:
            wait_until_written(disturbed, process, dice.randint(1, 5))
            time.sleep(dice.uniform(0, 0.05))
        assert process.poll() is None, "the run ended before it could be killed: give it more epochs"
        process.kill()
        process.wait()
        killed += 1
    assert not runs.is_finished(disturbed)
    assert start(disturbed).wait(timeout=300) == 0
    assert lines(disturbed) == lines(straight)
    assert small.same_arrays(disturbed / "variables.npz", straight / "variables.npz")
