"""Multiply-adds of an arm on the videos of a split, in GMACs a video; None where nobody knows the clip model's."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from l2l.compare.arms import Arm
from l2l.compare.films import Features, Tree, lengths
from l2l.compare.study import GLANCE, SAMPLER
from l2l.evaluate import skim_macs
from l2l.evaluate.model_macs import clip_macs, trunk_macs
from l2l.evaluate.video_macs import GIGA, mean_gmacs
from l2l.models.glance import Glance
from l2l.models.student import Unfused
from l2l.tasks.from_config import widths_of

ALL = ("judge", "pooled", "scores")  # what these read was chosen before, "dense" being everything


def gmacs(arm: Arm, features: Features, videos: Tree, looks: int, *, whole: bool = False) -> float | None:
    """What one video costs on average.

    Args:
      arm: whose.
      features: of the clip models.
      videos: of which.
      looks: how many positions are read.
      whole: of a glance, a skimmer or a query: the answer over everything (of a skimmer, soft selection). What reads
        a selection's positions has no other answer than that to these.
    """
    if features.config is None:
        return None
    count = lengths(videos)
    everything = arm.selection == "dense" if arm.kind in ALL else whole
    read = count if everything else np.minimum(count, looks)
    if arm.kind not in ALL:
        name = {"query": "nonrecurrent", "sampler": "glance"}.get(arm.kind, arm.kind)
        config = {"model": {"name": name} | dict(arm.model), "dtype": "float32", "multi_label": False}
        numbers = {"positions": count, "steps": np.minimum(count, looks), "looks": read}
        numbers["has_audio"] = videos["has_audio"]
        other = features.recogniser_config
        return sum(
            mean_gmacs(config, features.config, features.classes, **numbers, recogniser=other, soft=whole).values()
        )
    index, reader = clip_macs(features.config, features.classes), features.recogniser_config or features.config
    judging = glance_parts(arm.model, reader).look if arm.kind == "judge" else 0  # a mean has no attention
    look = clip_macs(reader, features.classes) + judging
    if arm.selection == SAMPLER:  # it has heard every position, those that are read too
        sound, listening = (
            trunk_macs(features.config)["audio"],
            glance_parts(GLANCE, features.config).position,
        )
        return float(count.mean() * (sound + listening) + read.mean() * (look - sound)) / GIGA
    if arm.selection != "confident":
        return float(read.mean() * look) / GIGA
    again = look if features.recogniser_config else judging  # what chose has described the position
    return float(count.mean() * index + read.mean() * again) / GIGA


def glance_parts(numbers: Mapping[str, Any], config: Mapping[str, Any]) -> skim_macs.Parts:
    """Multiply-adds of a listener and of a judge's attention, without the fusion, over a clip model's descriptors."""
    return skim_macs.parts(Glance(1, Unfused(), **numbers), skim_macs.Features(**widths_of(config)))
