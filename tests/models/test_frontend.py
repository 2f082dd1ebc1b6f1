"""Log-mel against two independent references, and at its corners."""

import warnings

import jax
import numpy as np
import pytest

from l2l.models.backbones.frontend import log_mel


def wave(seconds=1.0, seed=0):
    """Noise and a rising tone, int16 (2, n)."""
    rng, t = np.random.default_rng(seed), np.arange(int(16_000 * seconds)) / 16_000
    tone = 0.5 * np.sin(2 * np.pi * (300 * t + 1500 * t**2))
    return (32767 * np.clip(tone + rng.normal(0, 0.1, (2, len(t))), -1, 1)).astype(np.int16)


def reference(x):
    """The same in float64, written as plainly as possible: one frame, one DFT, one filter at a time."""
    x = np.pad(x.astype(np.float64) / 32768, 200, mode="reflect")
    mel = lambda f: 1127 * np.log(1 + f / 700)
    points = np.linspace(mel(0), mel(8000), 42)
    rows = []
    for start in range(0, len(x) - 399, 160):
        frame = x[start : start + 400] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400))
        magnitude = np.abs(np.fft.fft(np.pad(frame, (0, 112)))[:257])
        places = mel(np.arange(257) * 16_000 / 512)
        filters = [np.interp(places, points[k : k + 3], [0, 1, 0]) for k in range(40)]
        rows.append([np.log(f[1:] @ magnitude[1:] + 1e-6) for f in filters])
    return np.array(rows)


def test_equals_a_plain_reference_eagerly_and_jitted():
    x = wave()
    expected = np.stack([reference(w) for w in x])
    for function in (log_mel, jax.jit(log_mel)):
        mine = function(x)
        assert mine.shape == (2, 101, 40)
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, expected, atol=1e-4)


def test_equals_tensorflow_io_on_the_padded_wave():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its native operations do not load; these functions need none of them
        tfio = pytest.importorskip("tensorflow_io", reason="tensorflow-io has no wheel for this Python")
        x = wave(seed=1)
        padded = np.pad(x / 32768, ((0, 0), (200, 200)), mode="reflect").astype(np.float32)
        spectrum = tfio.audio.spectrogram(padded, nfft=512, window=400, stride=160)
        mel = tfio.audio.melscale(spectrum, rate=16_000, mels=40, fmin=0, fmax=8000)
    expected = np.log(mel.numpy()[:, :101] + 1e-6)  # the frames after these run over the end
    np.testing.assert_allclose(log_mel(x), expected, atol=1e-4)


def test_int16_and_float_agree():
    x = wave()
    np.testing.assert_array_equal(log_mel(x), log_mel(x / np.float32(32768)))


@pytest.mark.parametrize(("samples", "frames"), [(16_000, 101), (16_159, 101), (16_160, 102), (201, 2)])
def test_number_of_frames(samples, frames):
    assert log_mel(np.zeros((1, samples), np.int16)).shape == (1, frames, 40)


def test_silence_is_the_floor():
    np.testing.assert_allclose(log_mel(np.zeros((1, 16_000), np.int16)), np.log(1e-6), rtol=1e-6)


def test_tones_land_in_their_bands():
    t = np.arange(16_000) / 16_000
    tones = np.stack([np.sin(2 * np.pi * f * t) for f in (200, 1000, 4000)])
    loudest = np.asarray(log_mel(tones.astype(np.float32)))[:, 50].argmax(-1)
    centres = 700 * np.expm1(np.linspace(0, np.log1p(8000 / 700), 42)[1:-1])
    np.testing.assert_allclose(centres[loudest], (200, 1000, 4000), rtol=0.1)


def test_float32_whatever_the_default():
    with jax.enable_x64(True):
        assert log_mel(wave()).dtype == np.float32
