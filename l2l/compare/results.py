"""The tables of a comparison: every arm with its cost, and the differences that were asked for, with intervals."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2l.compare import bootstrap, choice, costs, picture
from l2l.compare.arms import Arm
from l2l.compare.choice import Choice, family_of, numbers_of
from l2l.compare.films import Features
from l2l.compare.measure import SPLIT, path_of
from l2l.compare.study import LOOKS, Difference, Groups, Study
from l2l.core import atomic, trees

JSON, TABLE, PICTURE = "results.json", "results.md", "curves.png"
SILENT = "silent"
BENEATH = (
    "Top-1 in %: mean over {groups} {what}, {seeds} seeds each and {videos} videos, with its 95 % interval by "
    "bootstrap over {levels} together. Differences are paired: the same videos, {what} and seeds; p-values are "
    "corrected for the {count} comparisons of the table by Holm's method. All settings were chosen on the validation "
    "split."
)


@dataclasses.dataclass(frozen=True)
class Answers:
    """What one arm said in every group, and the labels."""

    arm: Arm
    found: Sequence[Mapping[str, np.ndarray]]
    labels: list[np.ndarray]

    def right(self, way: str, seeds: int) -> list[np.ndarray]:
        """Whether each video was answered rightly, float (seeds, v) of every group; see `study.Difference` for ways."""
        return [self._right(found, way, labels, seeds) for found, labels in zip(self.found, self.labels, strict=True)]

    def _right(self, found: Mapping[str, np.ndarray], way: str, labels: np.ndarray, seeds: int) -> np.ndarray:
        if way.startswith("T="):
            logits = found["steps"][:, :, int(way[2:]) - 1]
        else:
            logits = found[way][:, :, -1] if found[way].ndim == 4 else found[way]
        right = choice.top1(logits.astype(np.float32), labels)
        return np.broadcast_to(right, (seeds, right.shape[1]))  # what does not learn is the same with every seed


class Results:
    """All that was measured, by arm."""

    def __init__(self, study: Study, groups: Groups, chosen: Choice, out: Path):
        self.study, self.groups, self.chosen = study, groups, chosen
        self.seeds = len(study.seeds)
        labels = [next(iter(group.values())).splits[SPLIT]["labels"] for group in groups]
        load = lambda arm: [trees.load_arrays(path_of(out, n, arm)) for n in range(len(groups))]
        self.answers = {arm.name: Answers(arm, load(arm), labels) for arm in study.arms}

    def of(self, name: str) -> tuple[Answers, str]:
        """An arm and one of its answers by a name such as "glance, T=5"."""
        arm, _, way = name.rpartition(", ")
        if arm == "best LSTM":
            arm, way = self.chosen.best_lstm, self._as_trained(self.chosen.best_lstm) if way == "best" else way
        return self.answers[arm], way

    def _as_trained(self, arm: str) -> str:
        model = self.study.arm(arm).model
        return "soft" if model.get("selection") == "soft" else f"T={model['steps']}"

    def difference(self, difference: Difference) -> tuple[bootstrap.Interval, int]:
        """Top-1 of one minus that of the other, as an interval, and over how many videos a group has of them."""
        (ours, way), (theirs, other) = self.of(difference.ours), self.of(difference.theirs)
        pairs = zip(ours.right(way, self.seeds), theirs.right(other, self.seeds), self.groups, strict=True)
        values = [(a - b)[:, rows(group, difference.where)] for a, b, group in pairs]
        return bootstrap.joint(values, crossed=self.study.crossed), values[0].shape[1]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One of every arm and number of looks."""
        for arm in self.study.arms:
            for way in ways(arm, self.answers[arm.name].found[0]):
                right = self.answers[arm.name].right(way, self.seeds)
                interval = bootstrap.joint(right, crossed=self.study.crossed)
                yield {
                    "arm": arm.name,
                    "way": way,
                    "looks": looks_of(arm, way),
                    "gmacs": self._gmacs(arm, way),
                    "top1": 100 * interval.mean,
                    "low": 100 * interval.low,
                    "high": 100 * interval.high,
                    "inside": self._inside(arm, way),
                    "silent": self._silent(right),
                }

    def _gmacs(self, arm: Arm, way: str) -> float | None:
        tried = arm if arm.kind == "scores" else arm.chosen(numbers_of(self.chosen.families[family_of(arm)]))
        looks, whole = looks_of(arm, way), way in ("all", "soft")
        each = [
            costs.gmacs(tried, group[arm.features], group[arm.features].splits[SPLIT], looks or 0, whole=whole)
            for group in self.groups
        ]
        return None if None in each else float(np.mean([x for x in each if x is not None]))

    def _inside(self, arm: Arm, way: str) -> float | None:
        """Mean share of the looks that lie in a labelled stretch, in percent."""
        found = self.answers[arm.name].found
        if way.startswith("T=") and "inside_first" in found[0]:
            first = [own["inside_first"][:, :, int(way[2:]) - 1] for own in found]
        elif way == "all" and arm.kind == "scores" and not np.isnan(found[0]["inside"]).all():
            first = [own["inside"] for own in found]
        else:
            return None
        return 100 * float(np.mean([own.mean() for own in first]))

    def _silent(self, right: list[np.ndarray]) -> float | None:
        """Top-1 of the videos without sound, in percent."""
        own = [x[:, rows(group, SILENT)] for x, group in zip(right, self.groups, strict=True)]
        return 100 * float(np.mean([x.mean() for x in own])) if own[0].size else None

    def curves(self) -> list[dict[str, Any]]:
        """Top-1, in percent with its interval, and cost of the arms that are drawn, after every look."""
        found = []
        for arm in map(self.study.arm, self.study.drawn):
            for t in range(1, self.answers[arm.name].found[0]["steps"].shape[2] + 1):
                right = self.answers[arm.name].right(f"T={t}", self.seeds)
                interval = bootstrap.joint(right, crossed=self.study.crossed)
                top1 = {"top1": 100 * interval.mean, "low": 100 * interval.low, "high": 100 * interval.high}
                found.append({"arm": arm.name, "looks": t, "gmacs": self._gmacs(arm, f"T={t}")} | top1)
        return found

    def exits(self) -> list[dict[str, float]]:
        """Top-1 and mean looks of stopping early: at the chosen threshold, and at every tenth."""
        answers = self.answers[self.study.exits]
        limits = [self.chosen.threshold, *np.linspace(0, 1, 11)]
        of = lambda limit: [
            choice.stopped(own["steps"].astype(np.float32), labels, float(limit))
            for own, labels in zip(answers.found, answers.labels, strict=True)
        ]
        means = [np.mean(of(limit), axis=0) for limit in limits]
        return [
            {"threshold": float(limit), "top1": 100 * float(right), "looks": float(looks)}
            for limit, (right, looks) in zip(limits, means, strict=True)
        ]


