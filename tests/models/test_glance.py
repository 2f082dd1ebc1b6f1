"""The glance by value: attention, the best T, the answer after each, padding, silence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.models.glance import Glance
from l2l.models.student import Fusion
from tests.helpers.quick import fill, jit

N, D, T, K, EVERY = 12, 6, 3, 3, 4
LENGTHS = np.array([12, 9, 11, 2])
HEARD = np.array([True, True, False, True])
FUSION = Fusion(feature=7, hidden=8)
MODEL = Glance(K, FUSION, steps=T, hidden=10, stride=EVERY, context=3)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    image, audio = rng.normal(size=(2, 4, N, D)).astype(np.float32)
    fusion = jax.tree.map(lambda x: 20 * x, FUSION.init(jax.random.key(3), jnp.zeros((1, D)), jnp.zeros((1, D))))
    return image, audio, np.arange(N) < LENGTHS[:, None], fusion


@pytest.fixture(scope="module")
def variables(data):
    return fill(MODEL.init, *data, None, HEARD, train=False)


@functools.cache
def compiled(model, hard=True):
    return jit(functools.partial(model.apply, train=False, hard=hard))


def judged(variables, data, video):
    """Plain numpy: the fused features of a video's positions, and the judge's scores of them."""
    image, audio, mask, fusion = data
    image, audio = image[video][mask[video]], audio[video][mask[video]] * HEARD[video]
    p = jax.tree.map(np.asarray, variables["params"]["attention"])
    scores = []
    for x in np.concatenate([image, audio], -1):
        value, gate = (x @ p[name]["kernel"] + p[name]["bias"] for name in ("value", "gate"))
        scores.append((np.tanh(value) / (1 + np.exp(-gate))) @ p["score"]["kernel"][:, 0])
    return np.asarray(FUSION.apply(fusion, image, audio)), np.array(scores)


def test_the_judge_reads_everything_by_its_attention(data, variables):
    logits, out = compiled(MODEL, hard=False)(variables, *data, None, HEARD)
    head = variables["params"]["classifier"]
    for video, n in enumerate(LENGTHS):
        features, scores = judged(variables, data, video)
        share = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(out["attention"][video, :n], share, rtol=1e-4)
        assert not np.asarray(out["attention"])[video, n:].any()
        wanted = share @ features @ head["kernel"] + head["bias"]
        np.testing.assert_allclose(logits[video], wanted, rtol=1e-4, atol=1e-4)


def test_the_best_are_read_in_the_listeners_order(data, variables):
    logits, out = jax.tree.map(np.asarray, compiled(MODEL)(variables, *data, None, HEARD))
    head = variables["params"]["classifier"]
    assert out["looks"].tolist() == [3, 3, 3, 2]
    for video, n in enumerate(LENGTHS):
        may = [i for i in range(n) if HEARD[video] or i % EVERY == 0]
        order = sorted(may, key=lambda i: -out["scores"][video, i])[:T]
        assert out["picked"][out["counted"][:, video], video].tolist() == order
        features, scores = judged(variables, data, video)
        for t in range(len(order)):
            weight = np.exp(scores[order[: t + 1]])
            read = weight @ features[order[: t + 1]] / weight.sum()
            wanted = read @ head["kernel"] + head["bias"]
            np.testing.assert_allclose(out["step_logits"][t, video], wanted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(logits[video], wanted, rtol=1e-4, atol=1e-4)
    assert out["picked"][2, 3] == out["picked"][0, 3]  # of two positions one comes again


def test_fewer_looks_are_the_first_of_more(data, variables):
    _, three = compiled(MODEL)(variables, *data, None, HEARD)
    logits, two = compiled(MODEL.clone(steps=2))(variables, *data, None, HEARD)
    np.testing.assert_array_equal(two["picked"], three["picked"][:2])
    np.testing.assert_allclose(logits, three["step_logits"][1], rtol=1e-5, atol=1e-6)
    more, _ = compiled(MODEL.clone(steps=N + 3))(variables, *data, None, np.ones(4, bool))
    every, _ = compiled(MODEL, hard=False)(variables, *data, None, np.ones(4, bool))
    np.testing.assert_allclose(more, every, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hard", [True, False])
def test_padding_and_the_sound_of_silent_videos_change_nothing(data, variables, hard):
    image, audio, mask, fusion = data
    wanted, _ = compiled(MODEL, hard)(variables, *data, None, HEARD)
    image, audio = (np.where(mask[..., None], x, np.nan).astype(np.float32) for x in (image, audio))
    audio[~HEARD] = np.nan
    image, audio, mask = (np.pad(x, [(0, 0), (0, 5)] + [(0, 0)] * (x.ndim - 2)) for x in (image, audio, mask))
    logits, _ = compiled(MODEL, hard)(variables, image, audio, mask, fusion, None, HEARD)
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("listens", ["audio", "image", "both"])
def test_it_chooses_by_what_is_cheap_alone(data, variables, listens):
    image, audio, mask, fusion = data
    look = compiled(MODEL.clone(listens=listens))
    score = lambda *banks: np.asarray(look(variables, *banks, mask, fusion, None, HEARD)[1]["scores"])
    scores, seen = score(image, audio), np.arange(N) % EVERY == 0
    np.testing.assert_array_equal(score(np.where(seen[:, None], image, 9), audio), scores)
    change = 9 * np.arange(D, dtype=np.float32)
    by_image = np.abs(score(image + change, audio) - scores).max(-1) > 1e-4
    np.testing.assert_array_equal(by_image, ~HEARD if listens == "audio" else np.ones(4, bool))
    by_sound = np.abs(score(image, audio + change) - scores).max(-1) > 1e-4
    np.testing.assert_array_equal(by_sound, HEARD & (listens != "image"))


def test_other_features_are_what_the_judge_reads(data):
    image, audio, mask, fusion = data
    other = np.random.default_rng(1).normal(size=(4, N, 5)).astype(np.float32)
    variables = fill(MODEL.init, *data, other, HEARD, train=False)
    wanted, _ = compiled(MODEL)(variables, *data, other, HEARD)
    assert variables["params"]["classifier"]["kernel"].shape == (5, K)
    blind = np.where(HEARD[:, None, None], 0, image)  # where there is sound, images choose nothing
    logits, _ = compiled(MODEL)(variables, blind, audio, mask, fusion, other, HEARD)
    np.testing.assert_array_equal(logits, wanted)


@pytest.mark.parametrize(("change", "words"), [({"listens": "all"}, "unknown listens='all'"), ({"context": 4}, "odd")])
def test_what_it_cannot_be(data, change, words):
    with pytest.raises(ValueError, match=words):
        MODEL.clone(**change).init(jax.random.key(0), *data, train=False)


R, C = 4, 5
NEAR = MODEL.clone(closer="judge")


@pytest.fixture(scope="module")
def near(data):
    """What is added by regions: cells (b, n, r * c) and regions (b, n, r * d)."""
    rng = np.random.default_rng(1)
    shapes = {"cells": (4, N, R * C), "regions": (4, N, R * D)}
    return {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


@pytest.fixture(scope="module")
def near_variables(data, near):
    return fill(NEAR.init, *data, None, HEARD, near, train=False)


def pairs(variables, data, near, video):
    """Plain numpy: the features (n, r, f) of a video's positions with each of their regions, and the judge's scores."""
    image, audio, mask, fusion = data
    image, audio = image[video][mask[video]], audio[video][mask[video]] * HEARD[video]
    p, share = (jax.tree.map(np.asarray, variables["params"][name]) for name in ("attention", "share"))
    features, scores = np.zeros((len(image), R, 7)), np.zeros((len(image), R))
    for i, r in np.ndindex(len(image), R):
        region = near["regions"][video, i].reshape(R, D)[r]
        first, second = (np.asarray(FUSION.apply(fusion, x[None], audio[i][None]))[0] for x in (image[i], region))
        mixed = 1 / (1 + np.exp(-(np.concatenate([first, second]) @ share["kernel"] + share["bias"])))
        features[i, r] = first + mixed * (second - first)
        x = np.concatenate([image[i], audio[i], region])
        value, gate = (x @ p[name]["kernel"] + p[name]["bias"] for name in ("value", "gate"))
        scores[i, r] = (np.tanh(value) / (1 + np.exp(-gate))) @ p["score"]["kernel"][:, 0]
    return features, scores


def test_the_judge_attends_to_all_regions_and_the_scorers_best_is_read(data, near, near_variables):
    head = near_variables["params"]["classifier"]
    every, everything = compiled(NEAR, hard=False)(near_variables, *data, None, HEARD, near)
    logits, out = compiled(NEAR)(near_variables, *data, None, HEARD, near)
    for video, n in enumerate(LENGTHS):
        features, scores = pairs(near_variables, data, near, video)
        share = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(everything["closer"][video, :n], share, rtol=1e-4, atol=1e-6)
        assert not np.asarray(everything["closer"])[video, n:].any()
        np.testing.assert_allclose(everything["attention"][video, :n], share.sum(-1), rtol=1e-4)
        wanted = np.einsum("nr,nrf->f", share, features) @ head["kernel"] + head["bias"]
        np.testing.assert_allclose(every[video], wanted, rtol=1e-4, atol=1e-4)
        picks, taken = np.asarray(out["picked"])[:, video], np.asarray(out["counted"])[:, video]
        best = np.asarray(out["region_scores"])[video].argmax(-1)[picks]
        assert (np.asarray(out["region"])[:, video] == best).all()
        at = picks[taken], best[taken]
        share = np.exp(scores[at]) / np.exp(scores[at]).sum()
        wanted = share @ features[at] @ head["kernel"] + head["bias"]
        np.testing.assert_allclose(logits[video], wanted, rtol=1e-4, atol=1e-4)


def test_the_scorer_sees_the_first_look_alone(data, near, near_variables):
    """Other pictures of the regions change what is read, not which are chosen."""
    other = near | {"regions": near["regions"][::-1]}
    (a, one), (b, two) = (compiled(NEAR)(near_variables, *data, None, HEARD, x) for x in (near, other))
    for key in ("region", "region_scores", "picked", "scores"):
        np.testing.assert_array_equal(one[key], two[key])
    assert np.abs(a - b).max() > 1e-3
    with pytest.raises(ValueError, match="recognised by its regions alone"):
        NEAR.apply(near_variables, *data, data[0], HEARD, near, train=False)
    with pytest.raises(ValueError, match="unknown closer='state' of a glance"):
        MODEL.clone(closer="state").apply(near_variables, *data, None, HEARD, near, train=False)
