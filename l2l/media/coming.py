"""What a video that is still coming is read from: a pipe, a file that grows, or stretches in memory."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from l2l.media.arrays import Arrays
from l2l.media.container import MediaError, Readable, open_container, told
from l2l.media.live import LiveFilm, from_arrays, from_container
from l2l.media.policy import ClipPolicy

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Source = str | os.PathLike | BinaryIO | Iterable[Arrays]
POLL = 0.1  # seconds
START = 4096  # bytes, in which an MP4 file says what comes first
LARGEST = 1 << 60  # bytes of a file
CURE = "write it with -movflags +faststart"


class Front:
    """Bytes that can only be read from front to back; `read` gives b"" at the end."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


def growing(file: BinaryIO, patience: float) -> Callable[[int], bytes]:
    """Reads a file that something else still writes to; it ends when it has not grown for so many seconds."""

    def read(size: int) -> bytes:
        until = time.monotonic() + patience
        while not (data := file.read(size)) and time.monotonic() < until:
            time.sleep(POLL)
        return data

    return read


@contextlib.contextmanager
def opened(source: Source, policy: ClipPolicy, patience: float) -> Iterator[LiveFilm]:
    """Raises MediaError if it cannot be used."""
    name = name_of(source)
    if not isinstance(source, (str, os.PathLike)) and not _is_file(source):
        yield LiveFilm(name, from_arrays(iter(source)), policy)
        return
    with told(name), contextlib.ExitStack() as stack:
        file, read = reader(source, patience, stack)
        container = stack.enter_context(open_container(readable(file, read, name)))
        yield LiveFilm(name, from_container(container, name), policy)


def _is_file(source: BinaryIO | Iterable[Arrays]) -> "TypeIs[BinaryIO]":
    return hasattr(source, "read")


def name_of(source: Source) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else getattr(source, "name", "")


def reader(
    source: str | os.PathLike | BinaryIO, patience: float, stack: contextlib.ExitStack
) -> tuple[BinaryIO, Callable[[int], bytes]]:
    """A source as a file, and what reads it from front to back; what it opens is closed with the stack.

    Raises:
      MediaError: there is no such file.
    """
    if source == "-":
        source = sys.stdin.buffer
    if not isinstance(source, (str, os.PathLike)):
        return source, getattr(source, "read1", source.read)
    if not os.path.exists(source):
        raise MediaError("missing", source, "there is no such file")
    file = stack.enter_context(open(source, "rb"))  # noqa: SIM115
    return file, growing(file, patience)


def readable(file: BinaryIO, read: Callable[[int], bytes], name: str) -> Readable:
    """What a container is read from: front to back; or anywhere, where it is an MP4 file whose index comes last.

    Raises:
      MediaError: such a file is not finished, or can only be read from front to back.
    """
    start = b""
    while len(start) < START and (data := read(START - len(start))):
        start += data
    if next((box for box in boxes(io.BytesIO(start)) if box in (b"moov", b"moof", b"mdat")), None) != b"mdat":
        first = io.BytesIO(start)
        return Front(lambda size: first.read(size) or read(size))
    if not (hasattr(file, "seekable") and file.seekable()):
        raise MediaError("undecodable", name, f"its index comes last: {CURE}, or give the file")
    if b"moov" not in boxes(file):
        raise MediaError("undecodable", name, f"its index comes last and is not there yet: {CURE}, or wait for its end")
    file.seek(0)
    return file


def boxes(file: BinaryIO) -> Iterator[bytes]:
    """The names of the parts that an MP4 file consists of, as far as they are there; of any other file few or none."""
    at = 0
    while file.seek(at) < LARGEST and len(head := file.read(16)) >= 8:
        yield head[4:8]
        size = int.from_bytes(head[:4])
        size = int.from_bytes(head[8:]) if size == 1 else size  # 1: it follows, in eight bytes
        if not 8 <= size < LARGEST:  # 0: to the end of the file
            return
        at += size
