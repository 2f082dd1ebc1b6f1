"""Positions of a video, of which only some are taken, or are to count. Every video fills the first of its n places."""

import jax
import jax.numpy as jnp


def taken(valid: jax.Array, stride: int) -> jax.Array:
    """Marks the positions 0, s, 2s, ... of each video, whose features are made; bool (b, n) -> bool (b, n)."""
    return valid & (jnp.arange(valid.shape[-1]) % stride == 0)


def interpolated(bank: jax.Array, valid: jax.Array, stride: int) -> jax.Array:
    """Fills the places between taken positions linearly, those past the last one with its value.

    Figure 6a of the paper. (The released code interpolates over the padded length, so that features near a video's end
    mix with zeros; this does not.)

    Args:
      bank: (b, n, d); only taken positions are read.
      valid: bool (b, n).
      stride: s.

    Returns:
      (b, n, d); what lies beyond a video's end has no meaning.
    """
    if stride == 1:
        return bank
    at = jnp.arange(bank.shape[1])
    before, after = at - at % stride, at - at % stride + stride
    share = (at % stride / stride)[:, None].astype(bank.dtype)
    there = (after < jnp.sum(valid, axis=-1, keepdims=True))[..., None]
    earlier = bank[:, before]
    later = jnp.where(there, bank[:, jnp.minimum(after, at[-1])], earlier)
    return (1 - share) * earlier + share * later


def highest(scores: jax.Array, valid: jax.Array, count: int) -> jax.Array:
    """Marks the `count` positions of each video with the highest scores, the earlier of equal ones.

    Args:
      scores: finite (b, n).
      valid: bool (b, n).
      count: a video with fewer positions has them all marked.

    Returns:
      bool (b, n).
    """
    return (ranks(scores, valid) < count) & valid


def ranks(scores: jax.Array, valid: jax.Array) -> jax.Array:
    """Place of every position when a video's are sorted by score, the highest first and the earlier of equal ones.

    Finite (b, n), bool (b, n) -> int32 (b, n): a permutation of 0..n-1; what is not valid comes last.
    """
    order = jnp.argsort(jnp.where(valid, -scores, jnp.inf), axis=-1, stable=True)
    return jnp.argsort(order, axis=-1).astype(jnp.int32)


def mean_logits(scores: jax.Array, marks: jax.Array, multi_label: bool) -> jax.Array:
    """Logits of the mean score over the marked positions: (b, n, k) in 0..1, bool (b, n) -> (b, k).

    Their softmax or, with `multi_label`, their sigmoid is the mean again, up to rounding.
    """
    total = jnp.einsum("bn,bnk->bk", marks, scores)
    mean = total / jnp.maximum(marks.sum(-1, keepdims=True), 1)
    return jnp.log(mean + 1e-9) - (jnp.log(1 - mean + 1e-9) if multi_label else 0.0)
