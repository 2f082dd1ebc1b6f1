"""Training checkpoints. The only file that imports orbax."""

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from l2l.state import TrainState

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
        self._forget_places()

    def close(self) -> None:
        """Waits for the save in progress. Raises OSError if the disk is full; the checkpoint before it is whole."""
        with self._clearly():
            self._manager.wait_until_finished()
            self._manager.close()
        self._forget_places()

    def _forget_places(self) -> None:
        """Orbax marks what is whole with a file that tells its absolute path; that there is one, is enough."""
        if jax.process_index() == 0:
            for mark in Path(self._manager.directory).rglob("commit_success.txt"):
                mark.write_bytes(b"")

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
