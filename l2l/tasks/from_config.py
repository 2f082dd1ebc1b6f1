"""Configs -> models and tasks. The one place that knows both the config's keys and the models' arguments."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from l2l import models
from l2l.models.backbones.audio_preview import Preview
from l2l.models.baselines import NonRecurrent
from l2l.models.fusion_only import FusionOnly
from l2l.models.glance import Glance
from l2l.models.skimmer import Skimmer
from l2l.models.student import Fusion, Student, Unfused, modalities
from l2l.tasks import Classify, Skim
from l2l.tasks.classify_positions import ClassifyPositions
from l2l.tasks.glances import Glances
from l2l.tasks.skim_at_once import SkimAtOnce

# What a model that reads features says where it is asked about a video.
BLIND = (
    "a fusion reads features that somebody else made and has no network for pictures and sounds: ask it about features "
    "(python -m l2l.evaluate RUN --data=DIR), or about videos a run with such a network"
)
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def model_of(config: Mapping[str, Any], classes: int, **more: Any) -> Any:
    """The model that a config names, for this many classes.

    Raises:
      ValueError: unknown model, dtype, or model argument.
    """
    if config["dtype"] not in DTYPES:
        raise ValueError(f"unknown dtype {config['dtype']!r}: choose {' or '.join(DTYPES)}")
    kwargs: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in config["model"].items()}
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


def classify_task(config: Mapping[str, Any], classes: int) -> Classify | ClassifyPositions:
    """As `clip_task`, also of a model that reads features."""
    if config["model"]["name"] == "fusion":
        return ClassifyPositions(model_of(config, classes), config["multi_label"])
    return clip_task(config, classes)


def glances_of(config: Mapping[str, Any]) -> Glances | None:
    """The second glances of the pictures' regions that a clip model describes, if it does."""
    model, data = model_of(config, 1), config["data"]
    if not (isinstance(model, Student) and model.regions):
        return None
    return Glances.of(model, data["crop"], tuple(data["mean"]), tuple(data["std"]))


def regions_of(config: Mapping[str, Any], closer: str) -> Glances:
    """As `glances_of`, of the clip model whose regions a video model with this `closer` looks at.

    Raises:
      ValueError: it describes none.
    """
    found = glances_of(config)
    if found is None:
        raise ValueError(
            f"closer={closer!r} looks at regions, which these features do not have: fine-tune a student with "
            "regions (configs/finetune.py:closer) and extract with it"
        )
    return found


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
    heard = isinstance(model, Glance) and model.listens
    if heard and (lacking := [m for m in modalities(heard) if not widths[m]]):
        only = next(m for m, width in widths.items() if width)
        raise ValueError(f"the features have no {lacking[0]} to choose by: set --config.model.listens={only}")
    if isinstance(model, Skimmer | Glance) and model.closer:
        regions_of(student, model.closer)
    if isinstance(model, NonRecurrent):  # the one that averages scores
        model = model.clone(multi_label=config["multi_label"])
    kind: type[Skim] = SkimAtOnce if isinstance(model, Glance) else Skim
    return kind(
        model,
        config["head"],
        None if recogniser is None else fusion_of(recogniser),
        multi_label=config["multi_label"],
        index_multi_label=student["multi_label"],
        recogniser_multi_label=(recogniser or student)["multi_label"],
        mute=config["mute"],
    )


def fusion_of(config: Mapping[str, Any]) -> nn.Module:
    """The module between a clip model's descriptors and its feature."""
    if config["model"]["name"] not in ("student", "fusion"):
        return Unfused()
    model = model_of(config, 1)
    return Fusion(model.feature, dtype=model.dtype)


def widths_of(config: Mapping[str, Any]) -> dict[str, int]:
    """Widths of a clip model's descriptors; one that sees whole clips has its feature in the place of the image's."""
    model = model_of(config, 1)
    if isinstance(model, FusionOnly):
        return {"image": model.image, "audio": model.audio}
    if config["model"]["name"] != "student":
        return {"image": model.feature, "audio": 0}
    chosen = modalities(model.modality)
    return {m: model.descriptor if m in chosen else 0 for m in ("image", "audio")}


def skim_frozen(student: Mapping[str, Any], recogniser: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a video model takes of the variables of the clip models whose features it reads."""

    def own(clip_model: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: clip_model["params"].get(name, {}) for name in ("fusion", "classifier")}
        statistics = clip_model.get("batch_stats", {})
        norm = {m: statistics[f"norm_{m}"] for m in ("image", "audio") if f"norm_{m}" in statistics}
        return found | ({"norm": norm} if norm else {})

    return own(student) | ({} if recogniser is None else {"recogniser": own(recogniser)})


def preview_of(config: Mapping[str, Any]) -> Preview:
    """The audio trunk of a student that hears through a preview."""
    model = model_of(config, 1)
    return Preview(model.descriptor, model.preview, model.dtype)


def frames_of(config: Mapping[str, Any]) -> int:
    """How many images of a clip its model looks at: a student reads the first one, whatever its shards hold.

    Raises:
      ValueError: the model sees no images.
    """
    if config["model"]["name"] == "fusion":
        raise ValueError(BLIND)
    return 1 if config["model"]["name"] == "student" else config["data"]["frames"]
