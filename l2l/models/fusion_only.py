"""A clip model for features that somebody else made: the fusion and the classifier of a student, without its trunks."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.student import Fusion

EPSILON = 1e-5  # added to a variance
MOMENTUM = 0.9  # of the running statistics, a step


def standardised(x: jax.Array, statistics: dict[str, jax.Array]) -> jax.Array:
    """Descriptors (..., d) without the "mean" and the scale "var" (d,) of those that were learned from."""
    return (x - statistics["mean"]) / jnp.sqrt(statistics["var"] + EPSILON)


class Standard(nn.Module):
    """Standardises descriptors: by the statistics of the batch in training, else by the running ones."""

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array, train: bool) -> jax.Array:
        """(b, n, d), bool (b, n) -> (b, n, d), zeros where it is not valid; a batch of such alone teaches nothing."""
        running = {
            "mean": self.variable("batch_stats", "mean", jnp.zeros, x.shape[-1:]),
            "var": self.variable("batch_stats", "var", jnp.ones, x.shape[-1:]),
        }
        statistics = {name: own.value for name, own in running.items()}
        if train:
            share = valid / jnp.maximum(jnp.sum(valid), 1)
            mean = jnp.einsum("bn,bnd->d", share, x)
            statistics = {"mean": mean, "var": jnp.einsum("bn,bnd->d", share, (x - mean) ** 2)}
            new = jnp.where(jnp.any(valid), 1 - MOMENTUM, 0.0)
            for name, own in running.items():
                own.value += new * (statistics[name] - own.value)
        return jnp.where(valid[..., None], standardised(x, statistics), 0)


class FusionOnly(nn.Module):
    """Classifies positions by their descriptors, which it standardises: features come on every scale.

    Whatever else reads these descriptors standardises them by its running statistics "norm_image" and "norm_audio".

    Attributes:
      num_classes: k.
      image, audio: widths of the two descriptors, of which one may be 0; where both are, a training takes those of its
        data.
      feature: width of the fused feature.
      dropout: share of the feature that the classifier does not see in training.
      dtype: of the inputs of matrix products; parameters stay float32.
    """

    num_classes: int
    image: int = 0
    audio: int = 0
    feature: int = 512
    dropout: float = 0.5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, image: jax.Array, audio: jax.Array, valid: dict[str, jax.Array], train: bool
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Describes and classifies n positions of every video.

        Args:
          image, audio: (b, n, d) and (b, n, e) descriptors.
          valid: "image" and "audio" -> bool (b, n), where there are such descriptors; others count as the mean.
          train: learn the statistics, and leave out features at random, from the stream "dropout".

        Returns:
          Logits (b, n, k) float32, and {"feature": (b, n, feature)}.
        """
        banks = [
            Standard(name=f"norm_{m}")(x, valid[m], train)
            for m, x in (("image", image), ("audio", audio))
            if x.shape[-1]
        ]
        feature = Fusion(self.feature, dtype=self.dtype, name="fusion")(jnp.concatenate(banks, -1), None)
        seen = nn.Dropout(self.dropout)(feature, deterministic=not train)
        return nn.Dense(self.num_classes, name="classifier")(seen), {"feature": feature}
