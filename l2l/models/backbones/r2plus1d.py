"""R(2+1)D, the clip teacher (Tran et al., CVPR 2018), with the structure of torchvision's `r2plus1d_18`.

A (1, k, k) convolution over (b, t, h, w, c) is computed as a 2-D convolution over (b*t, h, w, c) and one of
(k, 1, 1) as a 2-D convolution over (b, t, h*w, c): the same numbers, twice as fast on CPU as in 3-D.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.backbones.conv import Conv
from l2l.models.backbones.resnet import STAGES, layers, pool_mean


def middle_width(inputs: int, outputs: int) -> int:
    """Channels between the factors, such that both have about as many weights as one 3x3x3 convolution."""
    return inputs * outputs * 27 // (inputs * 9 + 3 * outputs)


def spatial(conv: Conv, x: jax.Array) -> jax.Array:
    """Applies a 2-D convolution to every frame of (b, t, h, w, c)."""
    b, t = x.shape[:2]
    y = conv(x.reshape(b * t, *x.shape[2:]))
    return y.reshape(b, t, *y.shape[1:])


def temporal(conv: Conv, x: jax.Array) -> jax.Array:
    """Applies a convolution over (time, 1) to every place of (b, t, h, w, c)."""
    b, t, h, w, c = x.shape
    y = conv(x.reshape(b, t, h * w, c))
    return y.reshape(b, y.shape[1], h, w, -1)


class Factorised(nn.Module):
    """Convolution over space, BatchNorm, ReLU, convolution over time; (b, t, h, w, c) in and out."""

    middle: int
    planes: int
    size: int
    strides: tuple[int, int]  # time, space
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        (t, s), k = self.strides, self.size
        x = spatial(self.conv(self.middle, (k, k), (s, s), padding=(k // 2, k // 2), name="spatial"), x)
        x = nn.relu(self.norm(name="norm")(x))
        return temporal(self.conv(self.planes, (3, 1), (t, 1), padding=(1, 0), name="temporal"), x)


class Block(nn.Module):
    """Two factorised convolutions and a shortcut; both use the middle width of the first one."""

    planes: int
    stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        s, middle = self.stride, middle_width(x.shape[-1], self.planes)
        y = Factorised(middle, self.planes, 3, (s, s), self.conv, self.norm, name="conv1")(x)
        y = nn.relu(self.norm(name="norm1")(y))
        y = Factorised(middle, self.planes, 3, (1, 1), self.conv, self.norm, name="conv2")(y)
        y = self.norm(name="norm2")(y)
        if x.shape != y.shape:
            x = spatial(self.conv(self.planes, (1, 1), (s, s), name="downsample"), x[:, ::s])
            x = self.norm(name="downsample_norm")(x)
        return nn.relu(x + y)


class Bottleneck(nn.Module):
    """A factorised convolution between two of single points, the second four times as wide, and a shortcut."""

    planes: int
    stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        s, wide, middle = self.stride, 4 * self.planes, middle_width(self.planes, self.planes)
        y = spatial(self.conv(self.planes, (1, 1), (1, 1), name="narrow"), x)
        y = nn.relu(self.norm(name="norm1")(y))
        y = Factorised(middle, self.planes, 3, (s, s), self.conv, self.norm, name="conv")(y)
        y = nn.relu(self.norm(name="norm2")(y))
        y = self.norm(name="norm3")(spatial(self.conv(wide, (1, 1), (1, 1), name="wide"), y))
        if x.shape != y.shape:
            x = spatial(self.conv(wide, (1, 1), (s, s), name="downsample"), x[:, ::s])
            x = self.norm(name="downsample_norm")(x)
        return nn.relu(x + y)


class R2Plus1D(nn.Module):
    """Clip classifier.

    Attributes:
      num_classes: k.
      width: channels of the first stage, doubled by every further one.
      stages: blocks per stage.
      bottleneck: blocks that are narrow inside and four times as wide outside, as in R(2+1)D-152 (3, 8, 36, 3).
      dtype: of the inputs of convolutions; parameters and statistics stay float32.
      remat: recompute every block in the backward pass instead of keeping its activations.
    """

    num_classes: int
    width: int = 64
    stages: Sequence[int] = STAGES
    bottleneck: bool = False
    dtype: Any = jnp.float32
    remat: bool = False

    @property
    def feature(self) -> int:
        """Width of the feature."""
        return self.width * 2 ** (len(self.stages) - 1) * (4 if self.bottleneck else 1)

    @nn.compact
    def __call__(
        self, frames: jax.Array, log_mel: jax.Array | None, train: bool
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(b, t, h, w, 3) normalised RGB -> logits (b, k) float32, intermediates; the sound is not used."""
        del log_mel
        conv, norm = layers(self.dtype, train)
        out = {}
        middle = max(45 * self.width // 64, 1)
        x = Factorised(middle, self.width, 7, (1, 2), conv, norm, name="stem")(frames)
        x = out["stem"] = nn.relu(norm(name="stem_norm")(x))
        block = Bottleneck if self.bottleneck else Block
        block = nn.remat(block) if self.remat else block
        for i, blocks in enumerate(self.stages):
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                x = block(self.width * 2**i, stride, conv, norm, name=f"layer{i + 1}_{j}")(x)
            out[f"layer{i + 1}"] = x
        out["feature"] = pool_mean(x, (1, 2, 3))
        logits = nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="classifier")
        return logits(out["feature"]), out
