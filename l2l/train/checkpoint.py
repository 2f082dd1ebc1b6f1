"""Training checkpoints. The only file that imports orbax."""

import contextlib
import errno
import functools
import inspect
import logging
import math
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from l2l.core.archive import reason
from l2l.core.atomic import demand_file
from l2l.core.rules import ANY, Rule, problem, whole
from l2l.train.state import TrainState

# A failed save is raised by the manager; asyncio would tell it a second time, with its trace.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
COUNT = whole(0, 2**53)
# What a training needs of a checkpoint's JSON; nothing was measured yet where the best is minus infinity.
META: dict[str, Rule] = {
    "of": (lambda x: isinstance(x, dict), "a dictionary"),
    "best": (lambda x: isinstance(x, float) and not math.isnan(x) and x < math.inf, "a number"),
    "best_step": COUNT,
    "evaluated": COUNT,
    "lines": COUNT,
}
ROOM = 2  # bytes on disk per byte of state while a checkpoint is being written and merged


class Checkpoints:
    """checkpoints/<step>/ of a run: variables, optimiser state and a small JSON, saved asynchronously.

    A step that was being written when the process died has no commit mark and is never loaded. Of several processes
    each writes what it holds.

    Args:
      directory: made if missing, on a file system that all processes see.
      of: what the checkpoints are of, name -> JSON; others are not restored.
      keep: how many steps to keep.

    Raises:
      ValueError: the directory is not one of checkpoints.
    """

    def __init__(self, directory: Path, of: dict[str, Any], *, keep: int = 2):
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        with _whole(directory, f"delete {directory} to begin the training again"):
            for path in directory.rglob("*"):
                demand_file(path)  # of a pipe orbax waits for the other end for ever
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
          ValueError: the checkpoint is damaged, or of something else than it should be, e.g. of another model.
        """
        where = self._manager.directory
        path = where / str(step)
        cure = f"delete {path}, and the training goes on from the step before, if there is one"
        with _whole(path, cure):
            meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
            if found := problem(meta, META, dict.fromkeys(meta, ANY)):
                raise ValueError(found)
        other = [name for name, what in self._of.items() if meta["of"].get(name) != what]
        if other:
            raise ValueError(f"{path} is a checkpoint of another {' and '.join(other)}: delete {where}")
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
        args = ocp.args.Composite(
            variables=ocp.args.StandardRestore(abstract.variables),
            optimizer=ocp.args.StandardRestore(abstract.opt_state),
        )
        with _whole(path, cure):
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


@contextlib.contextmanager
def _whole(path: Path, cure: str) -> Iterator[None]:
    """Turns whatever orbax makes of damaged files, whose types and pages of text are its own, into one line."""
    try:
        yield
    except Exception as error:
        _leave_quietly()
        raise ValueError(f"{path} cannot be read: {reason(error)}; {cure}") from error


@functools.cache
def _leave_quietly() -> None:
    """Keeps reads that were given up from telling traces of their own, which come later and from other threads."""
    before = sys.unraisablehook

    def told(what: Any) -> None:
        late = isinstance(what.exc_value, RuntimeError) and "Event loop is closed" in str(what.exc_value)
        if not (late or inspect.iscoroutine(what.object)):
            before(what)

    sys.unraisablehook = told
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
