"""Training checkpoints (orbax) and the variables of a finished run (one .npz). The only file that imports orbax."""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from l2l.state import TrainState, Tree

# A failed save is raised by the manager; asyncio would tell it a second time, with its trace.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
ROOM = 2  # bytes on disk per byte of state while a checkpoint is being written and merged


class Checkpoints:
    """checkpoints/<step>/ of a run: variables, optimiser state and a small JSON, saved asynchronously.

    A step that was being written when the process died has no commit mark and is never loaded. Of several processes
    each writes what it holds.

    Args:
      directory: made if missing, on a file system that all processes see.
      of: what the checkpoints are of, name -> JSON; others are not restored.
      keep: how many steps to keep.
    """

    def __init__(self, directory: Path, of: dict[str, Any], *, keep: int = 2):
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)
        self._of = of

    def latest(self) -> int | None:
        """The newest whole step, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState, meta: dict[str, Any]) -> None:
        """Starts to save; the state may be donated to the next step at once.

        Raises:
          OSError: the disk has no room for it; the checkpoint before it is whole.
        """
        self._check_room(state)
        step = int(jax.device_get(state.step))
        args = ocp.args.Composite(
            variables=ocp.args.StandardSave(state.variables),
            optimizer=ocp.args.StandardSave(state.opt_state),
            meta=ocp.args.JsonSave(meta | {"of": self._of}),
        )
        with self._clearly():
            self._manager.save(step, args=args)

    def restore(self, step: int, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Reads a step into the shapes, dtypes and shardings of `like`, whatever devices wrote it.

        Raises:
          ValueError: the checkpoint is of something else than it should be, e.g. of another model.
        """
        meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        other = [name for name, what in self._of.items() if meta["of"].get(name) != what]
        if other:
            where = self._manager.directory
            raise ValueError(f"{where / str(step)} is a checkpoint of another {' and '.join(other)}: delete {where}")
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
        args = ocp.args.Composite(
            variables=ocp.args.StandardRestore(abstract.variables),
            optimizer=ocp.args.StandardRestore(abstract.opt_state),
        )
        got = self._manager.restore(step, args=args)
        number = jax.device_put(np.asarray(step, np.int32), like.step.sharding)
        state = TrainState(step=number, opt_state=got["optimizer"], **got["variables"])
        return state, meta

    def wait(self) -> None:
        """Waits for the save in progress; raises as `close`."""
        with self._clearly():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for the save in progress. Raises OSError if the disk is full; the checkpoint before it is whole."""
        with self._clearly():
            self._manager.wait_until_finished()
            self._manager.close()

    def _check_room(self, state: TrainState) -> None:
        """Raises OSError if the state will not fit on the disk: half-way, orbax would fill the terminal with traces."""
        needed = ROOM * sum(x.nbytes for x in jax.tree.leaves(state)) + 2**20
        if shutil.disk_usage(self._manager.directory).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._manager.directory))

    @contextlib.contextmanager
    def _clearly(self) -> Iterator[None]:
        """Turns tensorstore's account of a full disk into the system's own."""
        try:
            yield
        except ValueError as error:
            if os.strerror(errno.ENOSPC) not in str(error):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._manager.directory)) from None


def to_host(tree: Tree) -> Tree:
    """Device arrays, sharded over any number of processes -> numpy on every process."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block ends well and is removed if it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(path: Path, tree: Tree) -> None:
    """Nested dict of numpy arrays -> .npz with "/"-joined names, atomically."""
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{name: np.asarray(value) for name, value in flat.items()})


def load_arrays(path: Path) -> Tree:
    """The inverse of `save_arrays`.

    Raises:
      ValueError: not a whole .npz of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            flat = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as a weight file: {error}") from error
    except Exception as error:  # zipfile and zlib raise types of their own for damaged archives
        raise ValueError(f"{path} is damaged: {error}") from error
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def digest(tree: Tree) -> str:
    """16 hex digits that identify names, shapes, dtypes and values."""
    total = hashlib.sha256()
    for name, value in sorted(flax.traverse_util.flatten_dict(tree, sep="/").items()):
        value = np.ascontiguousarray(value)
        total.update(f"{name} {value.dtype} {value.shape}".encode())
        total.update(value.tobytes())
    return total.hexdigest()[:16]
