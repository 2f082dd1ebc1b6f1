"""Log-mel spectrogram on the device, one function for training and inference.

16 kHz mono; centred frames with reflect padding, periodic Hann window of 400 samples, hop 160, FFT of 512;
magnitude; 40 HTK mel bands over 0-8000 Hz; log(x + 1e-6). One second gives exactly 101 x 40.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

RATE = 16_000  # Hz
WINDOW, HOP, FFT = 400, 160, 512  # samples
BANDS = 40
FLOOR = 1e-6  # added before the logarithm: silence is log(FLOOR)


def hertz_to_mel(hertz: np.ndarray | float) -> np.ndarray:
    """HTK's mel scale."""
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


def mel_matrix() -> np.ndarray:
    """Triangular filters, linear in mel: float32 (FFT // 2 + 1, BANDS). No filter takes the constant part."""
    bins = hertz_to_mel(np.linspace(0, RATE / 2, FFT // 2 + 1))[1:, None]
    edges = np.linspace(hertz_to_mel(0), hertz_to_mel(RATE / 2), BANDS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.pad(np.maximum(weights, 0), ((1, 0), (0, 0))).astype(np.float32)


def log_mel(wave: jax.Array | np.ndarray) -> jax.Array:
    """Log-mel spectrogram.

    Args:
      wave: (b, n) at 16 kHz; int16, or floating point with full scale 1. n > 200.

    Returns:
      float32 (b, 1 + n // 160, 40).
    """
    scale = 1 / 32768 if wave.dtype == jnp.int16 else 1
    x = wave.astype(jnp.float32) * jnp.float32(scale)
    x = jnp.pad(x, ((0, 0), (WINDOW // 2, WINDOW // 2)), mode="reflect")
    starts = np.arange(1 + wave.shape[1] // HOP) * HOP
    frames = x[:, starts[:, None] + np.arange(WINDOW)]  # (b, frames, WINDOW)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    spectrum = jnp.abs(jnp.fft.rfft(frames * hann.astype(np.float32), FFT))
    mel = jnp.matmul(spectrum, mel_matrix(), precision=jax.lax.Precision.HIGHEST)
    return jnp.log(mel + jnp.float32(FLOOR))


def prepare_frames(frames: jax.Array, crop: int, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """Scales square frames to the model's size and normalises them.

    Args:
      frames: uint8 (b, t, s, s, 3) RGB.
      crop: side of the result, pixels; frames of another side are resized (linear, antialiased).
      mean: of each channel on the scale 0..1.
      std: of each channel on the scale 0..1.

    Returns:
      float32 (b, t, crop, crop, 3).
    """
    x = frames.astype(jnp.float32)
    if frames.shape[2:4] != (crop, crop):
        x = jax.image.resize(x, (*frames.shape[:2], crop, crop, 3), "linear")
    return (x / 255 - jnp.asarray(mean, jnp.float32)) / jnp.asarray(std, jnp.float32)
