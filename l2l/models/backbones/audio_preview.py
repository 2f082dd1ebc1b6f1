"""A small audio trunk that runs over a whole sound track at once, for choosing moments by sound.

Depthwise-separable convolutions (Howard et al., 2017) without padding in time: what comes out at a moment depends on
the sound around it alone, so one pass over a track, passes over pieces of it, and a pass over each of its windows all
give the same values. The descriptor of a clip is the maximum over the moments inside its second of sound.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.backbones.conv import LAYOUT, written_as_convolutions
from l2l.models.backbones.resnet import layers

EDGE = 2  # log-mel frames at each end of a window that hear beyond it, where its sound is reflected
STEM = 5  # side of the first convolution's kernel, of stride 2
BLOCKS = ((2, (1, 2)), (4, (2, 2)), (8, (1, 2)), (8, (1, 1)))  # channels / width, strides in time and frequency
STRIDE = 4  # log-mel frames from one moment to the next
FIELD = 29  # log-mel frames that a moment depends on


def moments(frames: int) -> int:
    """How many moments so many log-mel frames give, the edges counted."""
    return max(0, (frames - 2 * EDGE - FIELD) // STRIDE + 1)


def depthwise(x: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    """Convolves each channel by itself, without padding: (b, t, f, c), (h, w, c) -> (b, t', f', c).

    A sum of shifted products: CPUs run it several times faster than a grouped convolution.
    """
    if written_as_convolutions():
        return jax.lax.conv_general_dilated(
            x, kernel[:, :, None], strides, "VALID", dimension_numbers=LAYOUT, feature_group_count=x.shape[-1]
        )
    (h, w, _), (s, r) = kernel.shape, strides
    t, f = (x.shape[1] - h) // s + 1, (x.shape[2] - w) // r + 1
    shifts = ((i, j) for i in range(h) for j in range(w))
    products = (x[:, i : i + s * t : s, j : j + r * f : r][:, :t, :f] * kernel[i, j] for i, j in shifts)
    return sum(products, start=jnp.zeros((), x.dtype))


class Separable(nn.Module):
    """A 3x3 convolution of each channel by itself, then a 1x1 one: (b, t, f, c) -> (b, t', f', channels)."""

    channels: int
    strides: tuple[int, int]
    conv: Any
    norm: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = nn.initializers.normal(3**-1)
        kernel = self.param("depthwise", init, (3, 3, x.shape[-1])).astype(self.dtype)
        x = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
        x = nn.relu(self.norm(name="norm1")(depthwise(x, kernel, self.strides)))
        return nn.relu(self.norm(name="norm2")(self.conv(self.channels, (1, 1), name="pointwise")(x)))


class Preview(nn.Module):
    """Audio trunk of a fraction of the ResNet's multiply-adds.

    Attributes:
      features: width of the descriptor.
      width: channels of the first convolution.
      dtype: of the inputs of convolutions; parameters and statistics stay float32.
    """

    features: int
    width: int = 32
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, log_mel: jax.Array, train: bool, *, pool: bool = True) -> jax.Array:
        """Log-mel (b, m, f) -> descriptors (b, features) float32 of whole windows.

        With pool=False every moment's own, (b, moments(m), features); moment j begins at frame j * STRIDE + EDGE.
        """
        conv, norm = layers(self.dtype, train)
        x = (log_mel[:, EDGE:-EDGE, :, None] + 5) / 5  # as the ResNet maps it
        x = conv(self.width, (STEM, STEM), (2, 2), padding=(0, STEM // 2), name="stem")(x)
        x = nn.relu(norm(name="stem_norm")(x))
        for number, (channels, strides) in enumerate(BLOCKS):
            block = partial(Separable, channels * self.width, strides, conv, norm, self.dtype)
            x = block(name=f"block{number + 1}")(x)
        x = nn.Dense(1, name="frequency")(jnp.swapaxes(x, 2, 3))[..., 0]  # (b, moments, c)
        x = nn.Dense(self.features, dtype=self.dtype, name="output")(x).astype(jnp.float32)
        return jnp.max(x, 1) if pool else x
