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


def distillation(
    logits: jax.Array,
    feature: jax.Array,
    teacher_logits: jax.Array,
    teacher_feature: jax.Array,
    weight: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """L1 + weight * cross-entropy with the teacher's softmax, without temperature (section 3.1 of the paper).

    L1 is summed over the feature's dimensions: averaged over them it vanishes beside 100 times a per-sample
    cross-entropy.

    Args:
      logits, teacher_logits: (b, k).
      feature, teacher_feature: (b, d).
      weight: lambda, 100 in the paper.

    Returns:
      (total, L1, cross-entropy), each (b,).
    """
    l1 = jnp.sum(jnp.abs(feature - teacher_feature), axis=-1)
    soft = cross_entropy(logits, jax.nn.softmax(teacher_logits))
    return l1 + weight * soft, l1, soft
