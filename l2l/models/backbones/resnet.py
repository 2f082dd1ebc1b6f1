"""ResNet-18 trunks for one image and for one log-mel spectrogram (He et al., CVPR 2016).

Structure, padding and BatchNorm constants are torchvision's `resnet18`, so that its weights load. The audio
trunk has another stem (one input channel, stride 1) and another pool, as the released Listen to Look code.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.backbones.conv import Conv

STAGES = (2, 2, 2, 2)


def layers(dtype: Any, train: bool) -> tuple[partial, partial]:
    """The convolution and the normalisation that a whole trunk shares, as torchvision sets them."""
    conv = partial(Conv, dtype=dtype)
    norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype)
    return conv, norm


def pool_mean(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Mean over some axes, computed and returned in at least float32."""
    return jnp.mean(x, axes, dtype=jnp.promote_types(x.dtype, jnp.float32))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: (b, h, w, c) -> (b, ceil(h / stride), .., planes)."""

    planes: int
    stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv3 = partial(self.conv, self.planes, (3, 3), padding=(1, 1))
        strides = (self.stride, self.stride)
        y = conv3(strides=strides, name="conv1")(x)
        y = nn.relu(self.norm(name="norm1")(y))
        y = self.norm(name="norm2")(conv3(name="conv2")(y))
        if x.shape != y.shape:
            x = self.conv(self.planes, (1, 1), strides, name="downsample")(x)
            x = self.norm(name="downsample_norm")(x)
        return nn.relu(x + y)


def stage_of(side: int, cells: int, stages: int) -> int:
    """The number of the last of a trunk's stages whose map of an image of `side` pixels is so many cells wide.

    Raises:
      ValueError: none is.
    """
    widths = [-(-side // 2 ** (stage + 2)) for stage in range(stages)]
    if widths[0] < cells:
        raise ValueError(f"the maps of an image of {side} pixels are {widths} wide, regions={cells} is too many")
    return max(stage for stage, width in enumerate(widths) if width >= cells)


class Trunk(nn.Module):
    """7x7 stem, 3x3/2 max pool and stages, each with twice the channels: (b, h, w, c) -> (b, h', w', d)."""

    width: int
    stages: Sequence[int]
    stem_strides: tuple[int, int]
    dtype: Any

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """The last stage's map."""
        return self.maps(x, train)[-1]

    @nn.compact
    def maps(self, x: jax.Array, train: bool) -> list[jax.Array]:
        """Those of all stages."""
        conv, norm = layers(self.dtype, train)
        x = conv(self.width, (7, 7), self.stem_strides, padding=(3, 3), name="stem")(x)
        x = nn.relu(norm(name="stem_norm")(x))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        maps = []
        for i, blocks in enumerate(self.stages):
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                x = Block(self.width * 2**i, stride, conv, norm, name=f"layer{i + 1}_{j}")(x)
            maps.append(x)
        return maps


class ImageResNet(nn.Module):
    """Image trunk: (b, h, w, 3) normalised RGB -> (b, d) float32, the average over all places."""

    width: int = 64
    stages: Sequence[int] = STAGES
    dtype: Any = jnp.float32

    def __call__(self, image: jax.Array, train: bool) -> jax.Array:
        """The descriptor."""
        return pool_mean(self._maps(image, train)[-1], (1, 2))

    def grid(self, image: jax.Array, train: bool, cells: int) -> jax.Array:
        """The last map (b, h, h, c) that is so many cells wide, float32."""
        maps = self._maps(image, train)
        found = maps[stage_of(image.shape[1], cells, len(maps))]
        return found.astype(jnp.promote_types(found.dtype, jnp.float32))

    @nn.compact
    def _maps(self, image: jax.Array, train: bool) -> list[jax.Array]:
        return Trunk(self.width, self.stages, (2, 2), self.dtype, name="trunk").maps(image, train)


class AudioResNet(nn.Module):
    """Audio trunk: (b, m, f) log-mel -> (b, d) float32.

    The stem keeps full resolution. At the end the frequency rows (3 of them for 40 bands) collapse to one by
    a learned 1x1 convolution across rows, shared by all channels, and the maximum over time is taken.
    """

    width: int = 64
    stages: Sequence[int] = STAGES
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, log_mel: jax.Array, train: bool) -> jax.Array:
        # A fixed map from log-mel's range (-13.8 for silence, about 3 for full scale) to about -2..2.
        x = (log_mel[..., None] + 5) / 5
        x = Trunk(self.width, self.stages, (1, 1), self.dtype, name="trunk")(x, train)  # (b, m', f', c)
        x = nn.Dense(1, name="frequency")(jnp.swapaxes(x, 2, 3))[..., 0]  # (b, m', c)
        return jnp.max(x, 1)
