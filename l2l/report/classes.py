"""What a run's predictions say of every class: recall and precision, what is taken for what, and the worst mistakes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l.evaluate import metrics
from l2l.models.student import modalities
from l2l.report.files import Files
from l2l.report.video_parts import uri
from l2l.runs.prediction_rules import positions

Arrays = Mapping[str, np.ndarray]

MOST_CLASSES = 20  # that a matrix is drawn of; of more, the largest confusions are listed
MOST_CONFUSIONS = 20
MISTAKES = 6
SURE = 0.5  # score from which a class that is judged by itself is said


@dataclasses.dataclass(frozen=True)
class Class:
    """One class: in how many examples it is, in how many it was said; percent, None where there is nothing to count."""

    label: str
    count: int
    said: int
    recall: float | None
    precision: float | None
    ap: float | None


@dataclasses.dataclass(frozen=True)
class Confusion:
    """How many examples of a class were taken for another one; percent of that class's examples."""

    truth: str
    said: str
    count: int
    share: float


@dataclasses.dataclass(frozen=True)
class Confusions:
    """What was taken for what, over the examples that have exactly one label.

    Attributes:
      matrix: (label, counts, shares) of each class, by the classes that were said; shares are of the class's examples.
        None of many classes.
      largest: the largest confusions, of many classes.
      other: how many different confusions there are beside those.
      examples: how many were counted.
      left_out: how many have no label, or several.
    """

    matrix: list[tuple[str, list[int], list[float]]] | None
    largest: list[Confusion]
    other: int
    examples: int
    left_out: int


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A wrong answer; scores in percent, `own` is that of the best true class, `at` in seconds of the film."""

    name: str
    truth: list[str]
    said: str
    score: float
    own: float | None
    at: float
    image: str
    missing: str


def section(labels: Sequence[str], arrays: Arrays, files: Files, *, multi_label: bool) -> dict[str, Any]:
    """What the page says of the classes of one run.

    Args:
      labels: class names.
      arrays: the run's predictions.
      files: where the pictures of mistakes come from.
      multi_label: whether classes are judged by themselves, so that none is taken for another.
    """
    scores = metrics.probabilities(arrays["logits"].astype(np.float64), multi_label)
    wrong = worst(scores, arrays["labels"])
    return {
        "classes": by_class(scores, arrays["labels"], labels, multi_label=multi_label),
        "confusions": None if multi_label else confusions(scores, arrays["labels"], labels),
        "mistakes": [mistake(i, scores, arrays, labels, files) for i in wrong],
        "examples": len(scores),
    }


def by_class(scores: np.ndarray, truth: np.ndarray, labels: Sequence[str], *, multi_label: bool) -> list[Class]:
    """Every class, those of the lowest average precision first, those without an example last.

    Args:
      scores: (n, k), in 0..1.
      truth: (n, k) of zeros and ones.
      labels: k names.
      multi_label: whether a class is said where its score is at least SURE; else where it is the highest.
    """
    said = scores >= SURE if multi_label else np.arange(len(labels)) == scores.argmax(axis=1)[:, None]
    hits, counts, answers = (x.sum(axis=0).astype(int) for x in (said * truth, truth, said))
    share = lambda part, whole: 100 * float(part / whole) if whole else None
    precisions = metrics.average_precisions(scores, truth)
    found = [
        Class(label, int(n), int(m), share(hit, n), share(hit, m), 100 * float(ap) if n else None)
        for label, n, m, hit, ap in zip(labels, counts, answers, hits, precisions, strict=True)
    ]
    return sorted(found, key=lambda one: (one.ap is None, one.ap))


def confusions(scores: np.ndarray, truth: np.ndarray, labels: Sequence[str]) -> Confusions:
    """What was taken for what; arguments as `by_class`."""
    single = truth.sum(axis=1) == 1
    pairs = np.stack([truth[single].argmax(axis=1), scores[single].argmax(axis=1)])
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, tuple(pairs), 1)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    known = {"examples": int(single.sum()), "left_out": int((~single).sum())}
    if len(labels) <= MOST_CLASSES:
        rows = zip(labels, counts.tolist(), shares.tolist(), strict=True)
        return Confusions(list(rows), [], 0, **known)
    off = counts * ~np.eye(len(labels), dtype=bool)
    order = np.argsort(-off, axis=None, kind="stable")[: min(MOST_CONFUSIONS, np.count_nonzero(off))]
    places = zip(*np.unravel_index(order, off.shape), strict=True)
    largest = [Confusion(labels[i], labels[j], int(off[i, j]), float(shares[i, j])) for i, j in places]
    return Confusions(None, largest, int(np.count_nonzero(off)) - len(largest), **known)


def worst(scores: np.ndarray, truth: np.ndarray) -> list[int]:
    """The examples whose wrong answer is the most confident, at most MISTAKES; arguments as `by_class`."""
    best = scores.argmax(axis=1)
    right = np.take_along_axis(truth, best[:, None], axis=1)[:, 0] > 0
    order = np.argsort(-scores.max(axis=1), kind="stable")
    return order[~right[order]][:MISTAKES].tolist()


def mistake(row: int, scores: np.ndarray, arrays: Arrays, labels: Sequence[str], files: Files) -> Mistake:
    """One of them, with the picture that is at `moment`."""
    name, at, true = str(arrays["video_id"][row]), moment(arrays, row), np.flatnonzero(arrays["labels"][row]).tolist()
    clips, missing = files.clips(name, [at])
    return Mistake(
        name=name,
        truth=[labels[i] for i in true],
        said=labels[int(scores[row].argmax())],
        score=100 * float(scores[row].max()),
        own=100 * float(scores[row, true].max()) if true else None,
        at=at,
        image=uri("jpeg", clips[0].jpegs[0]) if clips else "",
        missing=missing,
    )


def moment(arrays: Arrays, row: int) -> float:
    """What to show of an example, seconds: a clip; of a video its first look, or the middle where nothing looks."""
    times = arrays["times"][row]
    if times.ndim == 0:
        return float(times)
    kinds = ("picked", *(f"picked_{m}" for m in modalities("both")))
    picks = [arrays[key][row] for key in kinds if key in arrays]
    n = int(positions(arrays)[row])
    place = int(picks[0][arrays["counted"][row].argmax()]) if picks else n // 2
    return float(times[min(place, n - 1)])
