"""Configs -> models and tasks. The one place that knows both the config's keys and the models' arguments."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax.numpy as jnp

from l2l import costs, models
from l2l.data.schema import hash_of
from l2l.models.student import Fusion, modalities
from l2l.runs import Run, RunError
from l2l.tasks import TASKS, Classify, Distill, Skim

if TYPE_CHECKING:  # it needs TensorFlow, which a finished run does without
    from l2l.data.source import Source

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def model_of(config: Mapping[str, Any], classes: int, **more: Any) -> Any:
    """The model that a config names, for this many classes.

    Raises:
      ValueError: unknown model, dtype, or model argument.
    """
    if config["dtype"] not in DTYPES:
        raise ValueError(f"unknown dtype {config['dtype']!r}: choose {' or '.join(DTYPES)}")
    kwargs = {key: tuple(v) if isinstance(v, list) else v for key, v in config["model"].items()}
    name = kwargs.pop("name")
    try:
        return models.get(name, num_classes=classes, dtype=DTYPES[config["dtype"]], **kwargs, **more)
    except TypeError as error:
        raise ValueError(f"config.model of {name}: {error}") from error


def clip_task(config: Mapping[str, Any], classes: int) -> Classify:
    """The clip model of a teacher, distill or finetune config, ready to predict."""
    data = config["data"]
    colours = tuple(data["mean"]), tuple(data["std"])
    return Classify(model_of(config, classes), data["crop"], *colours, config["multi_label"])


def skim_task(config: Mapping[str, Any], classes: int, student: Mapping[str, Any]) -> Skim:
    """The skimmer of a skim config over the features of a student, whose own config is `student`."""
    student_model = model_of(student, classes)
    fusion = Fusion(student_model.feature, dtype=student_model.dtype)
    several = config["multi_label"], student["multi_label"]
    return Skim(model_of(config, classes, fusion=fusion), config["head"], *several)


def skim_frozen(student: Mapping[str, Any]) -> dict[str, Any]:
    """What a skimmer takes of a student's variables."""
    return {name: student["params"][name] for name in ("fusion", "classifier")}


def task_of(config: Mapping[str, Any], source: "Source", runs: Mapping[str, Run]) -> tuple[Any, dict[str, Any]]:
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
    if not labels and (name != "distill" or config["best"] not in ("agree", "")):
        raise ValueError(
            f"{source.directory} has no labels: only distillation can use it, with --config.best=agree, and this "
            f"config has task={name}, best={config['best']}"
        )
    if name == "classify":
        return clip_task(config, len(labels)), {}
    needed = {"distill": "teacher", "skim": "student"}[name]
    if needed not in runs:
        raise ValueError(f"task {name} needs --config.{needed}=RUN, a finished run")
    other = runs[needed]
    check_labels(other, labels_of(source, runs), source.directory)
    if name == "distill":
        return distill_task(config, source.reader.side, other), other.variables["model"]
    check_described(source, other)
    return skim_task(config, len(labels), other.config), skim_frozen(other.variables["model"])


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
    return Distill(student, teacher_task, config["distill_weight"], bridge)


def check_described(source: "Source", student: Run) -> None:
    """Raises RunError if a directory of features was not made by this student, as far as that can be told."""
    policy = source.index.policy
    if policy["student"] and policy["student"]["hash"] != student.hash:
        raise RunError(
            f"{source.directory} was extracted with a run of hash {policy['student']['hash']}, {student.path} has "
            f"{student.hash}: extract again"
        )
    reads = student.variables["model"]["params"]["fusion"]["hidden"]["kernel"].shape[0]
    width = sum(policy["widths"].values())
    if reads != width:
        raise RunError(f"{source.directory} has descriptors of {width} values a position, {student.path} reads {reads}")


def labels_of(source: "Source", runs: Mapping[str, Run]) -> tuple[str, ...]:
    """What a model trained on these shards tells apart: their labels, or its teacher's where they have none."""
    return source.index.labels or runs["teacher"].labels


def check_labels(run: Run, labels: Sequence[str], where: Any) -> None:
    """Raises RunError if a run has another label list than what is to be done `where`."""
    if run.labels == tuple(labels):
        return
    theirs, ours = set(run.labels), set(labels)
    only = [f"only in the run: {', '.join(sorted(theirs - ours)[:3])}"] if theirs - ours else []
    only += [f"only in the data: {', '.join(sorted(ours - theirs)[:3])}"] if ours - theirs else []
    raise RunError(
        f"{run.path} knows {len(run.labels)} labels (hash {run.label_hash}), {where} has {len(ours)} "
        f"(hash {hash_of(list(labels))}); {'; '.join(only) or 'the same names in another order'}. Use shards with "
        "the run's label list (or, to distil, unlabelled ones), or start a new head with "
        "--config.init_skip=\"('.*classifier/.*',)\" when fine-tuning"
    )


def frames_of(config: Mapping[str, Any]) -> int:
    """How many images of a clip its model looks at: a student reads the first one, whatever its shards hold."""
    return 1 if config["model"]["name"] == "student" else config["data"]["frames"]


def clip_macs(config: Mapping[str, Any], classes: int) -> int:
    """Multiply-adds of a clip model on one clip."""
    name, model, size = config["model"]["name"], model_of(config, classes), config["data"]["crop"]
    if name == "i3d":
        return costs.i3d_macs(config["data"]["frames"], size, classes)
    numbers = {"width": model.width, "stages": model.stages, "num_classes": classes}
    if name == "student":
        return costs.student_macs(size, modality=model.modality, feature=model.feature, **numbers)
    return costs.r2plus1d_macs(config["data"]["frames"], size, **numbers)


def video_macs(
    config: Mapping[str, Any], student: Mapping[str, Any], classes: int, *, positions: int, steps: int, looks: int
) -> dict[str, int]:
    """Multiply-adds of a skimmer and its student on one video, see `costs.video_cost`.

    Args:
      config, student: of the skim run and of its student.
      classes: number of labels.
      positions: clips of the video.
      steps: how often the skimmer looks.
      looks: at how many different positions.
    """
    student_model, model = model_of(student, classes), model_of(config, classes, fusion=None)
    chosen = modalities(student_model.modality)
    trunk = (student_model.width, student_model.stages)
    names = ("hidden", "key", "query", "index_by", "num_classes")
    skim = costs.skimmer_macs(
        positions,
        steps,
        descriptor=8 * student_model.width,
        feature=student_model.feature,
        **{name: getattr(model, name) for name in names},
    )
    return costs.video_cost(
        positions,
        looks,
        image=costs.image_macs(student["data"]["crop"], *trunk) if "image" in chosen else 0,
        audio=costs.audio_macs(width=trunk[0], stages=trunk[1]) if "audio" in chosen else 0,
        skim=skim,
        index_by=model.index_by,
    )
