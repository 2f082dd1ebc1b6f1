"""Quick tests of models: variables without compiling an initialiser, programs compiled without optimising."""

import functools

import jax
import numpy as np

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def fill(init, *args, **kwargs):
    """Variables of the shapes that `init` would make: positive scales and variances, kernels of about unit gain."""
    return values(jax.eval_shape(lambda *x: init(jax.random.key(0), *x, **kwargs), *args))


def values(shapes):
    """A tree of shapes -> variables as above."""
    rng = np.random.default_rng(0)

    def value(path, x):
        if path[-1].key in {"kernel", "mean", "bias"}:
            fan = np.prod(x.shape[:-1]) if path[-1].key == "kernel" else 10
            return rng.normal(0, fan**-0.5, x.shape).astype(x.dtype)
        return rng.uniform(0.5, 1.5, x.shape).astype(x.dtype)

    return jax.tree_util.tree_map_with_path(value, shapes)
