"""The student: one image and one second of sound stand in for a clip."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.backbones.audio_preview import Preview
from l2l.models.backbones.resnet import STAGES, AudioResNet, ImageResNet

MODALITIES = {"both": ("image", "audio"), "image": ("image",), "audio": ("audio",)}


def modalities(name: str) -> tuple[str, ...]:
    """The modalities that a choice stands for, in the order image, audio.

    Raises:
      ValueError: no such choice.
    """
    if name not in MODALITIES:
        raise ValueError(f"unknown modality {name!r}; choose from {', '.join(MODALITIES)}")
    return MODALITIES[name]


class Fusion(nn.Module):
    """Two linear layers over the descriptors at hand: (b, d) and/or (b, d) -> (b, feature) float32."""

    feature: int = 512
    hidden: int = 1024
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array | None, audio: jax.Array | None) -> jax.Array:
        x = jnp.concatenate([z for z in (image, audio) if z is not None], -1)
        init = nn.initializers.normal(0.02)
        x = nn.relu(nn.Dense(self.hidden, kernel_init=init, dtype=self.dtype, name="hidden")(x))
        x = nn.Dense(self.feature, kernel_init=init, dtype=self.dtype, name="output")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Unfused(nn.Module):
    """Stands where the fusion stands for features that are not a student's: they are classified as they are."""

    def __call__(self, image: jax.Array, audio: jax.Array) -> jax.Array:
        """(b, d) and (b, e) -> (b, d + e)."""
        return jnp.concatenate([image, audio], -1)


class Student(nn.Module):
    """Clip classifier that sees a clip's first frame and hears its sound.

    Attributes:
      num_classes: k.
      width: channels of the trunks' first stage, doubled by every further one.
      stages: blocks per stage of both trunks.
      modality: what it takes in: image, audio, or both.
      feature: width of the fused feature.
      preview: width of a small audio trunk in the place of the ResNet, see `Preview`; 0: the ResNet.
      regions: how many regions lie beside each other in a picture, see `Regions`, which the trained student describes
        too, for a skimmer that looks closer; 0: none.
      dtype: of the inputs of convolutions and matrix products; parameters and statistics stay float32.
    """

    num_classes: int
    width: int = 64
    stages: Sequence[int] = STAGES
    modality: str = "both"
    feature: int = 512
    preview: int = 0
    regions: int = 0
    dtype: Any = jnp.float32

    @property
    def descriptor(self) -> int:
        """Width of the image's and of the audio's descriptor: the channels of the trunks' last stage."""
        return self.width * 2 ** (len(self.stages) - 1)

    @nn.compact
    def __call__(self, frames: jax.Array, log_mel: jax.Array, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(b, t, h, w, 3) normalised RGB, (b, m, f) log-mel -> logits (b, k) float32, intermediates.

        The intermediates are "image" and "audio" (b, descriptor) where the modality has them, and "feature".
        """
        chosen, out = modalities(self.modality), {}
        numbers = (self.width, self.stages, self.dtype)
        if "image" in chosen:
            out["image"] = ImageResNet(*numbers, name="image")(frames[:, 0], train)
        if "audio" in chosen:
            small = Preview(self.descriptor, self.preview, self.dtype, name="audio") if self.preview else None
            out["audio"] = (small or AudioResNet(*numbers, name="audio"))(log_mel, train)
        fusion = Fusion(self.feature, dtype=self.dtype, name="fusion")
        out["feature"] = fusion(out.get("image"), out.get("audio"))
        return nn.Dense(self.num_classes, name="classifier")(out["feature"]), out
