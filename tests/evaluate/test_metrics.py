"""Metrics and losses by value, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn

from l2l.evaluate import metrics
from l2l.tasks import losses


def random_case(seed):
    """(scores, labels) (n, k) with ties; some classes have no positive example, some have several an example."""
    rng = np.random.default_rng(seed)
    n, k = rng.integers(2, 40, 2)
    scores = rng.integers(0, rng.integers(2, 30), (n, k)) / 7
    labels = (rng.random((n, k)) < rng.random(k) ** 2 * 0.6).astype(int)
    labels[0, 0] = 1
    return scores, labels


@pytest.mark.parametrize("seed", range(60))
def test_average_precision_is_scikit_learns(seed):
    scores, labels = random_case(seed)
    present = labels.any(axis=0)
    theirs = [sklearn.average_precision_score(y, x) for x, y in zip(scores.T[present], labels.T[present], strict=True)]
    ours = metrics.average_precisions(scores, labels)
    np.testing.assert_allclose(ours[present], theirs, rtol=1e-12)
    assert np.isnan(ours[~present]).all()


@pytest.mark.parametrize("multi_label", [False, True])
def test_mean_average_precision_is_scikit_learns(multi_label):
    empty = 0
    for seed in range(60):
        scores, labels = random_case(seed)
        present = labels.any(axis=0)
        empty += int((~present).sum())
        found = metrics.classification(scores, labels, multi_label)
        shown = metrics.probabilities(scores, multi_label)
        macro = sklearn.average_precision_score(labels[:, present], shown[:, present], average="macro")
        micro = sklearn.average_precision_score(labels, shown, average="micro")
        assert found["mAP"] == pytest.approx(macro, rel=1e-12)
        assert found["mAP_micro"] == pytest.approx(micro, rel=1e-12)
        assert (found["mAP_classes"], found["examples"]) == (present.sum(), len(scores))
    assert empty > 100


def test_map_skips_classes_without_positives_and_says_so():
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5], [0.8, 0.2, 0.5]])
    found = metrics.classification(np.log(scores), labels)
    assert (found["mAP"], found["mAP_classes"]) == (1.0, 2)
    nothing = metrics.classification(np.log(scores), 0 * labels)
    assert np.isnan([nothing["mAP"], nothing["mAP_micro"]]).all()


def test_probabilities():
    logits = np.array([[0.0, np.log(3), -2000.0], [3000.0, 0.0, 0.0]])
    np.testing.assert_allclose(metrics.probabilities(logits, False), [[0.25, 0.75, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(metrics.probabilities(logits, True), [[0.5, 0.75, 0], [1, 0.5, 0.5]], atol=1e-12)


@pytest.mark.parametrize("multi_label", [False, True])
def test_logits_are_the_inverse_of_probabilities(multi_label):
    scores = np.array([[0.25, 0.75, 0.0], [0.125, 0.375, 0.5]])
    np.testing.assert_allclose(
        metrics.probabilities(metrics.logits(scores, multi_label), multi_label), scores, atol=1e-12
    )


def test_calibration_error_equals_a_plain_loop():
    rng = np.random.default_rng(3)
    confidence, correct = np.append(rng.random(200), [0.0, 1.0]), rng.random(202) < 0.6
    plain = 0.0
    for low in np.arange(15) / 15:
        own = (confidence >= low) & ((confidence < low + 1 / 15) | (low > 0.93))
        plain += abs(correct[own].sum() - confidence[own].sum()) / len(correct)
    assert metrics.calibration_error(confidence, correct) == pytest.approx(plain)
    assert metrics.calibration_error(np.array([0.8] * 5), np.array([1, 1, 1, 1, 0])) == pytest.approx(0)


def test_paired_difference():
    ours, theirs = np.array([1, 1, 0, 1, 0] * 20), np.array([1, 0, 0, 1, 1] * 20)
    mean, low, high = metrics.paired_difference(ours, theirs)
    deviation = np.sqrt(0.4 * 100 / 99)  # two of five differ, once each way
    assert mean == 0
    assert (high, low) == pytest.approx((1.96 * deviation / 10, -1.96 * deviation / 10))
    assert metrics.paired_difference(ours.astype(bool), ours.astype(bool)) == (0, 0, 0)


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
