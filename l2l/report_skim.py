"""What a skim run's predictions say over the whole test set: accuracy against cost, looks inside the action."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from l2l import build, metrics, model_costs
from l2l.models.student import modalities
from l2l.report_plots import Chart, Series, chart
from l2l.runs import RunError
from l2l.video_costs import GIGA, looked_at, mean_gmacs
from l2l.video_parts import NAMES

Arrays = Mapping[str, np.ndarray]
Config = Mapping[str, Any]
Actions = dict[str, list[list[float]]]  # video id -> [start, stop] of each stretch, seconds

OTHERS = ("soft", "uniform", "random", "dense")
NEEDED = ("logits", "labels", "video_id", "times", "step_logits", "counted", "looks", "modality")
LOOK_STYLES = {"image": ("image", "circle"), "audio": ("audio", "square")}


@dataclasses.dataclass(frozen=True)
class Row:
    """Accuracy and mean cost in GMACs of one way to treat a video, a key of OTHERS or ""; top1 None: not measured."""

    way: str
    name: str
    top1: float | None
    indexing: float
    skimming: float
    recognition: float

    @property
    def total(self) -> float:
        return self.indexing + self.skimming + self.recognition


@dataclasses.dataclass(frozen=True)
class Inside:
    """Shares of the looks that fell into the true action; modality -> share, and modality -> share by look."""

    videos: int
    share: dict[str, float]
    chance: float
    most: float
    by_look: dict[str, list[float]]
    chance_by_look: list[float]


def check(path: Path, arrays: Arrays, model: Any, classes: int) -> None:
    """Raises RunError unless the predictions of a skimmer hold what the page shows, in the shapes it expects."""
    chosen = modalities(model.index_by)
    asked = [*NEEDED, *(f"logits_{x}" for x in OTHERS), *(f"{x}_{m}" for m in chosen for x in ("picked", "weights"))]
    if lacking := [name for name in asked if name not in arrays]:
        raise RunError(f"{path} is damaged: it lacks {', '.join(lacking)}")
    videos, steps = len(arrays["logits"]), model.steps
    shapes = {"labels": (classes,), "step_logits": (steps, classes), "counted": (steps,), "modality": (steps, 2)}
    shapes |= (
        {"video_id": (), "looks": ()}
        | {f"logits_{x}": (classes,) for x in OTHERS}
        | {f"picked_{m}": (steps,) for m in chosen}
    )
    for name, shape in shapes.items():
        if arrays[name].shape != (videos, *shape):
            raise RunError(f"{path} is damaged: {name} is {arrays[name].shape}, expected {(videos, *shape)}")


def positions(arrays: Arrays) -> np.ndarray:
    """How many positions each video has, int (b,): times are padded with zeros."""
    return (arrays["times"] > 0).sum(axis=1)


def cost_rows(
    config: Config, student: Config, arrays: Arrays, teachers: Mapping[str, int], recogniser: Config | None = None
) -> tuple[list[Row], list[Row]]:
    """(after each look, the other ways), costs averaged over the test videos.

    Args:
      config: of the skim run.
      student: of the run whose features it reads.
      arrays: its predictions.
      teachers: name of a teacher -> multiply-adds a clip.
      recogniser: config of the run whose features recognise its looks, if others do.
    """
    count, model, labels = positions(arrays), build.numbers_of(config), arrays["labels"]
    classes, step_logits = labels.shape[1], arrays["step_logits"].astype(np.float32)
    scores = {name: metrics.top_k(arrays[f"logits_{name}"].astype(np.float32), labels, 1) for name in OTHERS}
    clip = model_costs.clip_macs(recogniser or student, classes)

    def skim(way: str, name: str, top1: float, steps: int, soft: bool = False) -> Row:
        seen = looked_at(arrays, modalities(model.index_by), steps)
        numbers = {"positions": count, "looks": seen, "recogniser": recogniser, "soft": soft}
        numbers["has_audio"] = arrays["has_audio"]
        picks = arrays["counted"][:, :steps].sum(axis=1)
        return Row(way, name, 100 * top1, **mean_gmacs(config, student, classes, steps=picks, **numbers))

    def clips(way: str, name: str, looks: np.ndarray, macs: int) -> Row:
        top1 = 100 * scores[way] if way else None
        return Row(way, name, top1, 0.0, 0.0, float(looks.mean()) * macs / GIGA)

    first, last = (0, model.steps - 1) if model.count_start else (1, model.steps)  # picks read by the looks
    looks = []
    for t in range(model.steps):
        top1 = metrics.top_k(step_logits[:, t], labels, 1)
        looks.append(skim("", f"skim, {t + 1} look{'s' * (t > 0)}", top1, first + t))
    few = np.minimum(count, model.steps)
    others = [skim("soft", "soft skim", scores["soft"], last, soft=True)]
    others += [clips(way, f"{way}, {model.steps} positions", few, clip) for way in ("uniform", "random")]
    others.append(clips("dense", "dense, every position", count, clip))
    others += [clips("", f"{name} on every clip", count, macs) for name, macs in teachers.items()]
    return looks, others


def cost_charts(looks: list[Row], others: list[Row]) -> list[Chart]:
    """Accuracy against cost, and accuracy after each look beside the ways that do not choose."""
    everything = [*looks, *others]
    log = max(r.total for r in everything) > 8 * min(r.total for r in everything)
    shapes = iter(("diamond", "square", "triangle", "inverse"))
    against = [Series("skim, after each look", [(r.total, r.top1) for r in looks], "accent", "circle")]
    level = [Series("skim", [(i + 1, r.top1) for i, r in enumerate(looks)], "accent", "circle")]
    for number, row in enumerate(others):
        if row.top1 is None:
            against.append(Series(f"{row.name} (accuracy not measured)", [(row.total, 0), (row.total, 100)], "teacher"))
            continue
        against.append(Series(row.name, [(row.total, row.top1)], "plain", next(shapes), line=False))
        if number:  # soft skimming has no levels of its own
            level.append(Series(row.name, [(1, row.top1), (len(looks), row.top1)], f"level{number}"))
    x_name = "GMACs per video" + (", logarithmic" if log else "")
    return [
        chart("Accuracy against cost", x_name, "top-1, %", against, log=log, percent=True),
        chart("Accuracy after each look", "looks", "top-1, %", level, percent=True),
    ]


def read_actions(path: Path) -> Actions | None:
    """actions.json; None if there is none.

    Raises:
      RunError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: [[float(a), float(b)] for a, b in spans] for name, spans in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def in_action(times: np.ndarray, spans: list[list[float]]) -> np.ndarray:
    """Which moments (n,) lie in one of the spans; bool (n,)."""
    return np.any([(times >= start) & (times < stop) for start, stop in spans] or [np.zeros(len(times), bool)], axis=0)


