"""What stopping when sure means for videos: looks, multiply-adds, accuracy, calibration."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from l2l import build, metrics
from l2l.runs import Run

if TYPE_CHECKING:
    from l2l.sure import Sure

GIGA = 1e9
Arrays = Mapping[str, np.ndarray]


def right(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the best class is a true one, bool (n,)."""
    return np.take_along_axis(labels, logits.argmax(axis=1)[:, None], axis=1)[:, 0] > 0


def difference(sure: "Sure", arrays: Arrays) -> tuple[float, float, float]:
    """Top-1 when stopping minus top-1 with all looks, over the same videos, and its 95 % interval."""
    labels = arrays["labels"]
    return metrics.paired_difference(right(sure.logits(arrays), labels), right(arrays["logits"], labels))


def outcome(sure: "Sure", arrays: Arrays, gmacs: np.ndarray) -> dict[str, float]:
    """What stopping at the threshold means, averaged over videos.

    Args:
      gmacs: (n, T), what each video has cost after each look.
    """
    looks = sure.looks(arrays)
    mean, low, high = difference(sure, arrays)
    return {
        "threshold": sure.threshold,
        "looks": float(looks.mean()),
        "gmacs": float(gmacs[np.arange(len(looks)), looks - 1].mean()),
        "top1": float(right(sure.logits(arrays), arrays["labels"]).mean()),
        "difference": mean,
        "low": low,
        "high": high,
    }


def whole(sure: "Sure", arrays: Arrays, gmacs: np.ndarray) -> dict[str, float]:
    """`outcome`, the number of videos, and the calibration error over all videos and looks, plain and calibrated."""
    steps = np.swapaxes(arrays[sure.source], 0, 1)
    correct = np.stack([right(logits, arrays["labels"]) for logits in steps], axis=1).ravel()
    plain = dataclasses.replace(sure, temperatures=(1.0,) * len(steps))
    error = lambda which: metrics.calibration_error(which.confidence(arrays).ravel(), correct)
    facts = {"examples": len(gmacs), "error_before": error(plain), "error_after": error(sure)}
    return facts | outcome(sure, arrays, gmacs)


def fixed(arrays: Arrays, gmacs: np.ndarray) -> list[dict[str, float]]:
    """What stopping every video after the same number of looks means, for each number; short videos have fewer."""
    rows = []
    for t, logits in enumerate(np.swapaxes(arrays["step_logits"], 0, 1)):
        top1 = float(right(logits, arrays["labels"]).mean())
        looks = float(np.minimum(arrays["looks"], t + 1).mean())
        rows.append({"looks": looks, "gmacs": float(gmacs[:, t].mean()), "top1": top1})
    return rows


def gmacs_of(run: Run, arrays: Arrays) -> np.ndarray:
    """1e9 multiply-adds (n, T) of each video after each look: indexing, skimming so far, recognition so far."""
    start = int(build.model_of(run.config, 1, fusion=None).count_start)  # a look that no step has to pick
    positions = (arrays["times"] > 0).sum(axis=1)  # times are padded with zeros

    def after(n: int, looks: int) -> float:
        picks = min(looks - start, n)
        parts = build.video_macs(run.config, run.student, len(run.labels), positions=n, steps=picks, looks=picks)
        return sum(parts.values()) / GIGA

    numbers = range(1, arrays["step_logits"].shape[1] + 1)
    table = {n: [after(int(n), looks) for looks in numbers] for n in np.unique(positions)}
    return np.array([table[n] for n in positions])
