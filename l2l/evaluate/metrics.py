"""Metrics over all examples at once, in numpy. Nothing here averages averages."""

from collections.abc import Iterable

import numpy as np


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of examples with a true label among their k highest scores. Ties count for the lower class id.

    Args:
      scores: (n, classes).
      labels: (n, classes) of zeros and ones.
      k: how many classes are looked at; all of them if there are fewer.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean(np.take_along_axis(labels, order, axis=1).max(axis=1)))


def agreement(scores: np.ndarray, others: np.ndarray) -> float:
    """Share of examples whose highest score, of (n, classes), stands at the same class in both."""
    return float(np.mean(scores.argmax(axis=1) == others.argmax(axis=1)))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision-recall steps of one class; equal scores form one step, as in scikit-learn.

    Args:
      scores: (n,).
      positive: (n,) of zeros and ones with at least one 1.
    """
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    last = np.append(np.diff(scores) != 0, True)
    true = np.cumsum(positive)[last]
    precision = true / (np.flatnonzero(last) + 1)
    recall = true / true[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Average precision of every class, float64 (classes,); NaN for a class without a positive example.

    Args:
      scores, labels: (n, classes).
    """
    each = [average_precision(s, y) if y.any() else np.nan for s, y in zip(scores.T, labels.T, strict=True)]
    return np.array(each, np.float64)


def hits(where: Iterable[np.ndarray], picked: np.ndarray) -> np.ndarray:
    """Which picks are of marked positions, bool (v, T).

    Args:
      where: of every video bool (n,), its marked positions.
      picked: int (v, T), positions; what is past the end of a video counts as its last one.
    """
    return np.stack([marks[np.minimum(own, len(marks) - 1)] for marks, own in zip(where, picked, strict=True)])


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: |accuracy - mean confidence| over equal bins of confidence, weighted by their size.

    Args:
      confidence: (n,) in 0..1, of the answer given.
      correct: (n,), whether it was right.
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, correct - confidence, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def paired_difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """Mean of ours - theirs over the same examples, (n,) each, and its 95 % interval by the normal approximation."""
    difference = ours.astype(np.float64) - theirs
    mean, half = difference.mean(), 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    return float(mean), float(mean - half), float(mean + half)


def probabilities(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """(..., classes) -> the same in 0..1: each class by itself (sigmoid), or shares of one (softmax)."""
    if multi_label:
        return 0.5 * (1 + np.tanh(0.5 * logits))
    scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def logits(scores: np.ndarray, multi_label: bool) -> np.ndarray:
    """The inverse of `probabilities`: scores (..., classes) in 0..1, those of one example summing to 1 without it."""
    tiny = np.finfo(np.float64).tiny
    log = lambda x: np.log(np.maximum(x, tiny))
    return log(scores) - log(1 - scores) if multi_label else log(scores)


def classification(logits: np.ndarray, labels: np.ndarray, multi_label: bool = False) -> dict[str, float]:
    """How well logits tell labels, over the scores that `probabilities` makes of them.

    Args:
      logits: (n, classes) float32.
      labels: (n, classes) of zeros and ones.

    Returns:
      top1, top5: see `top_k`.
      mAP: macro mean of average precision over the classes that have a positive example; NaN if there is none.
      mAP_classes: how many those are.
      mAP_micro: average precision of all pairs of an example and a class as one list.
      examples: n.
    """
    scores = probabilities(logits.astype(np.float64), multi_label)
    each = average_precisions(scores, labels)
    present = each[~np.isnan(each)]
    return {
        "top1": top_k(logits, labels, 1),
        "top5": top_k(logits, labels, 5),
        "mAP": float(present.mean()) if present.size else float("nan"),
        "mAP_classes": int(present.size),
        "mAP_micro": average_precision(scores.ravel(), labels.ravel()) if present.size else float("nan"),
        "examples": len(logits),
    }
