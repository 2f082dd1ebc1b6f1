"""Metrics and losses by value, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l import losses, metrics


def plain_average_precision(scores, positive) -> float:
    """Precision at every distinct threshold times the recall gained there."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        recall = positive[chosen].sum() / positive.sum()
        total += (recall - before) * positive[chosen].sum() / chosen.sum()
        before = recall
    return total


def test_average_precision_with_ties():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.integers(0, 6, 20) / 5
        positive = rng.integers(0, 2, 20)
        positive[0] = 1
        assert metrics.average_precision(scores, positive) == pytest.approx(plain_average_precision(scores, positive))


def test_map_skips_classes_without_positives_and_says_so():
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5], [0.8, 0.2, 0.5]])
    found = metrics.classification(np.log(scores), labels)
    assert (found["mAP"], found["mAP_classes"]) == (1.0, 2)


def test_top_k_equals_a_plain_loop():
    rng = np.random.default_rng(1)
    scores, labels = rng.normal(size=(40, 7)), rng.integers(0, 2, (40, 7))
    for k in (1, 3, 9):
        plain = np.mean([any(labels[i][c] for c in np.argsort(-scores[i])[:k]) for i in range(40)])
        assert metrics.top_k(scores, labels, k) == pytest.approx(plain)


def test_masked_mean_ignores_padding():
    values, mask = jnp.array([1.0, 3.0, 100.0]), jnp.array([True, True, False])
    assert float(losses.masked_mean(values, mask)) == 2.0
    assert float(losses.masked_mean(values, jnp.zeros(3, bool))) == 0.0


def test_distillation_terms():
    logits, teacher = jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 1.0]])
    feature, target = jnp.array([[1.0, -1.0, 0.5]]), jnp.array([[0.0, 1.0, 0.5]])
    total, l1, soft = losses.distillation(logits, feature, jax.nn.softmax(teacher), target, 100.0)
    p = np.exp([0, 1]) / np.exp([0, 1]).sum()
    q = np.exp([2, 0]) / np.exp([2, 0]).sum()
    assert float(l1[0]) == pytest.approx(3.0)
    assert float(soft[0]) == pytest.approx(-(p * np.log(q)).sum(), rel=1e-5)
    assert float(total[0]) == pytest.approx(float(l1[0]) + 100 * float(soft[0]))


def test_several_labels_share_the_target():
    loss = losses.cross_entropy(jnp.zeros((1, 4)), jnp.array([[1.0, 0.0, 1.0, 0.0]]))
    assert float(loss[0]) == pytest.approx(np.log(4))
