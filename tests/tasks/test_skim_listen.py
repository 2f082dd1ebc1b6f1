"""Choosing moments by sound, by images where there is none, and what follows from it: losses, costs, metrics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import preview, skim
from l2l.data.preprocess import silent
from l2l.evaluate import model_macs, sound_robustness
from l2l.evaluate.evaluation import measure
from l2l.models.backbones.frontend import RATE
from l2l.models.skimmer import Skimmer
from l2l.models.student import Fusion
from l2l.runs import config
from l2l.tasks import Skim
from tests.helpers.quick import fill, jit

N, D, T, K, EVERY = 12, 6, 3, 3, 4
LENGTHS = np.array([12, 11, 9, 3])
HEARD = np.array([True, False, True, False])
FUSION = Fusion(feature=7, hidden=8)
NUMBERS = {"num_classes": K, "fusion": FUSION, "steps": T, "hidden": 10, "key": 5, "query": 6, "count_start": False}
PLAIN = Skimmer(**NUMBERS, index_by="audio", selection="straight_through")
LISTEN = PLAIN.clone(fallback=EVERY)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    image, audio = rng.normal(size=(2, 4, N, D)).astype(np.float32)
    fusion = jax.tree.map(lambda x: 20 * x, FUSION.init(jax.random.key(3), jnp.zeros((1, D)), jnp.zeros((1, D))))
    return image, audio, np.arange(N) < LENGTHS[:, None], fusion


@pytest.fixture(scope="module")
def variables(data):
    return fill(LISTEN.init, *data, None, HEARD, train=False)


@functools.cache
def compiled(model, hard=True):
    return jit(functools.partial(model.apply, train=False, hard=hard))


def picked(out, video):
    return np.asarray(out["picked"]["audio"])[:, video][np.asarray(out["counted"])[:, video]]


def test_with_sound_it_is_the_skimmer_by_sound(data, variables):
    own = {kind: {k: v for k, v in tree.items() if k != "keys_image"} for kind, tree in variables.items()}
    logits, out = compiled(LISTEN)(variables, *data, None, np.ones(4, bool))
    expected, by_sound = compiled(PLAIN)(own, *data)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(out["picked"]["audio"], by_sound["picked"]["audio"])


def test_images_matter_only_where_it_looks_and_sound_only_where_there_is_any(data, variables):
    image, audio, mask, fusion = data
    logits, out = compiled(LISTEN)(variables, *data, None, HEARD)
    other_image, other_audio = image.copy(), audio.copy()
    for video in np.flatnonzero(HEARD):
        other_image[video, np.setdiff1d(np.arange(N), picked(out, video))] += 3
    other_image[~HEARD] += 3 * (np.arange(N) % EVERY != 0)[:, None]
    other_audio[~HEARD] = 5
    again, _ = compiled(LISTEN)(variables, other_image, other_audio, mask, fusion, None, HEARD)
    np.testing.assert_allclose(again, logits, rtol=1e-5, atol=1e-6)
    for video in range(4):  # and there they do
        other = image.copy()
        other[video, picked(out, video)[0]] += 3
        changed, _ = compiled(LISTEN)(variables, other, audio, mask, fusion, None, HEARD)
        assert np.abs(changed - logits)[video].max() > 1e-3


def test_without_sound_it_looks_at_the_stride_as_often_as_it_can(data, variables):
    _, out = compiled(LISTEN)(variables, *data, None, HEARD)
    assert out["looks"].tolist() == [3, 3, 3, 1]
    assert sorted(picked(out, 1)) == [0, 4, 8]
    assert picked(out, 3).tolist() == [0]
    assert len(set(picked(out, 0))) == 3


def test_start_is_the_mean_of_what_indexes(data, variables):
    image, audio, mask, fusion = data
    model = LISTEN.clone(count_start=True, steps=1)
    logits, _ = compiled(model)(variables, *data, None, HEARD)
    taken = mask[1] & (np.arange(N) % EVERY == 0)
    zeros = np.zeros((1, D), np.float32)
    heard = FUSION.apply(fusion, zeros, audio[0][mask[0]].mean(0)[None])
    seen = FUSION.apply(fusion, image[1][taken].mean(0)[None], zeros)
    head = variables["params"]["classifier"]
    expected = np.concatenate([heard, seen]) @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(logits[:2], expected, rtol=1e-4, atol=1e-5)


def test_fallback_is_for_sound_alone(data):
    with pytest.raises(ValueError, match="fallback=4 is for index_by=audio, not for index_by=both"):
        PLAIN.clone(fallback=EVERY, index_by="both").init(jax.random.key(0), *data, None, HEARD, train=False)


def test_start_is_not_weighed(data):
    with pytest.raises(ValueError, match="looks are weighed"):
        LISTEN.clone(weigh=True, count_start=True).init(jax.random.key(0), *data, None, HEARD, train=False)


def test_looks_are_weighed_by_what_they_show(data):
    model = LISTEN.clone(weigh=True)
    variables = fill(model.init, *data, None, HEARD, train=False)
    _, out = compiled(model)(variables, *data, None, HEARD)
    image, audio, _, fusion = data
    at = np.asarray(out["picked"]["audio"])[:, 0]
    looks = FUSION.apply(fusion, image[0, at], audio[0, at])
    hidden, output = (variables["params"]["worth"][layer] for layer in ("hidden", "output"))
    shown = np.maximum(looks @ hidden["kernel"] + hidden["bias"], 0)
    worth = np.exp(3 * np.tanh(shown @ output["kernel"][:, 0]))
    assert worth.max() / worth.min() > 1.2
    np.testing.assert_allclose(out["worth"][:, 0], worth, rtol=1e-4)
    head = variables["params"]["classifier"]
    for t in range(T):
        mean = (looks * worth[:, None])[: t + 1].sum(0) / worth[: t + 1].sum()
        np.testing.assert_allclose(out["step_logits"][t, 0], mean @ head["kernel"] + head["bias"], rtol=1e-4, atol=1e-4)


def test_muted_videos_are_trained_on_as_without_sound(data, variables):
    image, audio, mask, fusion = data
    frozen = {"fusion": fusion["params"]}
    batch = {"image": image, "audio": audio, "valid": mask, "labels": np.eye(K)[[0, 1, 2, 0]], "mask": np.ones(4, bool)}
    heard, deaf = (batch | {"has_audio": np.full(4, value)} for value in (True, False))

    def loss(share, batch):
        task = Skim(LISTEN, 0.0, mute=share)
        return float(jit(task.loss)(variables["params"], variables["batch_stats"], frozen, batch, jax.random.key(0))[0])

    assert loss(1.0, heard) == pytest.approx(loss(0.0, deaf), rel=1e-6)
    assert loss(1.0, heard) != pytest.approx(loss(0.0, heard), rel=1e-3)
    task = Skim(LISTEN, 0.0, mute=0.25)
    many = task.muted({"has_audio": jnp.arange(8000) % 2 == 0}, jax.random.key(1))["has_audio"]
    assert not many[1::2].any()
    assert many[::2].mean() == pytest.approx(0.75, abs=0.03)


def full(stage, variant):
    return config.plain(stage.get_config(variant))


def test_at_full_size_a_video_costs_a_tenth_of_what_both_modalities_do():
    student, plain = full(preview, "activitynet"), full(skim, "activitynet")
    listening = plain | {"model": plain["model"] | {"index_by": "audio", "count_start": False, "fallback": 5}}
    video = {"positions": 203, "steps": 10, "looks": 10}
    parts = model_macs.video_macs(listening, student, 200, **video)
    assert sum(parts.values()) < 20e9
    assert parts["indexing"] == 203 * model_macs.trunk_macs(student)["audio"]
    assert parts["recognition"] == 10 * model_macs.trunk_macs(student)["image"]
    whole = {"model": student["model"] | {"preview": 0}, "data": student["data"], "dtype": "float32"}
    assert sum(parts.values()) < 0.1 * sum(model_macs.video_macs(plain, whole, 200, **video).values())
    deaf = model_macs.video_macs(listening, student, 200, **video, has_audio=False)
    assert deaf["indexing"] == -(-203 // 5) * model_macs.trunk_macs(student)["image"]
    assert deaf["recognition"] == 0


def test_metrics_are_split_by_sound():
    logits, labels = np.eye(K)[[0, 1, 1, 2]], np.eye(K)[[0, 1, 2, 2]]
    found = measure({"logits": logits, "labels": labels, "has_audio": np.array([True, True, False, False])}, False)
    assert (found["top1"], found["with_audio_top1"], found["without_audio_top1"]) == (0.75, 1.0, 0.5)
    assert (found["with_audio_examples"], found["without_audio_examples"]) == (2, 2)
    same = measure({"logits": logits, "labels": labels, "has_audio": np.ones(4, bool)}, False)
    assert not any("audio" in name for name in same)


def test_noise_and_music_are_what_they_are_called():
    hiss, music = sound_robustness.hiss(), sound_robustness.music()
    assert len(hiss) == len(music) == sound_robustness.SECONDS * RATE
    assert not silent(hiss)
    assert np.abs(hiss).max() < 600
    assert 8000 < np.abs(music.astype(int)).max() < 32767
    strength = np.abs(np.fft.rfft(music[: RATE // 2]))  # of the first chord: bins of 2 Hz
    loudest = 2 * np.argsort(strength)[::-1][:4]
    assert {round(12 * np.log2(f / 110)) % 12 for f in loudest} <= {0, 4, 7}


def test_silence_is_no_sound():
    assert silent(np.zeros(0, np.int16))
    assert silent(np.full(9, -32, np.int16))
    assert not silent(np.array([0, -32768], np.int16))


def test_sound_trials_change_the_sound_alone():
    valid = np.arange(3) < np.array([3, 2, 1])[:, None]
    audio = np.arange(1, 10, dtype=np.float16).reshape(3, 3, 1) * valid[..., None]
    batch = {"audio": audio, "valid": valid, "has_audio": np.array([True, False, False]), "mask": np.arange(3) < 2}
    mute, swap = sound_robustness.muted(batch), sound_robustness.swapped(batch)
    assert not mute["audio"].any()
    assert not mute["has_audio"].any()
    assert swap["audio"][..., 0].tolist() == [[4, 5, 4], [1, 2, 0], [0, 0, 0]]
    assert swap["has_audio"].tolist() == [False, True, False]
    same = sound_robustness.played(np.array([[7.0], [8.0]]))(batch)
    assert same["audio"][..., 0].tolist() == [[7, 8, 7], [7, 8, 0], [7, 0, 0]]
    assert same["has_audio"].tolist() == [True, True, False]
    assert batch["audio"][0, 0, 0] == 1
