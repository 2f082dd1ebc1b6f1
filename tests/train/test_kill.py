"""A run that is killed at random moments and continued ends as one that was never disturbed."""

import os
import random
import time

import pytest

from l2l.runs import run_folder
from tests.helpers import shards, small

KILLS = 20 if os.environ.get("L2L_SOAK") else 1


@pytest.mark.soak
def test_killed_and_continued_equals_undisturbed(tmp_path):
    data = shards.clip_directory(tmp_path / "clips", videos={"train": 24, "val": 5})
    start = lambda run: small.start(small.command(run, data, epochs=5 + 2 * KILLS, model__modality="image"))
    straight, disturbed = tmp_path / "straight", tmp_path / "disturbed"
    assert start(straight).wait(timeout=900) == 0
    dice, killed = random.Random(0), 0
    while killed < KILLS:
        process = start(disturbed)
        # Moments are counted in steps: how fast the machine is, and what it has compiled before, must not decide
        # whether there is anything left to kill. Every fourth kill falls somewhere in the start.
        if killed % 4 == 3:
            time.sleep(dice.uniform(0, 3))
        else:
            small.wait_until_written(disturbed, process, dice.randint(1, 5))
            time.sleep(dice.uniform(0, 0.05))
        assert process.poll() is None, "the run ended before it could be killed: give it more epochs"
        process.kill()
        process.wait()
        killed += 1
    assert not run_folder.is_finished(disturbed)
    assert start(disturbed).wait(timeout=900) == 0
    assert small.lines(disturbed) == small.lines(straight)
    assert small.same_arrays(disturbed / "variables.npz", straight / "variables.npz")
