"""Multiply-adds of the models that configs name, on a clip and on a video."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.evaluate import skim_macs
from l2l.models.backbones.frontend import BANDS, HOP, RATE
from l2l.models.fusion_only import FusionOnly
from l2l.models.glance import Glance
from l2l.models.macs import random_key, shape, traced
from l2l.models.skimmer import Skimmer
from l2l.models.student import Student
from l2l.tasks.from_config import frames_of, fusion_of, model_of, regions_of, widths_of

LOG_MEL = 1 + RATE // HOP, BANDS  # of a clip's second of sound


def clip_macs(config: Mapping[str, Any], classes: int) -> int:
    """Multiply-adds of a clip model on one clip; of no classes, of its feature."""
    model = model_of(config, max(classes, 1))
    if isinstance(model, FusionOnly):
        counts = fusion_counts(model)
    else:
        counts = clip_counts(model, frames_of(config), config["data"]["crop"])
    return counts["logits" if classes else "feature"]


@functools.lru_cache(maxsize=128)
def clip_counts(model: nn.Module, frames: int, size: int) -> Mapping[str, int]:
    """Multiply-adds of a clip model's "logits", of its "feature", and of the descriptors "image" and "audio" it names.

    Args:
      model: any that is called with images, log-mel and `train`, and returns logits and named intermediates.
      frames: of a clip.
      size: side of its images, pixels.
    """

    def call(key: jax.Array, frames: jax.Array, log_mel: jax.Array) -> dict[str, Any]:
        (logits, named), _ = model.init_with_output(key, frames, log_mel, train=False)
        return {"logits": logits} | {name: named[name] for name in ("feature", "image", "audio") if name in named}

    program = traced(call, random_key(), shape(1, frames, size, size, 3), shape(1, *LOG_MEL))
    return MappingProxyType({name: program.macs(name) for name in program.outputs})


@functools.lru_cache(maxsize=128)
def fusion_counts(model: FusionOnly) -> Mapping[str, int]:
    """The same of a model of features that are given, for one position."""

    def call(key: jax.Array, image: jax.Array, audio: jax.Array, valid: jax.Array) -> dict[str, Any]:
        there = {"image": valid, "audio": valid}
        (logits, named), _ = model.init_with_output(key, image, audio, there, train=False)
        return {"logits": logits, "feature": named["feature"]}

    widths = [shape(1, 1, width) for width in (model.image, model.audio)]
    program = traced(call, random_key(), *widths, shape(1, 1, dtype=jnp.bool_))
    return MappingProxyType({name: program.macs(name) for name in program.outputs})


def trunk_macs(config: Mapping[str, Any]) -> dict[str, int]:
    """Multiply-adds of making the image and the audio descriptor of one position, see `widths_of`.

    Of features that are given, none: what made them is not known.
    """
    model = model_of(config, 1)
    if isinstance(model, FusionOnly):
        return {"image": 0, "audio": 0}
    counts = clip_counts(model, frames_of(config), config["data"]["crop"])
    if isinstance(model, Student):
        return {modality: counts.get(modality, 0) for modality in ("image", "audio")}
    return {"image": counts["feature"], "audio": 0}


def video_macs(
    config: Mapping[str, Any],
    student: Mapping[str, Any],
    classes: int,
    *,
    positions: int,
    steps: int,
    looks: int,
    recogniser: Mapping[str, Any] | None = None,
    soft: bool = False,
    has_audio: bool = True,
) -> dict[str, int]:
    """Multiply-adds of a video model and its clip models on one video, see `video_cost`.

    Args:
      config, student: of the skim run and of the clip model that made the features.
      classes: number of labels.
      positions: clips of the video.
      steps: how often a skimmer looks.
      looks: at how many different positions.
      recogniser: config of the clip model whose features recognise the looks, if others do.
      soft: for soft selection, which reads all positions, those not taken from between the others.
      has_audio: whether it has sound, for a skimmer with a fallback.
    """
    model, trunks = model_of(config, classes, fusion=None), trunk_macs(student)
    if isinstance(model, Glance):
        numbers = {"positions": positions, "pictures": -(-positions // model.stride), "looks": looks}
        return glance_macs(model, student, recogniser, **numbers, soft=soft, has_audio=has_audio)
    if isinstance(model, Skimmer) and model.fallback and not has_audio:
        model, trunks, soft = (
            model.clone(index_by="image", stride=model.fallback, fallback=0),
            trunks | {"audio": 0},
            False,
        )
    skims = isinstance(model, Skimmer)
    taken = -(-positions // model.stride) if skims else positions
    seen = taken if soft else looks
    return video_cost(
        taken,
        seen,
        **trunks,
        skim=own_macs(model, student, recogniser, positions=positions if soft else taken, steps=steps, looks=seen),
        index_by=model.index_by if skims else "both",
        recogniser=clip_macs(recogniser, 0) if recogniser else 0,
        closer=second_glances(model, student, soft) * trunks["image"] if isinstance(model, Skimmer) else 0,
    )


def glance_macs(
    model: Glance,
    student: Mapping[str, Any],
    recogniser: Mapping[str, Any] | None,
    *,
    positions: int,
    pictures: int,
    looks: int,
    soft: bool = False,
    has_audio: bool = True,
) -> dict[str, int]:
    """Multiply-adds of a glance and its clip models on one video, by parts, see `video_macs`.

    With "both" a look may fall on an image that is there already; it is counted again, so that is at most too much.

    Args:
      pictures: how many positions there are at the model's stride: those whose images help to choose, if any do.
    """
    trunks, read = trunk_macs(student), positions if soft else looks
    audio, image = trunks["audio"] if has_audio else 0, trunks["image"]
    if model.listens == "image" or not has_audio:
        cheap, look = pictures * image, audio
    else:
        cheap, look = positions * audio + (pictures * image if model.listens == "both" else 0), image
    rest = positions * sum(trunks.values()) - cheap if soft else looks * look
    rest += read * second_glances(model, student, soft) * image
    last = read * clip_macs(recogniser, 0) if recogniser else rest
    skim = own_macs(model, student, recogniser, positions=positions, steps=0, looks=read)
    return {"indexing": cheap, "skimming": skim, "recognition": last}


def second_glances(model: Skimmer | Glance, student: Mapping[str, Any], soft: bool) -> int:
    """How many regions of a picture are seen closer: with soft selection all of them, as it reads them all.

    Raises:
      ValueError: its features have no regions.
    """
    if not model.closer:
        return 0
    return regions_of(student, model.closer).across ** 2 if soft else 1


def own_macs(
    model: Any,
    student: Mapping[str, Any],
    recogniser: Mapping[str, Any] | None,
    *,
    positions: int,
    steps: int,
    looks: int,
) -> int:
    """Multiply-adds of a video model itself, over so many positions whose descriptors are there.

    Raises:
      ValueError: it looks closer at regions, which the features do not have.
    """
    seen = dict(widths_of(student))
    if recogniser:
        seen["recognition"] = model_of(recogniser, 1).feature
    if isinstance(model, Skimmer | Glance) and model.closer:
        seen |= regions_of(student, model.closer).widths
    read = skim_macs.Features(**seen)
    return skim_macs.parts(model.clone(fusion=fusion_of(student)), read).of(positions, steps, looks)


def video_cost(
    positions: int,
    looks: int,
    *,
    image: int,
    audio: int,
    skim: int,
    index_by: str = "both",
    recogniser: int = 0,
    closer: int = 0,
) -> dict[str, int]:
    """Multiply-adds of one video.

    Args:
      positions: how many positions are indexed (the video's clips / the indexing stride).
      looks: how many positions are read.
      image: multiply-adds of the image trunk.
      audio: multiply-adds of the audio trunk.
      skim: multiply-adds of the skimmer on that many positions.
      index_by: both, audio or image: what is computed at every position. The other trunk runs only at the looks.
      recogniser: multiply-adds of another model that runs at the looks.
      closer: multiply-adds of the image trunk's second glances at a look.

    Returns:
      "indexing", "skimming" and "recognition" (what is computed at the looks alone); their sum is the total.
    """
    everywhere = {"both": image + audio, "image": image, "audio": audio}[index_by]
    return {
        "indexing": positions * everywhere,
        "skimming": skim,
        "recognition": looks * (image + audio - everywhere + recogniser + closer),
    }