def rows(group: Mapping[str, Features], where: str) -> np.ndarray:
    """Which videos of the test split a difference is over."""
    heard = next(iter(group.values())).splits[SPLIT]["has_audio"]
    return ~heard if where == SILENT else np.ones_like(heard)


def ways(arm: Arm, found: Mapping[str, np.ndarray]) -> list[str]:
    """The answers of an arm that the table has."""
    steps = [f"T={t}" for t in LOOKS if "steps" in found and t <= found["steps"].shape[2]]
    return steps + [way for way in ("soft", "hard", "all") if way in found]


def looks_of(arm: Arm, way: str) -> int | None:
    """How many positions are read; None: all of them."""
    if way.startswith("T="):
        return int(way[2:])
    if way == "hard":
        return arm.model.get("steps")
    return arm.count or None


def write(results: Results, out: Path) -> str:
    """Writes results.json, results.md and curves.png; returns the text of the second."""
    study = results.study
    found = {str(d): results.difference(d) for d in study.differences}
    corrected = bootstrap.holm({name: interval.p for name, (interval, _) in found.items()})
    differences = [
        {"name": name, "videos": videos, "holm": corrected[name]} | dataclasses.asdict(interval)
        for name, (interval, videos) in found.items()
    ]
    table = list(results.rows())
    counts = [len(next(iter(group.values())).splits[SPLIT]["mask"]) for group in results.groups]
    beneath = BENEATH.format(
        groups=len(results.groups),
        what="students" if study.crossed else "folds",
        seeds=results.seeds,
        videos=counts[0] if study.crossed else " + ".join(map(str, counts)),
        levels="students, seeds and videos" if study.crossed else "seeds and videos of each fold",
        count=len(differences),
    )
    record: dict[str, Any] = {"choice": results.chosen.hash, "best_lstm": results.chosen.best_lstm, "beneath": beneath}
    record |= {"rows": table, "differences": differences, "early_exit": results.exits()}
    record["curves"] = results.curves()
    atomic.write_json(out / JSON, record)
    picture.draw(record["curves"], out / PICTURE)
    text = markdown(record)
    with atomic.replacing(out / TABLE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


def markdown(record: Mapping[str, Any]) -> str:
    """The tables as text."""
    number = lambda x, digits=1: "" if x is None else f"{x:.{digits}f}"
    lines = ["| arm | T | GMACs | top-1 | 95 % | inside, % | silent, top-1 |", "|---|---|---|---|---|---|---|"]
    for row in sorted(record["rows"], key=lambda row: (row["looks"] is None, -(row["looks"] or 0), -row["top1"])):
        name = row["arm"] + {"soft": ", soft", "hard": ", hard"}.get(row["way"], "")
        cells = [name, row["looks"] or "all", number(row["gmacs"], 3), number(row["top1"])]
        cells += [f"{row['low']:.1f} to {row['high']:.1f}", number(row["inside"]), number(row["silent"])]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", record["beneath"], ""]
    lines += ["| difference | points | 95 % | p, corrected | videos |", "|---|---|---|---|---|"]
    for d in record["differences"]:
        span = f"{100 * d['low']:+.1f} to {100 * d['high']:+.1f}"
        lines.append(f"| {d['name']} | {100 * d['mean']:+.1f} | {span} | {d['holm']:.4f} | {d['videos']} |")
    lines += ["", f"The best LSTM by validation is {record['best_lstm']!r}.", ""]
    lines += ["| stops above | mean looks | top-1 |", "|---|---|---|"]
    for place, row in enumerate(record["early_exit"]):
        limit = f"{row['threshold']:.2f}" + (", chosen" if place == 0 else "")
        lines.append(f"| {limit} | {row['looks']:.1f} | {row['top1']:.1f} |")
    return "\n".join(lines) + "\n"
