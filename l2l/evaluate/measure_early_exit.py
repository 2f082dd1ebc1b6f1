"""What stopping when sure means for videos: looks, multiply-adds, accuracy, calibration."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from l2l.evaluate import metrics, model_macs
from l2l.evaluate.fit_early_exit import Sure, difference, right
from l2l.evaluate.video_macs import looked_at
from l2l.models.glance import Glance
from l2l.models.student import modalities
from l2l.runs.prediction_rules import positions
from l2l.runs.run_folder import Run
from l2l.tasks import from_config

GIGA = 1e9
Arrays = Mapping[str, np.ndarray]


def outcome(sure: Sure, arrays: Arrays, gmacs: np.ndarray) -> dict[str, float]:
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


def whole(sure: Sure, arrays: Arrays, gmacs: np.ndarray) -> dict[str, float]:
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
    model, recogniser = from_config.numbers_of(run.config), run.recogniser and run.recogniser["config"]

    @functools.cache
    def of(positions: int, steps: int, looks: int, has_audio: bool) -> float:
        numbers: dict[str, Any] = {"positions": positions, "steps": steps, "looks": looks, "has_audio": has_audio}
        numbers["recogniser"] = recogniser
        return sum(model_macs.video_macs(run.config, run.clip_model, len(run.labels), **numbers).values()) / GIGA

    columns = []
    for t in range(1, model.steps + 1):
        steps, looks = taken(model, arrays, t)
        heard = arrays["has_audio"].astype(bool).tolist()
        rows = zip(positions(arrays).tolist(), steps.tolist(), looks.tolist(), heard, strict=True)
        columns.append([of(*row) for row in rows])
    return np.array(columns).T


def taken(model: Any, arrays: Arrays, looks: int) -> tuple[np.ndarray, np.ndarray]:
    """(steps, different positions) int (n,) that a video's first so many looks have taken."""
    if isinstance(model, Glance):
        steps = arrays["counted"][:, :looks].sum(axis=1)
        return steps, steps
    picks = looks - model.count_start  # the start is a look that no step has to pick
    return arrays["counted"][:, :picks].sum(axis=1), looked_at(arrays, modalities(model.index_by), picks)