def inside(config: Config, arrays: Arrays, actions: Actions) -> Inside | None:
    """How often the looks fell into the action; None if no test video has one written down."""
    model, counts = build.numbers_of(config), positions(arrays)
    known = [i for i, name in enumerate(arrays["video_id"]) if str(name) in actions]
    if not known:
        return None
    where = [in_action(arrays["times"][i, : counts[i]], actions[str(arrays["video_id"][i])]) for i in known]
    counted = arrays["counted"][known]  # (v, T)
    chance = np.array([w.mean() for w in where])[:, None] * counted
    taken = counted.sum(axis=1)
    most = [min(t, w.sum()) if model.masking else t * w.any() for t, w in zip(taken, where, strict=True)]
    total, by_look = counted.sum(), np.maximum(counted.sum(axis=0), 1)
    used = counted.any(axis=0)
    hits = {}
    for m in modalities(model.index_by):
        picked = arrays[f"picked_{m}"][known]
        hits[m] = np.stack([w[np.minimum(p, len(w) - 1)] for w, p in zip(where, picked, strict=True)]) & counted
    return Inside(
        videos=len(known),
        share={m: float(100 * hit.sum() / total) for m, hit in hits.items()},
        chance=float(100 * chance.sum() / total),
        most=float(100 * sum(most) / total),
        by_look={m: (100 * hit.sum(axis=0) / by_look)[used].tolist() for m, hit in hits.items()},
        chance_by_look=(100 * chance.sum(axis=0) / by_look)[used].tolist(),
    )


def inside_chart(found: Inside) -> Chart:
    """Share of the looks inside the action, look by look."""
    numbered = lambda values: [(i + 1, value) for i, value in enumerate(values)]
    series = [Series(NAMES[m], numbered(values), *LOOK_STYLES[m]) for m, values in found.by_look.items()]
    series.append(Series("by chance", numbered(found.chance_by_look), "level1"))
    return chart("Looks inside the action", "look", "share inside, %", series, percent=True)
