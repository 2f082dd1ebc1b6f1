"""The convolution's own gradients equal the derived ones, and the CPU uses them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from l2l.models.backbones import conv

CASES = {
    "3x3": ((4, 9, 8, 3), (3, 3, 3, 5), (1, 1), ((1, 1), (1, 1))),
    "3x3 stride 2, odd and even": ((4, 9, 8, 3), (3, 3, 3, 5), (2, 2), ((1, 1), (1, 1))),
    "7x7 stem": ((4, 14, 13, 3), (7, 7, 3, 2), (2, 2), ((3, 3), (3, 3))),
    "time": ((4, 5, 6, 3), (3, 1, 3, 4), (1, 1), ((1, 1), (0, 0))),
    "time stride 2": ((4, 5, 6, 3), (3, 1, 3, 4), (2, 1), ((1, 1), (0, 0))),
    "shortcut": ((4, 7, 8, 3), (1, 1, 3, 4), (2, 2), ((0, 0), (0, 0))),
    "one frame left": ((4, 1, 6, 3), (3, 1, 3, 4), (2, 1), ((1, 1), (0, 0))),
}


def gradients(function, case, dtype):
    shape, kernel, strides, padding = CASES[case]
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.normal(size=s), dtype) for s in (shape, kernel))
    y, vjp = jax.vjp(lambda x, w: function(x, w, strides, padding), x, w)
    return (y, *vjp(jnp.asarray(rng.normal(size=y.shape), dtype)))


@pytest.mark.parametrize("block", [1 << 20, 100], ids=["fits a block", "several blocks"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_the_derived_ones(case, block, monkeypatch):
    monkeypatch.setattr(conv, "BLOCK", block)
    for dtype, tolerance in (("float32", 2e-5), ("float64", 1e-12), ("bfloat16", 2e-2)):
        with jax.enable_x64(dtype == "float64"):
            mine, derived = (gradients(f, case, dtype) for f in (conv.blocked, conv.plain))
            for a, b in zip(mine, derived, strict=True):
                assert a.dtype == b.dtype == dtype
                scale = float(jnp.abs(b).max())
                np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=0, atol=tolerance * scale)


def test_sharded_batch_gives_the_same_kernel_gradient(monkeypatch):
    monkeypatch.setattr(conv, "BLOCK", 1000)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 6, 6, 3)).astype(np.float32)
    w = rng.normal(size=(3, 3, 3, 5)).astype(np.float32)
    pad = ((1, 1), (1, 1))
    grad = jax.jit(jax.grad(lambda w, x: (conv.blocked(x, w, (1, 1), pad) ** 2).sum()))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    w_all = jax.device_put(w, NamedSharding(mesh, PartitionSpec()))
    np.testing.assert_allclose(grad(w_all, split), grad(w, x), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("backend", "own"), [("cpu", True), ("gpu", False), ("tpu", False)])
def test_only_the_cpu_has_its_own_gradients(backend, own, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x, w = jnp.ones((2, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    function = functools.partial(conv.convolve, strides=(1, 1), padding=((1, 1), (1, 1)))
    assert ("custom_vjp" in str(jax.make_jaxpr(function)(x, w))) is own
