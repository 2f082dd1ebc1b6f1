"""Layers that the skimmer and what it is compared with share."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

WORTH = 3.0  # the largest logarithm of what a look counts


def exact_mix(weights: jax.Array, bank: jax.Array) -> jax.Array:
    """Weighted sum over positions, (b, n) x (b, n, d) -> (b, d); a one-hot weight reads its row exactly."""
    return jnp.einsum("bn,bnd->bd", weights, bank, precision=jax.lax.Precision.HIGHEST)


class Projection(nn.Module):
    """Linear, BatchNorm, ReLU, and a last linear layer where `outputs` is given.

    Statistics leave out masked rows. (The released code counts padded positions among the keys, so that its
    statistics depend on the padding; ours do not.)
    """

    features: int
    outputs: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, train: bool) -> jax.Array:
        init = nn.initializers.normal(0.02)
        x = nn.Dense(self.features, kernel_init=init, dtype=self.dtype, name="linear")(x)
        # At the first step all queries of a batch are nearly equal: E[x^2] - E[x]^2 would lose the variance.
        norm = partial(nn.BatchNorm, momentum=0.9, epsilon=1e-5, use_fast_variance=False, name="norm")
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        x = nn.relu(norm(use_running_average=not train)(x, mask=mask[..., None]))
        if self.outputs is None:
            return x
        x = nn.Dense(self.outputs, kernel_init=init, dtype=self.dtype, name="output")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Worth(nn.Module):
    """How much each of several looks counts, from what it has read: between exp(-3) and exp(3), at first 1.

    One hidden layer: an empty picture and one that misleads differ from the rest in ways that do not add up.
    """

    hidden: int

    @nn.compact
    def __call__(self, looks: jax.Array) -> jax.Array:
        """(..., f) -> (...)."""
        x = nn.relu(nn.Dense(self.hidden, name="hidden")(looks))
        x = nn.Dense(1, use_bias=False, kernel_init=nn.initializers.zeros, name="output")(x)[..., 0]
        return jnp.exp(WORTH * jnp.tanh(x))


class GatedAttention(nn.Module):
    """Scores of positions by gated attention: w . (tanh(V x) * sigmoid(U x)) (Ilse et al., ICML 2018, equation 9).

    Attributes:
      hidden: width of V and U.
      dtype: of the inputs of matrix products.
    """

    hidden: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Features (b, n, d) -> scores float32 (b, n)."""
        dense = lambda name: nn.Dense(self.hidden, dtype=self.dtype, name=name)(x)
        gated = nn.tanh(dense("value")) * nn.sigmoid(dense("gate"))
        return nn.Dense(1, use_bias=False, name="score")(gated)[..., 0].astype(jnp.float32)


class WeightNormLSTM(nn.Module):
    """The weights of an LSTM cell: scale * direction / |direction| per output unit (Salimans & Kingma, 2016).

    Made once, not anew at every step, see `lstm_step`. Gates in torch's order: input, forget, cell, output. One bias,
    the sum of torch's two, starting at zero.
    """

    hidden: int

    def _matrix(self, name: str, inputs: int) -> jax.Array:
        shape, bound = (inputs, 4 * self.hidden), self.hidden**-0.5
        init = nn.initializers.uniform(2 * bound)
        direction = self.param(f"{name}_direction", lambda key: init(key, shape) - bound)
        norm = jnp.linalg.norm(direction, axis=0)
        scale = self.param(f"{name}_scale", lambda _: norm)
        return direction * (scale / norm)

    @nn.compact
    def __call__(self, inputs: int) -> dict[str, jax.Array]:
        """ "input" (inputs, 4 hidden), "hidden" (hidden, 4 hidden) and "bias" (4 hidden,)."""
        bias = self.param("bias", nn.initializers.zeros, (4 * self.hidden,))
        return {"input": self._matrix("input", inputs), "hidden": self._matrix("hidden", self.hidden), "bias": bias}


def lstm_step(weights: dict[str, jax.Array], x: jax.Array, h: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(b, inputs), two states (b, hidden) -> the next two states."""
    i, f, g, o = jnp.split(x @ weights["input"] + h @ weights["hidden"] + weights["bias"], 4, axis=-1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(c), c
