"""2-D convolution with a backward pass chosen by platform.

On CPU, XLA's derived weight gradient of a convolution is up to ten times slower than its forward pass. There it
is written as matrix products over blocks of the batch that fit the cache. GPU and TPU keep the derived ones.
"""

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

Pair = tuple[int, int]
LAYOUT = ("NHWC", "HWIO", "NHWC")
BLOCK = 1 << 20  # values in one block of unfolded inputs: about 4 MB, what the caches of a few cores hold

_AS_CONVOLUTIONS = ContextVar("as_convolutions", default=False)


@contextlib.contextmanager
def as_convolutions() -> Iterator[None]:
    """What is traced within writes every convolution as one, however this platform computes it.

    For those who read a trace: it is then the same on every platform, and says what the network is.
    """
    before = _AS_CONVOLUTIONS.set(True)
    try:
        yield
    finally:
        _AS_CONVOLUTIONS.reset(before)


def written_as_convolutions() -> bool:
    """Whether `as_convolutions` holds."""
    return _AS_CONVOLUTIONS.get()


def convolve(x: jax.Array, kernel: jax.Array, strides: Pair, padding: tuple[Pair, Pair]) -> jax.Array:
    """Convolves (b, h, w, c) with (kh, kw, c, d) -> (b, h', w', d); padding with zeros (before, after)."""
    if jax.default_backend() == "cpu" and not written_as_convolutions():
        return blocked(x, kernel, strides, padding)
    return plain(x, kernel, strides, padding)


def plain(x: jax.Array, kernel: jax.Array, strides: Pair, padding: tuple[Pair, Pair]) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def blocked(x: jax.Array, kernel: jax.Array, strides: Pair, padding: tuple[Pair, Pair]) -> jax.Array:
    """The same convolution with the gradients below."""
    return plain(x, kernel, strides, padding)


def _forward(x: jax.Array, kernel: jax.Array, strides: Pair, padding: tuple[Pair, Pair]) -> tuple:
    return plain(x, kernel, strides, padding), (x, kernel)


def _backward(strides: Pair, padding: tuple[Pair, Pair], saved: tuple, dy: jax.Array) -> tuple:
    x, kernel = saved
    return input_gradient(x, kernel, dy, strides, padding), kernel_gradient(x, kernel, dy, strides, padding)


blocked.defvjp(_forward, _backward)


def input_gradient(
    x: jax.Array, kernel: jax.Array, dy: jax.Array, strides: Pair, padding: tuple[Pair, Pair]
) -> jax.Array:
    """At stride 1 the convolution of `dy` with the flipped kernel, else the derived gradient."""
    if strides != (1, 1):
        return jax.vjp(lambda x: plain(x, kernel, strides, padding), x)[1](dy)[0]
    rest = lambda k, zeros: (k - 1 - zeros[0], k - 1 - zeros[1])
    full = rest(kernel.shape[0], padding[0]), rest(kernel.shape[1], padding[1])
    return plain(dy, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), strides, full)


def kernel_gradient(
    x: jax.Array, kernel: jax.Array, dy: jax.Array, strides: Pair, padding: tuple[Pair, Pair]
) -> jax.Array:
    """Sums unfold(x)^T dy over blocks of the batch, accumulated in float32 at least.

    What fits one block is as fast derived, and so is a stem of 7x7, whose 49 slices would take long to compile.
    """
    size = dy.size // dy.shape[-1] * math.prod(kernel.shape[:3])
    if size <= BLOCK or math.prod(kernel.shape[:2]) > 9:
        return jax.vjp(lambda kernel: plain(x, kernel, strides, padding), kernel)[1](dy)[0]
    blocks = next(n for n in range(1, len(x) + 1) if len(x) % n == 0 and (size <= n * BLOCK or n == len(x)))
    # Block i is every blocks-th example: a batch that is sharded over devices stays so within every block.
    x, dy = (a.reshape(-1, blocks, *a.shape[1:]) for a in (x, dy))
    dtype = jnp.promote_types(kernel.dtype, jnp.float32)
    sides, shape = (kernel.shape[0], kernel.shape[1]), (math.prod(kernel.shape[:3]), kernel.shape[3])

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        x_i, dy_i = (lax.dynamic_index_in_dim(a, i, 1, keepdims=False) for a in (x, dy))
        rows = unfold(x_i, sides, strides, padding, dy_i.shape[1:3]).reshape(-1, shape[0])
        return total + jnp.matmul(rows.T, dy_i.reshape(-1, shape[1]), preferred_element_type=dtype)

    total = lax.fori_loop(0, blocks, add, jnp.zeros(shape, dtype))
    return total.reshape(kernel.shape).astype(kernel.dtype)


def unfold(x: jax.Array, size: Pair, strides: Pair, padding: tuple[Pair, Pair], out: Pair) -> jax.Array:
    """What each output place sees: (b, h, w, c) -> (b, h', w', kh * kw * c)."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    (sh, sw), (h, w) = strides, out
    ends = [(i, j, i + (h - 1) * sh + 1, j + (w - 1) * sw + 1) for i in range(size[0]) for j in range(size[1])]
    return jnp.concatenate([x[:, i:i_end:sh, j:j_end:sw] for i, j, i_end, j_end in ends], -1)


class Conv(nn.Module):
    """Convolution without bias over (b, h, w, c), weights "kernel" (kh, kw, c, features).

    `padding` is symmetric, as torch's, so that torch weights see the same pixels at stride 2.
    """

    features: int
    size: Pair
    strides: Pair = (1, 1)
    padding: Pair = (0, 0)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        kernel = self.param("kernel", init, (*self.size, x.shape[-1], self.features))
        above, beside = self.padding
        padding = (above, above), (beside, beside)
        return convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.strides, padding)
