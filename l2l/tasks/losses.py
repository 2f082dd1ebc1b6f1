"""Losses, one value per example; a batch is averaged over its real rows only."""

import jax
import jax.numpy as jnp


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of values (b,) over the rows where mask (b,) is true, float32; 0 if there is none."""
    mask = mask.astype(jnp.float32)
    return jnp.sum(values * mask) / jnp.maximum(jnp.sum(mask), 1.0)


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Cross-entropy (b,) of softmax(logits) (b, k) with targets (b, k); rows of targets are scaled to sum to one."""
    targets = targets / jnp.maximum(jnp.sum(targets, axis=-1, keepdims=True), 1e-9)
    return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)


def binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Cross-entropy (b,) of each class by itself, sigmoid(logits) (b, k) with targets (b, k) in 0..1, summed over k.

    The sum is the log-likelihood of k independent answers; the mean would shrink with the number of classes.
    """
    return jnp.sum(targets * jax.nn.softplus(-logits) + (1 - targets) * jax.nn.softplus(logits), axis=-1)


def classification(logits: jax.Array, targets: jax.Array, multi_label: bool) -> jax.Array:
    """Cross-entropy (b,) of what `probabilities` makes of logits (b, k), with targets (b, k)."""
    return (binary_cross_entropy if multi_label else cross_entropy)(logits, targets)


def probabilities(logits: jax.Array, multi_label: bool) -> jax.Array:
    """(..., k) -> (..., k): each class by itself where a video may have several, else shares of one."""
    return jax.nn.sigmoid(logits) if multi_label else jax.nn.softmax(logits)


def distillation(
    logits: jax.Array,
    feature: jax.Array,
    target: jax.Array,
    target_feature: jax.Array,
    weight: float,
    multi_label: bool = False,
    feature_weight: float = 1.0,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """L1 + weight * cross-entropy with the teacher's scores, without temperature (section 3.1 of the paper).

    L1 is summed over the feature's dimensions: averaged over them it vanishes beside 100 times a per-sample
    cross-entropy.

    Args:
      logits: (b, k).
      target: (b, k), the teacher's probabilities.
      feature, target_feature: (b, d).
      weight: lambda, 100 in the paper.
      multi_label: each class by itself, with binary soft targets.
      feature_weight: of the L1 term, 1 in the paper.

    Returns:
      (total, L1, cross-entropy), each (b,).
    """
    l1 = jnp.sum(jnp.abs(feature - target_feature), axis=-1)
    soft = classification(logits, target, multi_label)
    return feature_weight * l1 + weight * soft, l1, soft
