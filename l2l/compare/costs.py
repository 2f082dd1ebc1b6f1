"""Multiply-adds of an arm on the videos of a split, in GMACs a video; None where nobody knows the clip model's."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from l2l.compare.arms import Arm
from l2l.compare.films import Features, Tree, lengths
from l2l.compare.study import SAMPLER
from l2l.evaluate import macs, model_macs
from l2l.evaluate.video_macs import GIGA, mean_gmacs
from l2l.models.student import Fusion

ALL = ("judge", "pooled", "scores")  # what these read was chosen before, "dense" being everything


def gmacs(arm: Arm, features: Features, videos: Tree, looks: int, *, whole: bool = False) -> float | None:
    """What one video costs on average.

    Args:
      arm: whose.
      features: of the clip models.
      videos: of which.
      looks: how many positions are read.
      whole: of a glance, a skimmer or a query: the answer over everything (of a skimmer, soft selection).
    """
    if features.config is None:
        return None
    count = lengths(videos)
    everything = whole or (arm.kind in ALL and arm.selection == "dense")
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
    index, reader = position(features.config, features.classes), features.recogniser_config or features.config
    look = position(reader, features.classes) + judging(arm, reader)
    if arm.selection == SAMPLER:  # it has heard every position, those that are read too
        sound = model_macs.trunk_macs(features.config)["audio"]
        return float(count.mean() * (sound + listening(features.config)) + read.mean() * (look - sound)) / GIGA
    if arm.selection != "confident":
        return float(read.mean() * look) / GIGA
    again = look if features.recogniser_config else judging(arm, reader)  # what chose has described the position
    return float(count.mean() * index + read.mean() * again) / GIGA


def position(config: Mapping[str, Any], classes: int) -> int:
    """Multiply-adds of a clip model on one position: trunks, fusion, classifier."""
    widths, fusion = model_macs.widths_of(config), model_macs.fusion_of(config)
    width = sum(widths.values())
    fused = isinstance(fusion, Fusion)
    feature = fusion.feature if fused else width
    own = macs.fusion_macs(width, feature=feature) if fused else 0
    return sum(model_macs.trunk_macs(config).values()) + own + feature * classes


def listening(config: Mapping[str, Any]) -> int:
    """Multiply-adds of a listener's network on one position."""
    widths = model_macs.widths_of(config)
    of = lambda positions: macs.glance_macs(positions, 0, widths=widths)
    return of(1) - of(0)


def judging(arm: Arm, config: Mapping[str, Any]) -> int:
    """Multiply-adds of a judge's attention on one position; a mean has none."""
    hidden, width = arm.model.get("hidden", 128), sum(model_macs.widths_of(config).values())
    return 2 * width * hidden + hidden if arm.kind == "judge" else 0
