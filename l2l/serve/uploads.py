"""Where uploads lie while they are looked at, and what becomes of them when a server is killed."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "l2l-uploads-"
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def kept() -> Iterator[Path]:
    """A folder that goes with the block; those that killed servers left go before it.

    Each server holds a lock of its folder, which the system takes back however it ends; systemd, which clears away what
    is old, leaves locked folders alone.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name, _locked(Path(name)):
        yield Path(name)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder of one's own. Raises OSError if somebody else does, or it is another's or a link."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(folder))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
