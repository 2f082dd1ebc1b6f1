"""Finished runs of small models with made-up weights, without data and without training."""

import dataclasses
from pathlib import Path

import jax

from l2l.media.policy import ClipPolicy
from l2l.runs import fits, run_folder
from l2l.runs.config import load_config, plain
from l2l.tasks import from_config
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


def glance_run(folder: Path, student: Path, data: Path, recognised: tuple[Path, Path] | None = None, **changes) -> Path:
    """A run that chooses all its looks at once, over the features of a student's run.

    Args:
      recognised: a run, and its features, which then recognise the looks.
      changes: of its config; keys with dots are written with two underscores.
    """
    config = small.config("skim", folder, data, student=str(student))
    config.model = load_config("configs/skim.py:glance").model
    config.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
    run, other = run_folder.load_run(student), recognised and run_folder.load_run(recognised[0])
    config.recognition = str(recognised[1]) if recognised else ""
    variables = {"student": run.variables["model"]} | ({"recogniser": other.variables["model"]} if other else {})
    frozen = from_config.skim_frozen(variables["student"], variables.get("recogniser"))
    shapes = fits.skim_shapes(plain(config), len(run.labels), run.config, frozen, other and other.config)
    record = {"config": plain(config), "inputs": {}, "labels": run.labels, "policy": run.policy, "student": run.config}
    record |= {"recogniser": other and {"config": other.config, "policy": other.policy}}
    run_folder.start(folder, record)
    run_folder.finish(folder, jax.device_get(variables | {"model": quick.values(shapes)}), {}, 0)
    return folder


def finished(folder: Path, config: dict, variables: dict, student: dict | None) -> Path:
    policy = dataclasses.asdict(POLICY)
    run_folder.start(folder, {"config": config, "inputs": {}, "labels": LABELS, "policy": policy, "student": student})
    run_folder.finish(folder, jax.device_get(variables), {}, 0)
    return folder
