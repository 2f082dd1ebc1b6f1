"""I3D on RGB, a clip teacher (Carreira and Zisserman, CVPR 2017): Inception-v1 with its filters inflated in time.

Structure and constants are those of the published network, so that its weights load: convolutions and pools are
padded as TensorFlow's SAME (at a stride the padding depends on the size, and the larger half comes last), BatchNorm has
no scale. The head averages over whatever is left in space, so any size of picture will do.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.backbones.resnet import pool_mean

Triple = tuple[int, int, int]

# Channels of a mixed block's convolutions: 1x1; 1x1 and 3x3; 1x1 and 3x3; 1x1 after the pool.
MIXED = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Window and strides of the pool before a block, over (t, h, w).
POOLS = {
    "conv_2b": ((1, 3, 3), (1, 2, 2)),
    "mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
FEATURE = 384 + 384 + 128 + 128


class Unit(nn.Module):
    """Convolution with a cube of side `size`, BatchNorm without scale, ReLU: (b, t, h, w, c) -> (.., channels)."""

    channels: int
    size: int
    stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.conv(self.channels, (self.size,) * 3, strides=self.stride, name="conv")(x)
        return nn.relu(self.norm(name="norm")(x))


class Mixed(nn.Module):
    """Four branches side by side: (b, t, h, w, c) -> (b, t, h, w, sum of their channels)."""

    channels: Sequence[int]
    unit: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        a, b0, b1, c0, c1, d = self.channels
        unit = self.unit
        pooled = nn.max_pool(x, (3, 3, 3), (1, 1, 1), "SAME")
        branches = (
            unit(a, 1, name="branch0")(x),
            unit(b1, 3, name="branch1")(unit(b0, 1, name="branch1_in")(x)),
            unit(c1, 3, name="branch2")(unit(c0, 1, name="branch2_in")(x)),
            unit(d, 1, name="branch3")(pooled),
        )
        return jnp.concatenate(branches, -1)


class I3D(nn.Module):
    """Clip classifier.

    Attributes:
      num_classes: k.
      dtype: of the inputs of convolutions; parameters and statistics stay float32.
    """

    num_classes: int
    dtype: Any = jnp.float32

    @property
    def feature(self) -> int:
        """Width of the feature."""
        return FEATURE

    @nn.compact
    def __call__(
        self, frames: jax.Array, log_mel: jax.Array | None, train: bool
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(b, t, h, w, 3) RGB in [-1, 1] -> logits (b, k) float32, intermediates; the sound is not used.

        The published logits are averaged over time; as the head is linear, they are those of the averaged "feature".
        """
        del log_mel
        conv = partial(nn.Conv, use_bias=False, padding="SAME", dtype=self.dtype)
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            use_scale=False,
            momentum=0.999,
            epsilon=1e-3,
            dtype=self.dtype,
        )
        unit = partial(Unit, stride=1, conv=conv, norm=norm)
        blocks: dict[str, Any] = {"conv_2b": partial(unit, 64, 1), "conv_2c": partial(unit, 192, 3)}
        blocks |= {name: partial(Mixed, channels, unit) for name, channels in MIXED.items()}
        out = {}
        x = out["stem"] = unit(64, 7, stride=2, name="stem")(frames)
        for name, block in blocks.items():
            if name in POOLS:
                x = nn.max_pool(x, *POOLS[name], "SAME")
            x = out[name] = block(name=name)(x)
        out["feature"] = average(x)
        return nn.Dense(self.num_classes, name="classifier")(out["feature"]), out


def average(x: jax.Array) -> jax.Array:
    """(b, t, h, w, c) -> (b, c): over space, then over windows of two steps in time, as the published head does."""
    x = pool_mean(x, (2, 3))
    if x.shape[1] > 1:
        x = (x[:, 1:] + x[:, :-1]) / 2
    return x.mean(1)
