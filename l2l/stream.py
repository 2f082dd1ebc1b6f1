"""Classifies a video while it is still coming: from a pipe, a file that grows, or stretches in memory.

What is kept of the past is its descriptors, about 2 kB a clip, and none is ever dropped: at the end of the video the
answer is the one that the whole video gets. `cut.CLIPS` clips, 200 MB, are the most.
"""

import contextlib
import dataclasses
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from l2l.ahead import Ahead
from l2l.data.arrays import Arrays
from l2l.data.live import LiveFilm, from_arrays, from_container
from l2l.data.scan import MediaError, open_container, told
from l2l.result import Result
from l2l.view import View, record_of

if TYPE_CHECKING:
    from l2l.look import Model

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
def opened(source: Source, model: "Model", patience: float) -> Iterator[LiveFilm]:
    """Raises MediaError if it cannot be used."""
    name, policy = name_of(source), model.programs.policy
    if not isinstance(source, (str, os.PathLike)) and not hasattr(source, "read"):
        yield LiveFilm(name, from_arrays(iter(source)), policy)
        return
    with told(name), contextlib.ExitStack() as stack:
        file, read = reader(source, patience, stack)
        container = stack.enter_context(open_container(readable(file, read, name)))
        yield LiveFilm(name, from_container(container, name), policy)


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
    if hasattr(source, "read"):
        return source, getattr(source, "read1", source.read)
    if not os.path.exists(source):
        raise MediaError("missing", source, "there is no such file")
    file = stack.enter_context(open(source, "rb"))  # noqa: SIM115
    return file, growing(file, patience)


def readable(file: BinaryIO, read: Callable[[int], bytes], name: str) -> Front | BinaryIO:
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


def results(model: "Model", source: Source, every: float, patience: float) -> Iterator[Result]:
    """See `Model.stream`."""
    view, since, answered = View(name_of(source)), time.perf_counter(), float("-inf")
    ahead = Ahead(positions(model, source, patience), 2 * model.programs.clips_at_once)
    film = None
    try:
        while found := ahead.take(model.programs.clips_at_once):
            film, last = found[-1][0], found[-1][1]
            model.describe(view, [record for _, _, record in found])
            reach(view, film, last + 1, model.stride)
            if time.perf_counter() - answered >= every:
                answered = time.perf_counter()
                yield answered_now(model, view, since)
    finally:
        ahead.close()
    reach(view, film, film.count, model.stride)
    yield answered_now(model, view, since)


def positions(model: "Model", source: Source, patience: float) -> Iterator[tuple[LiveFilm, int, dict[str, np.ndarray]]]:
    """(film, number, record) of every position that is described, as soon as it is there; waits for them."""
    with opened(source, model, patience) as film:
        for clip in film.clips(model.stride, model.programs.frames):
            yield film, clip.index, record_of(clip, model.programs)


def reach(view: View, film: LiveFilm, count: int, stride: int) -> None:
    """Places so many positions on the time line."""
    starts = np.array([i * film.hop for i in range(count)], np.float32)
    view.times = starts + np.float32(film.length) / 2
    view.indexed = np.arange(count) % stride == 0
    view.has_audio, view.tally = film.has_audio, film.tally


def answered_now(model: "Model", view: View, since: float) -> Result:
    """The answer so far, in which all that has no other name is decoding, waiting included. Raises MediaError."""
    found = model.answer(view)
    if isinstance(found, MediaError):
        raise found
    named = sum(seconds for part, seconds in view.seconds.items() if part != "decode")
    return dataclasses.replace(found, seconds=view.seconds | {"decode": time.perf_counter() - since - named})
