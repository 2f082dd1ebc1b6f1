"""Opening a media file and reading its packets; what the decoder raises becomes one error."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol, TypedDict, TypeVar

import av

from l2l.media.splices import NONE, Moves, Splicer

S = TypeVar("S", bound=av.stream.Stream)


class Readable(Protocol):
    """What bytes can be read from, front to back at least."""

    def read(self, size: int, /) -> bytes: ...


class _Open(TypedDict, total=False):
    metadata_errors: str


# PyAV 18 refuses metadata that is not UTF-8 unless told otherwise; PyAV 19 copes and refuses to be told.
_OPEN: _Open = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
# Formats that are not a video but point to other files, or draw any text file as pictures, are not even opened.
_FORMATS = ",".join(sorted(av.formats_available - {"concat", "dash", "hls", "image2", "tty", "vobsub"}))


class MediaError(Exception):
    """A file that cannot be used; `str()` is one line with its name and the reason.

    Attributes:
      status: "missing", "undecodable", "no_video" or "too_short".
    """

    def __init__(self, status: str, path: str | os.PathLike, reason: str) -> None:
        super().__init__(status, path, reason)
        self.status, self.path, self.reason = status, os.fspath(path), " ".join(reason.split())

    def __str__(self) -> str:
        name = self.path if self.path.isprintable() else ascii(self.path)
        return f"{name}: {self.reason}"


@contextlib.contextmanager
def told(path: str | os.PathLike) -> Iterator[None]:
    """Whatever a decoder or an encoder raises inside becomes a MediaError."""
    try:
        yield
    except (av.FFmpegError, OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError("undecodable", path, f"it cannot be decoded: {reason}") from error


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[av.container.InputContainer]:
    """An open file; whatever the decoder raises inside becomes a MediaError."""
    if not os.path.isfile(path):
        what = "it is a folder, a pipe or a device" if os.path.exists(path) else "there is no such file"
        raise MediaError("missing", path, what)
    if not os.path.getsize(path):
        raise MediaError("undecodable", path, "the file is empty")
    # "file:" keeps a colon in the name from being read as a protocol.
    with told(path), open_container(f"file:{os.path.abspath(path)}") as container:
        yield container


def open_container(source: str | Readable) -> av.container.InputContainer:
    """Opens an address of a file, or what can only be read from front to back."""
    return av.open(source, "r", options={"protocol_whitelist": "file", "format_whitelist": _FORMATS}, **_OPEN)


def stream_at(container: av.container.InputContainer, place: int, kind: type[S]) -> S:
    """The stream at a place among all streams of a file, where an earlier look at it found one of this kind.

    Raises:
      MediaError: it is of another kind now.
    """
    stream = container.streams[place]
    if not isinstance(stream, kind):
        name = container.name.removeprefix("file:")
        raise MediaError("undecodable", name, f"its stream {place} is of another kind than before: was it written to?")
    return stream


def unit_of(timed: av.stream.Stream | av.frame.Frame | av.Packet) -> Fraction:
    """The unit of its times, seconds.

    Raises:
      ValueError: it has none, which what comes from a file always has.
    """
    unit = timed.time_base
    if unit is None:
        raise ValueError("its times have no unit")
    return unit


def packets(
    container: av.container.InputContainer, *streams: av.stream.Stream, moves: Moves | Splicer = NONE
) -> Iterator[av.Packet]:
    """The packets of some streams, and an empty one for each at the end.

    Args:
      container: at its beginning, where there are moves.
      streams: some of the file's.
      moves: what mends their times.
    """
    with contextlib.suppress(IndexError):  # PyAV's, after these, where the file turned out to have further streams
        yield from moves.moved(container.demux(*streams))


def readable(
    container: av.container.InputContainer, *streams: av.stream.Stream, moves: Moves | Splicer = NONE
) -> Iterator[av.Packet]:
    """The packets as far as they can be read."""
    with contextlib.suppress(av.FFmpegError):
        yield from packets(container, *streams, moves=moves)
