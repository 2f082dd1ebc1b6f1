"""Weights and inputs for comparisons between frameworks: a function of an array's name and shape alone."""

import hashlib
from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]
LR = 0.1  # of the one step of training that is compared


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 in [-1, 1), from PCG64 seeded with the first 8 bytes of the name's sha256."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return (2 * np.random.Generator(np.random.PCG64(seed)).random(shape) - 1).astype(np.float32)


def signs(name: str, shape: tuple[int, ...], count: int) -> np.ndarray:
    """float32 (count, *shape) of -1 and 1: projections whose mean square is the squared norm of what is projected."""
    return np.where(uniform(name, (count, *shape)) < 0, np.float32(-1), np.float32(1))


def weights(shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """A value for every name of a PyTorch state: running statistics and scales about 1 or 0, kernels of unit gain."""
    return {name: weight(name, shape) for name, shape in shapes.items()}


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One of them; uniform in +-sqrt(6 / fan-in), as He et al. (2015), where it has two axes or more."""
    x, last = uniform(name, shape), name.rpartition(".")[2]
    if len(shape) > 1:
        fan = shape[1] if last.endswith("_g") else int(np.prod(shape[1:]))
        return 1 + x / 2 if last.endswith("_g") else x * np.float32((6 / fan) ** 0.5)
    if last in ("running_var", "weight"):
        return 1 + x / 2
    return x / 4
