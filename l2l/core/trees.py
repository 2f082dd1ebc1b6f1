"""Nested arrays, such as the variables of a finished run, on the host and in one .npz; without orbax, to start fast."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np
from jax.experimental import multihost_utils

from l2l.core import archive
from l2l.core.atomic import replacing

Tree = dict[str, Any]


def to_host(tree: Tree) -> Tree:
    """Device arrays, sharded over any number of processes -> numpy on every process."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def save_arrays(path: Path, tree: Tree) -> None:
    """Nested dict of numpy arrays -> .npz with "/"-joined names, atomically."""
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    with replacing(path) as temporary, temporary.open("wb") as file:
        archive.write_arrays(file, {name: np.asarray(value) for name, value in flat.items()})


def load_arrays(path: Path) -> Tree:
    """The inverse of `save_arrays`.

    Raises:
      ValueError: not a whole .npz of plain arrays.
    """
    try:
        with archive.Archive(path) as file:
            flat = archive.arrays(file)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as a weight file: {archive.reason(error)}") from error
    except Exception as error:  # zipfile and zlib raise types of their own for damaged archives
        raise ValueError(f"{path} is damaged: {archive.reason(error)}") from error
    inner = next((name for name in flat for other in _above(name) if other in flat), None)
    if inner is not None:
        raise ValueError(f"{path} is damaged: {inner!r} in it lies below another array")
    if odd := [name for name in flat if not name.isprintable()]:
        raise ValueError(f"{path} is damaged: it has an array of the name {odd[0]!r:.60}")
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def _above(name: str) -> list[str]:
    """ "a/b/c" -> "a", "a/b"."""
    parts = name.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def not_finite(tree: Tree) -> str:
    """The "/"-joined name of the first array with a value that is NaN, infinite or no number, "" if there is none."""
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    return next((name for name, value in flat.items() if not _finite(np.asarray(value))), "")


def _finite(value: np.ndarray) -> bool:
    return value.dtype.kind in "fiub" and bool(np.isfinite(value).all())


def digest(tree: Tree) -> str:
    """16 hex digits that identify names, shapes, dtypes and values."""
    total = hashlib.sha256()
    for name, value in sorted(flax.traverse_util.flatten_dict(tree, sep="/").items()):
        value = np.ascontiguousarray(value)
        total.update(f"{name} {value.dtype} {value.shape}".encode())
        total.update(value.tobytes())
    return total.hexdigest()[:16]


def mismatches(model: Mapping[str, Any], weights: Mapping[str, Any]) -> list[str]:
    """One line per path that only one of two flat trees has, or that differs in shape; none if they fit.

    Args:
      model, weights: "/"-joined path -> anything with a shape.
    """
    both = sorted(model.keys() & weights.keys())
    return [
        *(f"- {path} is missing in the weights" for path in sorted(model.keys() - weights.keys())),
        *(f"+ {path} of the weights has no place in the model" for path in sorted(weights.keys() - model.keys())),
        *(
            f"! {path} is {weights[path].shape}, the model has {model[path].shape}"
            for path in both
            if weights[path].shape != model[path].shape
        ),
    ]
