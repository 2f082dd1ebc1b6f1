"""Two commands that write to one directory: the second is refused."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ..datasets.rows import PrepareError

ACCOUNTS = ".accounts"  # folder with one account per finished shard, the plan, and the lock


@contextlib.contextmanager
def locked(directory: str | os.PathLike, first: int = 0, stop: int = 0) -> Iterator[None]:
    """Keeps others out of a directory here, or out of its shards `first` to `stop` alone: a byte is locked for each.

    Raises:
      PrepareError: another process is at it.
      OSError: the directory cannot be written to.
    """
    path = Path(directory, ACCOUNTS, "lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, stop - first, first)
        except (BlockingIOError, PermissionError) as error:
            raise PrepareError(f"another process is writing to {directory}; wait for it to end") from error
        yield
