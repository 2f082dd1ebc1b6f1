"""Intervals over students, seeds and videos, and the correction for many comparisons, by value."""

import numpy as np
import pytest

from l2l.compare import bootstrap


def test_of_videos_alone_it_is_the_normal_interval():
    values = (np.arange(400) % 5 == 0).astype(float)[None]  # one student, one seed: 20 % of 400 videos
    found = bootstrap.joint([values], crossed=True)
    assert found.mean == pytest.approx(0.2)
    half = 1.96 * (0.2 * 0.8 / 400) ** 0.5
    np.testing.assert_allclose([found.low, found.high], [0.2 - half, 0.2 + half], atol=0.004)
    assert found.p < 0.001


def test_students_and_seeds_widen_it():
    rng = np.random.default_rng(0)
    videos = rng.normal(size=200)
    plain = [np.tile(videos, (4, 1))] * 3
    seeds = [np.tile(videos, (4, 1)) + np.array([[-1], [1], [-1], [1]])] * 3
    students = [np.tile(videos, (4, 1)) + shift for shift in (-1, 0, 1)]
    width = lambda values, crossed=True: np.ptp([*_ends(bootstrap.joint(values, crossed=crossed))])
    assert width(seeds) > 1.5 * width(plain)
    assert width(students) > 3 * width(plain)
    assert width(students, crossed=False) < 1.2 * width(plain)  # folds are all that there are


def _ends(interval):
    return interval.low, interval.high


def test_folds_have_videos_of_their_own():
    found = bootstrap.joint([np.ones((2, 10)), np.zeros((2, 30))], crossed=False)
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)  # each fold counts as much as another
    with pytest.raises(ValueError, match="equal shapes"):
        bootstrap.joint([np.ones((2, 10)), np.zeros((2, 30))], crossed=True)


def test_no_difference_has_a_large_p():
    values = np.where(np.arange(500) % 2, 1.0, -1.0)[None]
    assert bootstrap.joint([values], crossed=True).p > 0.9


def test_holm_by_hand():
    found = bootstrap.holm({"a": 0.03, "b": 0.01, "c": 0.04, "d": 0.9})
    assert list(found) == ["a", "b", "c", "d"]
    np.testing.assert_allclose(list(found.values()), [0.09, 0.04, 0.09, 0.9])
