"""Configs -> models and tasks. The one place that knows both the config's keys and the models' arguments."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from l2l import models
from l2l.core.atomic import hash_of
from l2l.data.schema import load_index
from l2l.models.backbones.audio_preview import Preview
from l2l.models.baselines import NonRecurrent
from l2l.models.skimmer import Skimmer
from l2l.models.student import Fusion, Student, Unfused, modalities
from l2l.runs import Run, RunError, load_run
from l2l.tasks import TASKS, Classify, Distill, DistilPreview, Skim
from l2l.tasks.glances import Glances

if TYPE_CHECKING:  # it needs TensorFlow, which a finished run does without
    from l2l.data.dataset import Source

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


def numbers_of(config: Mapping[str, Any]) -> Any:
    """The video model of a skim config without its fusion, which cannot be called: its numbers, defaults included."""
    return model_of(config, 1, fusion=None)


def clip_task(config: Mapping[str, Any], classes: int) -> Classify:
    """The clip model of a teacher, distill or finetune config, ready to predict."""
    data = config["data"]
    colours = tuple(data["mean"]), tuple(data["std"])
    return Classify(model_of(config, classes), data["crop"], *colours, config["multi_label"])


def glances_of(config: Mapping[str, Any]) -> Glances | None:
    """The second glances of the pictures' regions that a clip model describes, if it does."""
    model, data = model_of(config, 1), config["data"]
    if not (isinstance(model, Student) and model.regions):
        return None
    return Glances.of(model, data["crop"], tuple(data["mean"]), tuple(data["std"]))


def skim_task(
    config: Mapping[str, Any], classes: int, student: Mapping[str, Any], recogniser: Mapping[str, Any] | None = None
) -> Skim:
    """The video model of a skim config.

    Args:
      config: of the run.
      classes: number of labels.
      student: config of the clip model that made the features.
      recogniser: config of the clip model that made those that recognise, if others do.

    Raises:
      ValueError: it is to index by a modality, or to look closer at regions, that the student does not have.
    """
    model, widths = model_of(config, classes, fusion=fusion_of(student)), widths_of(student)
    if isinstance(model, Skimmer) and (lacking := [m for m in modalities(model.index_by) if not widths[m]]):
        only = next(m for m, width in widths.items() if width)
        raise ValueError(f"the features have no {lacking[0]} to index by: set --config.model.index_by={only}")
    if isinstance(model, Skimmer) and model.closer and not glances_of(student):
        raise ValueError(
            f"closer={model.closer!r} looks at regions, which these features do not have: fine-tune a student with "
            "regions (configs/finetune.py:closer) and extract with it"
        )
    if isinstance(model, NonRecurrent):  # the one that averages scores
        model = model.clone(multi_label=config["multi_label"])
    several = [c["multi_label"] for c in (config, student, recogniser or student)]
    return Skim(
        model, config["head"], None if recogniser is None else fusion_of(recogniser), *several, mute=config["mute"]
    )


def fusion_of(config: Mapping[str, Any]) -> nn.Module:
    """The module between a clip model's descriptors and its feature."""
    if config["model"]["name"] != "student":
        return Unfused()
    model = model_of(config, 1)
    return Fusion(model.feature, dtype=model.dtype)


def widths_of(config: Mapping[str, Any]) -> dict[str, int]:
    """Widths of a clip model's descriptors; one that sees whole clips has its feature in the place of the image's."""
    model = model_of(config, 1)
    if config["model"]["name"] != "student":
        return {"image": model.feature, "audio": 0}
    chosen = modalities(model.modality)
    return {m: model.descriptor if m in chosen else 0 for m in ("image", "audio")}


def skim_frozen(student: Mapping[str, Any], recogniser: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a video model takes of the variables of the clip models whose features it reads."""
    own = lambda clip_model: {name: clip_model["params"].get(name, {}) for name in ("fusion", "classifier")}
    return own(student) | ({} if recogniser is None else {"recogniser": own(recogniser)})


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
    if not labels and (name not in ("distill", "preview") or config["best"] not in ("agree", "")):
        raise ValueError(
            f"{source.directory} has no labels: only distillation can use it, with --config.best=agree, and this "
            f"config has task={name}, best={config['best']}"
        )
    if name == "classify":
        return clip_task(config, len(labels)), {}
    needed = {"distill": "teacher", "preview": "teacher", "skim": "student"}[name]
    if needed not in runs:
        raise ValueError(f"task {name} needs --config.{needed}=RUN, a finished run")
    other = runs[needed]
    check_labels(other, labels_of(source, runs), source.directory)
    if name == "distill":
        return distill_task(config, source.reader.side, other), other.variables["model"]
    if name == "preview":
        return preview_task(config, other), other.variables["model"]
    check_described(source, other)
    if "recogniser" not in runs:
        return skim_task(config, len(labels), other.config), skim_frozen(other.variables["model"])
    recogniser = runs["recogniser"]
    check_labels(recogniser, labels, source.directory)
    frozen = skim_frozen(other.variables["model"], recogniser.variables["model"])
    return skim_task(config, len(labels), other.config, recogniser.config), frozen


def recogniser_at(directory: str) -> Run:
    """The finished clip model that a directory of features was extracted with.

    Raises:
      ShardError, RunError: no such directory, or the run is not where it was.
    """
    made_with = load_index(directory, kind="features").policy["student"]
    if not made_with:
        raise RunError(
            f"{directory} does not say which run made its features, so nothing can recognise with them; released ones "
            f"get a classifier by `python -m l2l.feature_classifier {directory} --out=RUN`"
        )
    run = load_run(made_with["path"], part=True)
    if run.hash != made_with["hash"]:
        raise RunError(
            f"{directory} was extracted with a run of hash {made_with['hash']}, {run.path} has {run.hash}: "
            "extract again"
        )
    return run


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


def preview_of(config: Mapping[str, Any]) -> Preview:
    """The audio trunk of a student that hears through a preview."""
    model = model_of(config, 1)
    return Preview(model.descriptor, model.preview, model.dtype)


def check_described(source: "Source", student: Run) -> None:
    """Raises RunError if a directory of features was not made by this clip model, as far as that can be told."""
    policy = source.index.policy
    if policy["student"] and policy["student"]["hash"] != student.hash:
        raise RunError(
            f"{source.directory} was extracted with a run of hash {policy['student']['hash']}, {student.path} has "
            f"{student.hash}: extract again"
        )
    head = student.variables["model"]["params"]
    reads = (head["fusion"]["hidden"] if "fusion" in head else head["classifier"])["kernel"].shape[0]
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
