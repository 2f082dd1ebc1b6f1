"""Finished runs and shards to train on -> the task and what it does not train."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import numpy as np

from l2l.models.student import modalities
from l2l.runs.compatibility import check_described, check_labels, check_widths, labels_of
from l2l.runs.run_folder import Run
from l2l.tasks import TASKS, Distill, DistilPreview, Task
from l2l.tasks.from_config import classify_task, clip_task, fusion_of, model_of, preview_of, skim_frozen, skim_task

if TYPE_CHECKING:  # it needs TensorFlow, which a finished run does without
    from l2l.data.dataset import Source


def task_of(config: Mapping[str, Any], source: "Source", runs: Mapping[str, Run]) -> tuple[Task, dict[str, Any]]:
    """The task and its frozen variables.

    Args:
      config: of the run.
      source: the shards it trains on.
      runs: finished runs that it builds on, by input name.

    Raises:
      ValueError: unknown task, missing input, or inputs that do not fit each other.
    """
    labels, name = source.index.labels, config["task"]
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}: choose from {', '.join(TASKS)}")
    if not labels and (name not in ("distill", "preview") or config["best"] not in ("agree", "")):
        raise ValueError(
            f"{source.directory} has no labels: only distillation can use it, with --config.best=agree, and this "
            f"config has task={name}, best={config['best']}"
        )
    if name == "classify":
        if config["model"]["name"] == "fusion":
            check_widths(source, config)
        return classify_task(config, len(labels)), {}
    needed = {"distill": "teacher", "preview": "teacher", "skim": "student"}[name]
    if needed not in runs:
        raise ValueError(f"task {name} needs --config.{needed}=RUN, a finished run")
    other = runs[needed]
    check_labels(other, labels_of(source, runs), source.directory)
    if needed == "teacher" and other.config["model"]["name"] == "fusion":
        raise ValueError(f"config.teacher={other.path} reads features, not clips: name a run that sees clips")
    if name == "distill":
        return distill_task(config, source.clips.side, other), other.variables["model"]
    if name == "preview":
        return preview_task(config, other), other.variables["model"]
    check_described(source, other)
    if "recogniser" not in runs:
        return skim_task(config, len(labels), other.config), skim_frozen(other.variables["model"])
    recogniser = runs["recogniser"]
    check_labels(recogniser, labels, source.directory)
    frozen = skim_frozen(other.variables["model"], recogniser.variables["model"])
    return skim_task(config, len(labels), other.config, recogniser.config), frozen


def distill_task(config: Mapping[str, Any], side: int, teacher: Run) -> Distill:
    """The student of a distill config and its teacher, both of which see the same squares, each at its own size.

    Args:
      config: of the run.
      side: of the squares that the batches carry, pixels.
      teacher: a finished clip model.

    Raises:
      ValueError: the teacher wants more or fewer frames, or larger images.
    """
    classes, data, wanted = len(teacher.labels), config["data"], teacher.config["data"]
    student, teacher_task = clip_task(config, classes), clip_task(teacher.config, classes)
    if data["frames"] != wanted["frames"]:
        frames = wanted["frames"]
        raise ValueError(f"the teacher {teacher.path} looks at {frames} frames: set --config.data.frames={frames}")
    if side < wanted["crop"]:
        enough = -(-wanted["crop"] * data["resize"] // data["crop"])
        raise ValueError(
            f"the teacher {teacher.path} looks at {wanted['crop']} pixels, but data.crop={data['crop']} of "
            f"data.resize={data['resize']} takes {side} pixels of the stored images: prepare them with "
            f"--short_side={enough} or, to take them whole, set --config.data.resize={data['crop']}"
        )
    width = teacher_task.model.feature
    bridge = nn.Dense(width) if student.model.feature != width else None
    return Distill(student, teacher_task, config["distill_weight"], config["distill_feature"], bridge)


def preview_task(config: Mapping[str, Any], student: Run) -> DistilPreview:
    """A finished student, and the same with a preview of its sound.

    Raises:
      ValueError: the config's model or pixels are not the student's, or that hears nothing.
    """
    classes = len(student.labels)
    model, whole = model_of(config, classes), model_of(student.config, classes)
    if model.clone(preview=0) != whole or "audio" not in modalities(whole.modality) or not model.preview:
        raise ValueError(
            f"config.model must be the student of {student.path}, with a width in preview; it must hear, and is {whole}"
        )
    for key in ("crop", "resize", "mean", "std"):
        if np.any(np.not_equal(config["data"][key], student.config["data"][key])):
            raise ValueError(f"{student.path} sees with data.{key}={student.config['data'][key]}: set the same")
    parts = clip_task(config, classes), clip_task(student.config, classes)
    return DistilPreview(*parts, preview_of(config), fusion_of(student.config), config["distill_weight"])
