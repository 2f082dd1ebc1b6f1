"""Selections that do not learn, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.models.skimmer import Skimmer
from l2l.models.student import Unfused
from l2l.tasks import selections
from l2l.tasks.selections import Videos
from l2l.tasks.skim import Skim

LENGTHS = (20, 7, 4, 3, 0)


def videos(total=24, order=slice(None)):
    """Videos of these lengths, in places up to `total`; scores beyond a video's end are higher than inside."""
    rng = np.random.default_rng(0)
    valid = np.arange(total) < np.array(LENGTHS)[:, None]
    confidence, truth = (np.where(valid, np.resize(rng.random((5, 24)), (5, total)), 9.0) for _ in range(2))
    rows = [valid, np.arange(5) + 5, confidence, truth]
    return Videos(*(jnp.asarray(x[order]) for x in rows))


def marked(name, given, count):
    """Positions by video."""
    marks = np.asarray(selections.SELECTIONS[name](given, count))
    assert marks.dtype == bool
    return [np.flatnonzero(row).tolist() for row in marks]


def best(scores, length, count):
    return sorted(sorted(range(length), key=lambda i: -scores[i])[:count])


PLAIN = {
    "uniform": lambda n, t, v, row: sorted({int((i + 0.5) * n / t) for i in range(t)} & {*range(n)}),
    "front": lambda n, t, v, row: list(range(min(n, t))),
    "end": lambda n, t, v, row: list(range(max(n - t, 0), n)),
    "centre": lambda n, t, v, row: list(range(max(n - t, 0) // 2, min(max(n - t, 0) // 2 + t, n))),
    "confident": lambda n, t, v, row: best(v.confidence[row], n, t),
    "oracle": lambda n, t, v, row: best(v.truth[row], n, t),
    "dense": lambda n, t, v, row: list(range(n)),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("count", [1, 4, 10])
def test_against_a_plain_loop(name, count):
    given = videos()
    expected = [PLAIN[name](n, count, given, row) for row, n in enumerate(LENGTHS)]
    assert marked(name, given, count) == expected


@pytest.mark.parametrize("name", selections.SELECTIONS)
def test_a_short_video_has_all_marked_whatever_the_padding(name):
    for total in (20, 24, 40):
        found = marked(name, videos(total), 4)
        assert [len(row) for row in found] == ([20, 7, 4, 3, 0] if name == "dense" else [4, 4, 4, 3, 0])


def test_random_is_a_function_of_the_examples_number_alone():
    found = marked("random", videos(), 4)
    assert marked("random", videos(40), 4) == found
    assert marked("random", videos(order=slice(None, None, -1)), 4) == found[::-1]
    drawn = np.zeros(20)
    many = Videos(*(jnp.repeat(x[:1], 400, axis=0) for x in (videos().valid, *[jnp.zeros((1, 24))] * 3)))
    many = Videos(many.valid, jnp.arange(400), many.confidence, many.truth)
    for row in marked("random", many, 5):
        drawn[row] += 1
    assert drawn.sum() == 5 * 400
    assert np.abs(drawn - 100).max() < 45  # 5 deviations


def test_scores_of_what_is_chosen_are_averaged():
    """The indexing classifier chooses, the recogniser's judges; the oracle knows the recogniser's scores."""
    rng = np.random.default_rng(3)
    image, other = rng.normal(size=(2, 3, 9, 4)).astype(np.float32)
    lengths, labels = np.array([9, 5, 2]), np.eye(4, dtype=np.float32)[[0, 3, 1]]
    batch = {
        "image": image,
        "audio": image[..., :0],
        "recognition": other,
        "valid": np.arange(9) < lengths[:, None],
        "labels": labels,
        "example": np.arange(3),
    }
    heads = [{"kernel": rng.normal(size=(4, 4)).astype(np.float32), "bias": rng.normal(size=4)} for _ in range(2)]
    frozen = {"fusion": {}, "classifier": heads[0], "recogniser": {"fusion": {}, "classifier": heads[1]}}
    task = Skim(Skimmer(4, Unfused(), steps=3), 0.0, Unfused())
    found = task.selected(frozen, jax.tree.map(jnp.asarray, batch), task.model.steps)
    assert {*found} == {f"logits_{name}" for name in selections.SELECTIONS}
    softmax = lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    index, judged = (softmax(x @ h["kernel"] + h["bias"]) for x, h in zip((image, other), heads, strict=True))
    for row, n in enumerate(lengths):
        chosen = best(index[row].max(-1), n, 3)
        expected = np.log(judged[row, chosen].mean(0))
        np.testing.assert_allclose(found["logits_confident"][row], expected, rtol=1e-4)
        chosen = best(judged[row] @ labels[row], n, 3)
        np.testing.assert_allclose(found["logits_oracle"][row], np.log(judged[row, chosen].mean(0)), rtol=1e-4)
        np.testing.assert_allclose(found["logits_dense"][row], np.log(judged[row, :n].mean(0)), rtol=1e-4)
    del batch["labels"]
    assert "logits_oracle" not in task.selected(frozen, jax.tree.map(jnp.asarray, batch), task.model.steps)
