"""What a skim run's predictions say over the whole test set: accuracy against cost, looks inside the action."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from l2l.evaluate import metrics
from l2l.evaluate.video_macs import GIGA, looked_at, mean_gmacs, selection_gmacs
from l2l.models.glance import Glance
from l2l.models.student import modalities
from l2l.report.charts import Chart, Series, chart
from l2l.report.video_parts import NAMES
from l2l.runs.actions import Actions, positions_inside
from l2l.runs.prediction_rules import OTHERS, positions
from l2l.tasks import from_config

Arrays = Mapping[str, np.ndarray]
Config = Mapping[str, Any]
Curves = Mapping[str, Any]  # what `python -m l2l.curves` writes

NAMED = {"soft": "soft skim", "all": "its judge, every position"}
WORDS = {"confident": "most confident", "oracle": "oracle (a ceiling)"}
# Style and mark of each way in charts; with "dashed" or "dotted" where it is a line.
LOOKS = {
    "soft": ("accent", "diamond", ""),
    "all": ("accent", "diamond", "dashed"),
    "uniform": ("class1", "square", "dashed"),
    "random": ("class1", "inverse", "dotted"),
    "front": ("class4", "triangle", "dashed"),
    "centre": ("class4", "square", "dotted"),
    "end": ("class4", "inverse", "thin"),
    "confident": ("class2", "triangle", "dashed"),
    "dense": ("class1", "circle", "thin"),
    "oracle": ("class3", "diamond", "dashed"),
}
SAME = 1.1  # looks whose costs differ by less than this factor are one mark beside other costs
LOOK_STYLES = {"image": ("image", "circle"), "audio": ("audio", "square"), "both": ("accent", "diamond")}


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
    """Shares of the looks that fell into the true action, by what chose them, and the same by look.

    `most` is what they could be, where no position is picked `twice`.
    """

    videos: int
    share: dict[str, float]
    chance: float
    most: float
    twice: bool
    by_look: dict[str, list[float]]
    chance_by_look: list[float]


def ways(arrays: Arrays) -> list[str]:
    """Those of OTHERS that a run has measured."""
    return [name for name in OTHERS if f"logits_{name}" in arrays]


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
    count, model, labels = positions(arrays), from_config.numbers_of(config), arrays["labels"]
    classes, step_logits = labels.shape[1], arrays["step_logits"].astype(np.float32)
    at_once = isinstance(model, Glance)
    top1 = lambda logits: 100 * metrics.top_k(logits.astype(np.float32), labels, 1)

    def skim(way: str, name: str, share: float, steps: int, soft: bool = False) -> Row:
        picks = arrays["counted"][:, :steps].sum(axis=1)
        seen = picks if at_once else looked_at(arrays, modalities(model.index_by), steps)
        numbers: dict[str, Any] = {"positions": count, "looks": seen, "recogniser": recogniser, "soft": soft}
        numbers["has_audio"] = arrays["has_audio"]
        return Row(way, name, share, **mean_gmacs(config, student, classes, steps=picks, **numbers))

    def other(way: str) -> Row:
        name, share = named(way, model.steps), top1(arrays[f"logits_{way}"])
        if way in ("soft", "all"):
            return skim(way, name, share, last, soft=True)
        numbers = {"positions": count, "count": model.steps, "recogniser": recogniser}
        return Row(way, name, share, **selection_gmacs(way, student, classes, **numbers))

    first, last = (
        (0, model.steps - 1) if not at_once and model.count_start else (1, model.steps)
    )  # picks read by the looks
    looks = [
        skim("", f"skim, {t + 1} look{'s' * (t > 0)}", top1(step_logits[:, t]), first + t) for t in range(model.steps)
    ]
    every = lambda macs: float(count.mean()) * macs / GIGA
    costly = [Row("", f"{name} on every clip", None, 0.0, 0.0, every(macs)) for name, macs in teachers.items()]
    return looks, [*map(other, ways(arrays)), *costly]


def named(way: str, steps: int) -> str:
    """A way in words: "uniform, 10 positions"."""
    if way in NAMED:
        return NAMED[way]
    return f"{WORDS.get(way, way)}, {'every position' if way == 'dense' else f'{steps} positions'}"


def cost_charts(looks: list[Row], others: list[Row], curves: Curves | None = None) -> list[Chart]:
    """Accuracy against cost, and accuracy after each look beside the ways that do not choose.

    Args:
      looks, others: of `cost_rows`.
      curves: of the same run over the same videos, if it has any.
    """
    measured = [row for row in others if row.top1 is not None]
    drawn = (
        against_cost(looks, measured, [row for row in others if row.top1 is None], curves),
        level(looks, measured, curves),
    )
    return [chart for chart in drawn if chart]


def against_cost(looks: list[Row], measured: list[Row], unmeasured: list[Row], curves: Curves | None) -> Chart | None:
    """A mark each; a line where looks, or strides, cost differently."""
    place = lambda row: (row.total, row.top1)
    apart = looks[-1].total > SAME * looks[0].total
    own = Series(
        "skim, after each look" if apart else looks[-1].name,
        [*map(place, looks if apart else looks[-1:])],
        "accent",
        "circle",
    )
    sparse = [(p["gmacs"], 100 * p["top1"]) for p in points_of(curves, "hard") if p["steps"] == len(looks)]
    series = [own, Series(f"skim, {len(looks)} looks, at strides of 1 and more", sorted(sparse), "accent", "circle")]
    series += [Series(row.name, [place(row)], *LOOKS[row.way][:2], line=False) for row in measured]
    series += [
        Series(f"{row.name} (accuracy not measured)", [(row.total, 0), (row.total, 100)], "teacher")
        for row in unmeasured
    ]
    xs = [x for one in series for x, _ in one.points]
    log = max(xs) > 8 * min(xs)
    x_name = "GMACs per video" + (", logarithmic" if log else "")
    return chart("Accuracy against cost", x_name, "top-1, %", series, log=log, percent=True)


def level(looks: list[Row], measured: list[Row], curves: Curves | None) -> Chart | None:
    """By looks; what does not look is as many positions where it was measured of fewer, else a level."""
    series = [Series("skim", [(i + 1, row.top1) for i, row in enumerate(looks)], "accent", "circle")]
    for row in (row for row in measured if row.way != "soft"):  # soft skimming has no levels of its own
        style, _, dashes = LOOKS[row.way]
        fewer = [(p["steps"], 100 * p["top1"]) for p in points_of(curves, row.way)]
        name = f"{WORDS.get(row.way, row.way)}, as many positions" if len(fewer) > 1 else row.name
        ends = [(1, row.top1), (len(looks), row.top1)]
        series.append(Series(name, sorted(fewer) if len(fewer) > 1 else ends, f"{style} {dashes}"))
    return chart("Accuracy after each look", "looks", "top-1, %", series, percent=True)


def points_of(curves: Curves | None, way: str) -> list[Mapping[str, Any]]:
    """The points of one way in the curves of a run; none without curves."""
    return [p for p in [*curves["points"], *curves["selections"]] if p["way"] == way] if curves else []


def inside(config: Config, arrays: Arrays, actions: Actions) -> Inside | None:
    """How often the looks fell into the action; None if no test video has one written down."""
    model = from_config.numbers_of(config)
    marks = positions_inside(arrays["video_id"], arrays["times"], positions(arrays), actions)
    known, where = list(marks), list(marks.values())
    if not known:
        return None
    counted = arrays["counted"][known]  # (v, T)
    chance = np.array([w.mean() for w in where])[:, None] * counted
    taken = counted.sum(axis=1)
    at_once = isinstance(model, Glance)
    twice = not (at_once or model.masking)
    most = [t * w.any() if twice else min(t, w.sum()) for t, w in zip(taken, where, strict=True)]
    total, by_look = counted.sum(), np.maximum(counted.sum(axis=0), 1)
    used = counted.any(axis=0)
    picked = {model.listens: "picked"} if at_once else {m: f"picked_{m}" for m in modalities(model.index_by)}
    hits = {m: metrics.hits(where, arrays[key][known]) & counted for m, key in picked.items()}
    return Inside(
        videos=len(known),
        share={m: float(100 * hit.sum() / total) for m, hit in hits.items()},
        chance=float(100 * chance.sum() / total),
        most=float(100 * sum(most) / total),
        twice=twice,
        by_look={m: (100 * hit.sum(axis=0) / by_look)[used].tolist() for m, hit in hits.items()},
        chance_by_look=(100 * chance.sum(axis=0) / by_look)[used].tolist(),
    )


def inside_chart(found: Inside) -> Chart | None:
    """Share of the looks inside the action, look by look."""
    numbered = lambda values: [(i + 1, value) for i, value in enumerate(values)]
    series = [Series(NAMES[m], numbered(values), *LOOK_STYLES[m]) for m, values in found.by_look.items()]
    series.append(Series("by chance", numbered(found.chance_by_look), "level1"))
    return chart("Looks inside the action", "look", "share inside, %", series, percent=True)
