"""The preview trunk: one pass over a track, passes over pieces and passes over windows agree by value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.inference import track_preview
from l2l.models.backbones import conv
from l2l.models.backbones.audio_preview import EDGE, FIELD, STRIDE, Preview, depthwise, moments
from l2l.models.backbones.frontend import log_mel
from l2l.models.macs import random_key, shape, traced
from l2l.models.student import Student

HOP = 160 * STRIDE  # samples from one moment to the next


@pytest.fixture(scope="module")
def trunk():
    model = Preview(features=6, width=2)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 101, 40)), train=False)
    noise = lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape)
    variables = jax.tree.map(noise, variables["params"]), variables["batch_stats"]
    return model, {"params": variables[0], "batch_stats": variables[1]}


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.uniform(0, 9000, int(seconds * 10) + 1), 1600)[: round(seconds * 16000)]
    return (loud * rng.standard_normal(len(loud))).clip(-32768, 32767).astype(np.int16)


def reader(wave: np.ndarray):
    """What reads a track from front to back: silence beyond its end."""
    last = 0

    def read(begin: int, stop: int) -> np.ndarray:
        nonlocal last
        assert last <= begin < stop
        last = begin
        return np.pad(wave, (0, max(stop - len(wave), 0)))[begin:stop]

    return read


def test_a_moment_depends_on_its_field_and_on_nothing_else(trunk):
    model, variables = trunk
    mel = jax.random.normal(jax.random.key(1), (1, 101, 40))
    run = lambda mel: np.asarray(model.apply(variables, mel, train=False, pool=False))[0]
    before = run(mel)
    assert before.shape == (moments(101), 6) == (18, 6)
    for frame, first, last in ((EDGE + 40, 3, 10), (1, None, None), (EDGE + FIELD - 1, 0, 7)):
        after = run(mel.at[0, frame].add(1.0))
        changed = np.flatnonzero(np.abs(after - before).max(1) > 1e-7)
        expected = [] if first is None else list(range(first, last + 1))
        assert changed.tolist() == expected, frame


def test_windows_pieces_and_one_pass_agree(trunk):
    model, variables = trunk
    wave = sound(7.3)
    starts = np.array([0, HOP * 13, HOP * 25, HOP * 150])
    windows = np.stack([wave[s : s + 16000] for s in starts])
    one_by_one = model.apply(variables, log_mel(jnp.asarray(windows)), train=False)
    hear = track_preview.hearer(lambda mel: model.apply(variables, mel, train=False, pool=False), piece=1.0)
    whole = track_preview.hearer(lambda mel: model.apply(variables, mel, train=False, pool=False), piece=30.0)
    np.testing.assert_allclose(hear(reader(wave), starts), one_by_one, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(whole(reader(wave), starts), one_by_one, rtol=1e-4, atol=1e-4)
    assert np.ptp(np.asarray(one_by_one), axis=0).max() > 0.1


def test_windows_beyond_the_track_hear_silence_there(trunk):
    model, variables = trunk
    wave = sound(2.0)
    starts = np.array([-8000, HOP * 30])
    padded = np.pad(wave, (8000, 16000))
    windows = jnp.asarray(np.stack([padded[s + 8000 : s + 24000] for s in starts]))
    hear = track_preview.hearer(lambda mel: model.apply(variables, mel, train=False, pool=False), piece=1.0)
    expected = model.apply(variables, log_mel(windows), train=False)
    # -8000 is 12.5 moments before the track: heard at the nearest one, half a moment off.
    np.testing.assert_allclose(hear(reader(wave), starts)[1], expected[1], rtol=1e-4, atol=1e-4)
    shifted = jnp.asarray(padded[None, HOP // 2 :][:, :16000]), jnp.asarray(np.pad(padded, (HOP // 2, 0))[None, :16000])
    near = [
        np.abs(hear(reader(wave), starts)[0] - model.apply(variables, log_mel(w), train=False)[0]).max()
        for w in shifted
    ]
    assert min(near) < 1e-4


def test_depthwise_is_a_grouped_convolution():
    x, kernel = jax.random.normal(jax.random.key(0), (2, 9, 8, 3)), jax.random.normal(jax.random.key(1), (3, 3, 3))
    for strides in ((1, 1), (1, 2), (2, 2)):
        expected = jax.lax.conv_general_dilated(
            x, kernel[:, :, None], strides, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=3
        )
        np.testing.assert_allclose(depthwise(x, kernel, strides), expected, rtol=1e-5, atol=1e-5)
        with conv.as_convolutions():
            np.testing.assert_array_equal(depthwise(x, kernel, strides), expected)


def cost(model: Preview, frames: int) -> int:
    """Multiply-adds on so many log-mel frames."""
    call = lambda key, log_mel: {"moments": model.init_with_output(key, log_mel, train=False, pool=False)[0]}
    return traced(call, random_key(), shape(1, frames, 40)).macs("moments")


@pytest.mark.parametrize("width", [2, 32])
def test_cost_is_what_the_layers_do(width):
    stem, last = 47 * 20 * 25 * width, 18 * 8 * width * (3 + 24)
    maps = (
        (45, 10, 1, 2),
        (22, 5, 2, 4),
        (20, 3, 4, 8),
        (18, 3, 8, 8),
    )
    blocks = sum(t * f * c * width * (9 + d * width) for t, f, c, d in maps)
    assert cost(Preview(features=24, width=width), 101) == stem + blocks + last


def test_a_second_of_a_long_track_costs_what_an_hour_says():
    a_second = lambda width: cost(Preview(512, width), 360_001) / 3600
    assert a_second(16) == pytest.approx(4_640_800, rel=1e-3)
    assert a_second(32) == pytest.approx(13_992_000, rel=1e-3)


def test_student_with_a_preview():
    model = Student(3, width=4, stages=(1, 1), feature=8, preview=2)
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), jnp.zeros((2, 1, 16, 16, 3)), jnp.zeros((2, 101, 40)), train=False)
    )
    assert shapes["params"]["audio"]["output"]["kernel"].shape == (16, 8)
    assert "trunk" in shapes["params"]["image"]
