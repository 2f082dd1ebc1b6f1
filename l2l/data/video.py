"""Frames on the device: uint8 pixels to what the trunks expect."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


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
