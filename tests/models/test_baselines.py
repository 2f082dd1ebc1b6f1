"""The learned baselines against plain loops, and that they are called as the skimmer is."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.models.baselines import NonRecurrent, VideoLSTM
from l2l.models.layers import WeightNormLSTM, lstm_step
from l2l.models.student import Fusion
from tests.helpers.quick import fill, jit

N, D, K = 9, 6, 3
LENGTHS = np.array([9, 5, 2, 0])
FUSION = Fusion(feature=7, hidden=8)
MODELS = {"lstm": VideoLSTM(K, FUSION, hidden=10), "nonrecurrent": NonRecurrent(K, FUSION, steps=3, key=5)}


@pytest.fixture(scope="module")
def data():
    """Descriptors, mask and the fusion's variables."""
    rng = np.random.default_rng(0)
    image, audio = rng.normal(size=(2, 4, N, D)).astype(np.float32)
    variables = FUSION.init(jax.random.key(3), jnp.zeros((1, D)), jnp.zeros((1, D)))
    return image, audio, np.arange(N) < LENGTHS[:, None], jax.tree.map(lambda x: 20 * x, variables)


def start(name, data):
    return fill(MODELS[name].init, *data, train=False)


def answer(name, variables, data, **how):
    return jit(functools.partial(MODELS[name].apply, **({"train": False} | how)))(variables, *data)


def fused(data):
    image, audio, mask, fusion = data
    return np.asarray(FUSION.apply(fusion, image, audio)) * mask[..., None]


def softmax(x):
    return np.exp(x - x.max(-1, keepdims=True)) / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)


def test_lstm_reads_every_video_to_its_end(data):
    variables, x = start("lstm", data), fused(data)
    logits, out = answer("lstm", variables, data)
    assert out == {}
    head = variables["params"]["head"]
    weights = WeightNormLSTM(10).apply({"params": variables["params"]["lstm"]}, x.shape[-1])
    for row, length in enumerate(LENGTHS):
        h = c = jnp.zeros((1, 10))
        for i in range(length):
            h, c = lstm_step(weights, x[row : row + 1, i], h, c)
        np.testing.assert_allclose(logits[row], (h @ head["kernel"] + head["bias"])[0], rtol=1e-4, atol=1e-5)


def test_nonrecurrent_averages_the_scores_of_the_best_weights(data):
    variables, x = start("nonrecurrent", data), fused(data)
    params, stats = variables["params"], variables["batch_stats"]["keys"]["norm"]
    logits, out = answer("nonrecurrent", variables, data, hard=True)
    soft, _ = answer("nonrecurrent", variables, data)
    np.testing.assert_array_equal(out["looks"], [3, 3, 2, 0])
    keys = x @ params["keys"]["linear"]["kernel"] + params["keys"]["linear"]["bias"]
    norm = params["keys"]["norm"]
    keys = (keys - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * norm["scale"] + norm["bias"]
    scores = np.maximum(keys, 0) @ params["query"] / 5**0.5
    head = lambda feature: feature @ params["classifier"]["kernel"] + params["classifier"]["bias"]
    for row, length in enumerate(LENGTHS[:3]):
        best = np.argsort(-scores[row, :length])[:3]
        np.testing.assert_allclose(logits[row], np.log(softmax(head(x[row, best])).mean(0)), rtol=1e-3, atol=1e-4)
        weights = softmax(scores[row, :length])
        np.testing.assert_allclose(soft[row], head(weights @ x[row, :length]), rtol=1e-3, atol=1e-4)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("name", MODELS)
def test_more_padding_changes_nothing(name, data):
    image, audio, mask, fusion = data
    wide = ((0, 0), (0, 5), (0, 0))
    padded = np.pad(image, wide, constant_values=np.nan), np.pad(audio, wide, constant_values=1e6)
    padded = (*padded, np.pad(mask, wide[:2]), fusion)
    variables = start(name, data)
    for how in ({}, {"hard": True}, {"train": True, "mutable": ["batch_stats"]}):
        plain, wider = (jax.tree.leaves(answer(name, variables, x, **how)) for x in (data, padded))
        for a, b in zip(plain, wider, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_recogniser_judges_what_the_query_chose(data):
    variables, other = start("nonrecurrent", data), np.random.default_rng(5).normal(size=(4, N, 7)).astype(np.float32)
    logits, _ = answer("nonrecurrent", variables, (*data, other), hard=True)
    head = variables["params"]["classifier"]
    same, _ = answer("nonrecurrent", variables, data, hard=True)
    scores = softmax(other[2, :2] @ head["kernel"] + head["bias"])  # a short video: all of its positions
    np.testing.assert_allclose(logits[2], np.log(scores.mean(0)), rtol=1e-4, atol=1e-5)
    assert not np.allclose(logits[2], same[2])
    with pytest.raises(ValueError, match="leave config.recognition empty"):
        answer("lstm", start("lstm", data), (*data, other))
