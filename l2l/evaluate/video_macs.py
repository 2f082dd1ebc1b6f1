"""What a video costs on average over a test set, in GMACs, by parts: indexing, skimming, recognition."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l.evaluate import model_macs
from l2l.tasks.selections import ALL

GIGA = 1e9
Config = Mapping[str, Any]
Arrays = Mapping[str, np.ndarray]


def mean_gmacs(
    config: Config,
    student: Config,
    classes: int,
    *,
    positions: np.ndarray,
    steps: np.ndarray,
    looks: np.ndarray,
    has_audio: np.ndarray,
    recogniser: Config | None = None,
    soft: bool = False,
) -> dict[str, float]:
    """Mean of `model_macs.video_macs` over b videos.

    Args:
      config, student, classes, recogniser, soft: as there.
      positions, steps, looks: int (b,), as there.
      has_audio: bool (b,), likewise.
    """
    kinds, counts = np.unique(np.stack([positions, steps, looks, has_audio], axis=1), axis=0, return_counts=True)
    total: dict[str, float] = {}
    for (n, t, k, heard), count in zip(kinds.tolist(), counts.tolist(), strict=True):
        numbers = {"positions": n, "steps": t, "looks": k, "has_audio": bool(heard)}
        parts = model_macs.video_macs(config, student, classes, **numbers, recogniser=recogniser, soft=soft)
        total = {part: total.get(part, 0.0) + count * macs / len(positions) / GIGA for part, macs in parts.items()}
    return total


def selection_gmacs(
    name: str, student: Config, classes: int, *, positions: np.ndarray, count: int, recogniser: Config | None = None
) -> dict[str, float]:
    """The same for a selection of `selections.SELECTIONS` that chooses `count` of the positions (b,) of each video.

    What it must look at to choose is indexing; where nothing else recognises, that is all it looks at.
    """
    few = float(np.minimum(positions, count).mean())
    all_of_them = float(positions.mean())
    first, last = (
        model_macs.clip_macs(student, classes) / GIGA,
        model_macs.clip_macs(recogniser or student, classes) / GIGA,
    )
    if name == "confident":
        return {"indexing": all_of_them * first, "skimming": 0.0, "recognition": few * last if recogniser else 0.0}
    return {"indexing": 0.0, "skimming": 0.0, "recognition": (all_of_them if name in ALL else few) * last}


def looked_at(arrays: Mapping[str, np.ndarray], index_by: Sequence[str], steps: int) -> np.ndarray:
    """At how many different positions a skimmer's first so many steps have looked, int (b,).

    Args:
      arrays: its predictions; "picked_<modality>" int (b, T) and "counted" bool (b, T).
      index_by: the modalities that pick.
      steps: at most T; a pick that does not count is no look.
    """
    picked = np.stack([arrays[f"picked_{m}"][:, :steps] for m in index_by], axis=-1)  # (b, steps, modalities)
    rows = zip(picked, arrays["counted"][:, :steps], strict=True)
    return np.array([len(np.unique(own[counted])) for own, counted in rows], int)
