"""Positions taken at a stride and what lies between them, against numpy's own interpolation."""

import jax.numpy as jnp
import numpy as np
import pytest

from l2l.models import positions

N = 23
LENGTHS = (23, 11, 6, 1, 0)
VALID = jnp.arange(N) < jnp.array(LENGTHS)[:, None]


@pytest.fixture(scope="module")
def bank():
    return np.random.default_rng(0).normal(size=(len(LENGTHS), N, 3)).astype(np.float32)


@pytest.mark.parametrize("stride", [1, 2, 5, 7, 30])
def test_every_so_many_positions_are_taken(stride):
    marks = np.asarray(positions.taken(VALID, stride))
    for row, length in enumerate(LENGTHS):
        assert np.flatnonzero(marks[row]).tolist() == list(range(0, length, stride))


@pytest.mark.parametrize("stride", [1, 2, 5, 7, 30])
def test_what_lies_between_is_interpolated_over_the_valid_length(stride, bank):
    dirty = np.where(np.asarray(positions.taken(VALID, stride))[..., None], bank, 1e6)  # what is not taken is not read
    found = np.asarray(positions.interpolated(jnp.asarray(dirty), VALID, stride))
    for row, length in enumerate(LENGTHS):
        at = np.arange(0, length, stride)
        for d in range(bank.shape[2]) if length else ():
            expected = np.interp(np.arange(length), at, bank[row, at, d])
            np.testing.assert_allclose(found[row, :length, d], expected, rtol=1e-5, atol=1e-6)


def test_highest_against_a_plain_loop():
    scores = np.random.default_rng(1).integers(0, 5, (len(LENGTHS), N)).astype(np.float32)  # with ties
    for count in (1, 4, 50):
        marks = np.asarray(positions.highest(jnp.asarray(scores), VALID, count))
        for row, length in enumerate(LENGTHS):
            best = sorted(range(length), key=lambda i: (-scores[row, i], i))[:count]
            assert np.flatnonzero(marks[row]).tolist() == sorted(best)


def test_mean_logits_are_of_what_is_marked(bank):
    scores = np.abs(bank)
    marks = np.random.default_rng(2).random((len(LENGTHS), N)) < 0.4
    marks[-1] = False
    found = np.asarray(positions.mean_logits(jnp.asarray(scores), jnp.asarray(marks), False))
    for row in range(len(LENGTHS) - 1):
        np.testing.assert_allclose(found[row], np.log(scores[row, marks[row]].mean(0)), rtol=1e-5, atol=1e-6)
    assert np.isfinite(found[-1]).all()
