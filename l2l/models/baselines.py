"""Learned alternatives to the skimmer over the same features, called as it is (table 1 of the paper)."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.applied import applied
from l2l.models.layers import Projection, WeightNormLSTM, exact_mix, lstm_step
from l2l.models.positions import highest, mean_logits
from l2l.models.skimmer import NEVER, Tree


def fused(fusion: nn.Module, image: jax.Array, audio: jax.Array, mask: jax.Array, fusion_params: Tree) -> jax.Array:
    """Fused features (b, n, f) of all positions, in float32 or wider; zeros at the padding."""
    dtype = jnp.promote_types(image.dtype, jnp.float32)
    banks = [jnp.where(mask[..., None], x, 0).astype(dtype) for x in (image, audio)]
    return jnp.where(mask[..., None], applied(fusion, fusion_params, *banks), 0)


class VideoLSTM(nn.Module):
    """Runs over the fused features of all positions in order; the state after the last one is classified.

    Attributes:
      num_classes: k.
      fusion: the student's fusion module; its frozen variables are an argument of the call.
      hidden: width of the state.
      dtype: of the inputs of the last matrix product; parameters and LSTM stay float32.
    """

    num_classes: int
    fusion: nn.Module
    hidden: int = 1024
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        image: jax.Array,
        audio: jax.Array,
        mask: jax.Array,
        fusion_params: Tree,
        recognition: jax.Array | None = None,
        has_audio: jax.Array | None = None,
        *,
        train: bool,
        hard: bool = False,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Arguments as the skimmer's -> (logits (b, k) float32, {}): it chooses nothing, so all ways are one.

        Raises:
          ValueError: recognition features are given, which it has no use for.
        """
        del has_audio, train, hard
        if recognition is not None:
            raise ValueError("the LSTM over all positions has no looks to recognise: leave config.recognition empty")
        x = fused(self.fusion, image, audio, mask, fusion_params)
        state = jnp.zeros_like(x, shape=(x.shape[0], self.hidden))
        weights = WeightNormLSTM(self.hidden, name="lstm")(x.shape[-1])
        positions = jnp.moveaxis(x, 1, 0), mask.T
        (h, _), _ = jax.lax.scan(partial(_next, weights), (state, state), positions)
        logits = nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.02), dtype=self.dtype, name="head")(h)
        return logits.astype(x.dtype), {}


def _next(weights: Tree, state: tuple, position: tuple) -> tuple[tuple, None]:
    """States (b, hidden) after one more position; those of videos that have ended stay as they are."""
    x, valid = position
    return tuple(
        jnp.where(valid[:, None], new, old) for new, old in zip(lstm_step(weights, x, *state), state, strict=True)
    ), None


class NonRecurrent(nn.Module):
    """Weighs all positions by one learned query.

    Training, and soft selection, classify the weighted mean feature. Hard selection averages the scores of the T
    positions with the largest weights.

    Attributes:
      num_classes: k.
      fusion: the student's fusion module; its frozen variables are an argument of the call.
      steps: T, how many positions hard selection reads.
      key: width of keys and query.
      multi_label: the scores are each class by itself (sigmoid) rather than shares of one (softmax).
      dtype: of the inputs of matrix products; parameters, statistics and softmax stay float32.
    """

    num_classes: int
    fusion: nn.Module
    steps: int = 10
    key: int = 512
    multi_label: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        image: jax.Array,
        audio: jax.Array,
        mask: jax.Array,
        fusion_params: Tree,
        recognition: jax.Array | None = None,
        has_audio: jax.Array | None = None,
        *,
        train: bool,
        hard: bool = False,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Arguments as the skimmer's -> logits (b, k) float32, and "looks" int32 (b,): T, or all of a short video."""
        x = fused(self.fusion, image, audio, mask, fusion_params)
        keys = Projection(self.key, dtype=self.dtype, name="keys")(x, mask, train)
        query = self.param("query", nn.initializers.normal(0.02), (self.key,))
        scores = jnp.where(mask, keys @ query / self.key**0.5, NEVER)
        weights = nn.softmax(scores) * mask
        bank = x if recognition is None else jnp.where(mask[..., None], recognition, 0).astype(x.dtype)
        classifier = nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.02), name="classifier")
        looks = {"looks": jnp.minimum(mask.sum(-1), self.steps)}
        if hard and not train:
            own = (nn.sigmoid if self.multi_label else nn.softmax)(classifier(bank))
            return mean_logits(own, highest(scores, mask, self.steps), self.multi_label), looks
        return classifier(exact_mix(weights, bank)), looks
