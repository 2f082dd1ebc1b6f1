"""Metrics over all examples at once, in numpy. Nothing here averages averages."""

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


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
    """Macro mean of average precision over the classes that have a positive example, and how many those are.

    Args:
      scores, labels: (n, classes).
    """
    present = np.flatnonzero(labels.any(axis=0))
    if not present.size:
        return float("nan"), 0
    return float(np.mean([average_precision(scores[:, c], labels[:, c]) for c in present])), int(present.size)


def classification(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """top1, top5, mAP (over softmax scores), and over how many classes with positives that mean is taken.

    Args:
      logits: (n, classes) float32.
      labels: (n, classes) of zeros and ones.
    """
    scores = logits - logits.max(axis=1, keepdims=True)
    scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    mean_ap, classes = mean_average_precision(scores, labels)
    return {
        "top1": top_k(logits, labels, 1),
        "top5": top_k(logits, labels, 5),
        "mAP": mean_ap,
        "mAP_classes": classes,
        "examples": len(logits),
    }
