"""What predictions.npz of a run may hold: names, shapes, kinds of numbers, and what they may be."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from l2l.models.glance import Glance
from l2l.models.student import modalities

ALWAYS = ("soft", "uniform", "random", "dense")  # ways beside hard selection that every skim run measures
AT_ONCE = ("all", *ALWAYS[1:])  # the same of a run that chooses all its looks at once
OTHERS = ("soft", "all", "uniform", "random", "front", "centre", "end", "confident", "dense", "oracle")
LATEST = 1e9  # seconds at which a clip may lie

Arrays = Mapping[str, np.ndarray]


def positions(arrays: Arrays) -> np.ndarray:
    """How many positions each video has, int (b,); after so many its "times" are filled up with zeros.

    Those of version 0.1 do not say it: there every time after the first zero is filling.
    """
    return arrays["positions"] if "positions" in arrays else (arrays["times"] > 0).sum(axis=1)


def wrong(arrays: Mapping[str, Any], classes: int, model: Any | None) -> str:
    """What keeps arrays from being the predictions of a run for so many classes, "" if nothing does.

    Args:
      model: the numbers of a skimmer or a glance, see `from_config.numbers_of`; None of what does not look.
    """
    shapes: dict[str, tuple[int, ...] | None] = {
        "logits": (classes,),
        "labels": (classes,),
        "video_id": (),
        "times": None,
    }
    shapes |= skim_shapes(arrays, classes, model) if model else {}
    if lacking := [name for name in shapes if name not in arrays]:
        return f"it lacks {', '.join(lacking)}"
    if nested := [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]:
        return f"{nested[0]!r:.60} is no array"
    examples = len(arrays["logits"]) if arrays["logits"].ndim else 0
    for name, shape in shapes.items():
        if shape is not None and arrays[name].shape != (examples, *shape):
            return f"{name} is {arrays[name].shape}, expected {(examples, *shape)}"
    if not examples or not classes:
        return f"logits is {arrays['logits'].shape}: there is nothing in it"
    found = _wrong_values(arrays, shapes) or _wrong_names(arrays["video_id"]) or _wrong_times(arrays, examples)
    return found or (_wrong_looks(arrays, model) if model else "")


def skim_shapes(arrays: Arrays, classes: int, model: Any) -> dict[str, tuple[int, ...] | None]:
    """Name -> shape of one video, of what a skimmer says beside that."""
    steps, at_once = model.steps, isinstance(model, Glance)
    chosen = () if at_once else modalities(model.index_by)
    shapes: dict[str, tuple[int, ...] | None] = {
        "step_logits": (steps, classes),
        "counted": (steps,),
        "looks": (),
        "has_audio": (),
    }
    shapes |= {"picked": (steps,), "worth": (steps,), "listener": None} if at_once else {"modality": (steps, 2)}
    always = AT_ONCE if at_once else ALWAYS
    measured = [name for name in OTHERS if name in always or f"logits_{name}" in arrays]
    shapes |= {f"logits_{name}": (classes,) for name in measured}
    return shapes | {f"picked_{m}": (steps,) for m in chosen} | dict.fromkeys(f"weights_{m}" for m in chosen)


def _wrong_values(arrays: Arrays, shapes: Mapping[str, Any]) -> str:
    for name in shapes:
        value = arrays[name]
        if name == "video_id":
            continue
        if value.dtype.kind not in "fiub" or not np.isfinite(value).all():
            return f"{name} has values that are no finite numbers"
        if name in ("labels", "counted", "has_audio") and not np.isin(value, (0, 1)).all():
            return f"{name} has values that are neither 0 nor 1"
    return ""


def _wrong_names(names: np.ndarray) -> str:
    try:
        "".join(names.tolist()).encode()
    except (TypeError, ValueError):
        return "video_id has values that are no texts"
    return ""


def _wrong_times(arrays: Arrays, examples: int) -> str:
    """Of clips their centres, of videos those of all positions, rising and then filled up with zeros."""
    times = arrays["times"]
    if times.ndim not in (1, 2) or len(times) != examples or not (times >= 0).all() or not (times <= LATEST).all():
        return f"times is {times.shape} and not all of it in 0..{LATEST:g}, expected {examples} rows"
    if times.ndim == 2:
        n = times.shape[1]
        counts = positions(arrays)
        if counts.dtype.kind not in "iu" or counts.shape != (examples,) or not np.isin(counts, range(1, n + 1)).all():
            return f"positions is not of {examples} numbers from 1 to {n}, or times has videos without a position"
        there = np.arange(n) < counts[:, None]  # (b, n)
        rising = (np.diff(times, axis=1) > 0) | ~there[:, 1:]
        if not rising.all() or times[~there].any():
            return "times has positions that do not follow each other, or others than positions says"
    return ""


def _wrong_looks(arrays: Arrays, model: Any) -> str:
    times, looks, examples = arrays["times"], arrays["looks"], len(arrays["logits"])
    if times.ndim != 2 or arrays["counted"].dtype != bool:
        return "times is of clips, or counted is not of True and False, and it is a skimmer's"
    if looks.dtype.kind not in "iu" or looks.min() < 0 or looks.max() > model.steps:
        return f"looks has values that are not in 0..{model.steps}"
    if isinstance(model, Glance):
        picked, listener = arrays["picked"], arrays["listener"]
        if picked.dtype.kind not in "iu" or picked.min() < 0:
            return "picked has values that are no positions"
        most = positions(arrays).max()
        if listener.ndim != 2 or len(listener) != examples or listener.shape[1] < most:
            return f"listener is {listener.shape}, expected {examples} videos of {most} positions or more"
        return ""
    for m in modalities(model.index_by):
        picked, weights = arrays[f"picked_{m}"], arrays[f"weights_{m}"]
        if picked.dtype.kind not in "iu" or picked.min() < 0:
            return f"picked_{m} has values that are no positions"
        kept = len(weights) if weights.ndim == 3 else 0
        most = positions(arrays)[:kept].max(initial=0)
        if not 0 < kept <= examples or weights.shape[1] != model.steps or weights.shape[2] < most:
            return f"weights_{m} is {weights.shape}, expected up to {examples} videos of {model.steps} looks"
    return ""
