"""Finished runs of small models with made-up weights, without data and without training."""

import dataclasses
from pathlib import Path

import jax

from l2l.media.policy import ClipPolicy
from l2l.runs import fits, run_folder
from l2l.runs.config import plain
from tests.helpers import quick, small

LABELS = ("clapping", "tuning a guitar", "<b>naïve</b>")
POLICY = ClipPolicy(frames=2, hop=0.5, short_side=16)


def clip_run(folder: Path, stage: str = "finetune") -> Path:
    """A run of a clip model; `stage` is teacher or finetune."""
    config = plain(small.config(stage, folder, Path("data")))
    model = quick.values(fits.clip_shapes(config, len(LABELS)))
    return finished(folder, config, {"model": model}, None)


def skim_run(folder: Path) -> Path:
    """A run of a skimmer and its student."""
    student = plain(small.config("finetune", folder, Path("data")))
    config = plain(small.config("skim", folder, Path("data"), data__lengths=(4, 8, 24)))
    variables = {"student": quick.values(fits.clip_shapes(student, len(LABELS)))}
    shapes = fits.skim_shapes(config, len(LABELS), student, variables["student"]["params"])
    return finished(folder, config, variables | {"model": quick.values(shapes)}, student)


def finished(folder: Path, config: dict, variables: dict, student: dict | None) -> Path:
    policy = dataclasses.asdict(POLICY)
    run_folder.start(folder, {"config": config, "inputs": {}, "labels": LABELS, "policy": policy, "student": student})
    run_folder.finish(folder, jax.device_get(variables), {}, 0)
    return folder
