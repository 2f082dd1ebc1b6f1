"""What a video file holds before any clip is cut: opening it, its first frame, the times of its packets.

Everything is in seconds from the moment at which the first frame comes on display.
"""

import array
import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np

from l2l.data import sound_streams
from l2l.data.schema import USUAL, Reading
from l2l.data.sound_streams import SILENT, Sound
from l2l.data.tally import Tally

WHOLE = 0.9  # share of a file that must be there and decode
STILL = 600.0  # seconds that one frame may stay on display; beyond it the time stamps are broken
APART = 2e-3  # seconds between frames, below which time stamps do not tell them from each other
PIXELS = 1 << 26  # of one frame: twice 8K

# PyAV 18 refuses metadata that is not UTF-8 unless told otherwise; PyAV 19 copes and refuses to be told.
_OPEN = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
# Formats that are not a video but point to other files, or draw any text file as pictures, are not even opened.
_FORMATS = ",".join(sorted(av.formats_available - {"concat", "dash", "hls", "image2", "tty"}))
# Formats that store frames in the order of decoding, one every so often, and no times of display.
_TIMELESS = {"avi"}


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
        raise MediaError("missing", path, "there is no such file")
    if not os.path.getsize(path):
        raise MediaError("undecodable", path, "the file is empty")
    # "file:" keeps a colon in the name from being read as a protocol.
    with told(path), open_container(f"file:{os.path.abspath(path)}") as container:
        yield container


def open_container(source: str | BinaryIO) -> av.container.InputContainer:
    """Opens an address of a file, or what can only be read from front to back."""
    return av.open(source, options={"protocol_whitelist": "file", "format_whitelist": _FORMATS}, **_OPEN)


def picture_of(container: av.container.InputContainer, path: str | os.PathLike) -> av.VideoStream:
    """The video stream that is read, ready to be decoded.

    Raises:
      MediaError: there is none.
    """
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise MediaError("no_video", path, "the file has no video stream")
    if streams[0].codec_context is None:
        raise MediaError("undecodable", path, "there is no decoder for its video stream")
    return ready(streams[0])


def ready(stream: av.VideoStream) -> av.VideoStream:
    """The stream, whose decoder will refuse huge pictures and use one thread: there is a process per core."""
    stream.codec_context.options = {"max_pixels": str(PIXELS)}
    stream.codec_context.thread_count = 1
    return stream


def sound_of(container: av.container.InputContainer, sound: Sound) -> list[av.AudioStream]:
    """The sound streams that are read, ready to be decoded."""
    streams = [container.streams[place] for place in sound.streams]
    for stream in streams:
        stream.codec_context.thread_count = 1
    return streams


def packets(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet]:
    """The packets of some streams, and an empty one for each at the end."""
    with contextlib.suppress(IndexError):  # PyAV's, after these, where the file turned out to have further streams
        yield from container.demux(*streams)


def readable(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet]:
    """The packets as far as they can be read."""
    with contextlib.suppress(av.FFmpegError):
        yield from packets(container, *streams)


@dataclasses.dataclass(frozen=True)
class Scan:
    """What a file's packets and its first frame tell.

    Attributes:
      first: its first frame.
      origin: where the sound begins to count, seconds on the file's own clock.
      frames: how many there are.
      last: when the last one comes on display.
      stop: when it leaves the display.
      fps: average frames per second.
      times: when each of them does, ascending; empty where that is a guess.
      keys: of those from which decoding can begin; empty where it can begin at the start alone.
      timeless: whether the file holds the frames' order without their times.
      picture: place of the video stream among all streams.
      sound: the sound streams that are read.
      notes: what has to be known of the file, a line each.
      tally: of what was decoded so far.
    """

    first: av.VideoFrame
    origin: float
    frames: int
    last: float
    stop: float
    fps: float
    times: Sequence[float]
    keys: Sequence[float]
    timeless: bool
    picture: int = 0
    sound: Sound = SILENT
    notes: tuple[str, ...] = ()
    tally: Tally = dataclasses.field(default_factory=Tally)

    def time_of(self, frame: av.VideoFrame | av.Packet) -> float | None:
        """When a frame, or the one in a packet, comes on display; None if it does not say.

        A decoder gives a frame the time (dts) of the packet that made it come out. Where frames have no time of
        their own, that one is right but for the delay of the first frame.
        """
        if not self.timeless:
            return None if frame.pts is None else _seconds(frame.pts, frame.time_base) - self.origin
        if frame.dts is None or self.first.dts is None:
            return None
        return _seconds(frame.dts - self.first.dts, frame.time_base)


def walk(path: str | os.PathLike, reading: Reading = USUAL) -> Scan:
    """Walks over all packets and decodes no more than the first frame.

    Raises:
      MediaError: the file cannot be used as a video.
    """
    with opened(path) as container:
        video, sound = picture_of(container, path), sound_streams.guess(container)
        timeless, first = container.format.name in _TIMELESS, None
        times, reached, tally = Times(video, timeless), 0.0, Tally()
        for packet in readable(container, video, *sound_of(container, sound)):
            reached = max(reached, _end(packet))
            if packet.stream is video:
                times.add(packet)
                first = first or next(iter(tally.decode(packet)), None)
        if first is None:
            raise MediaError("too_short", path, "its video stream holds no frames")
        origin = times.shown[0] if timeless and times.shown else first.time or 0.0
        _check(path, container, times, reached, origin)
        last, stop = max(times.shown) - origin, times.stop - origin
        shown, keys = times.known(origin)
        which = {"picture": video.index, "sound": sound, "notes": sound.notes, "tally": tally}
        return Scan(first, origin, len(times.shown), last, stop, times.average(stop), shown, keys, timeless, **which)


def _check(
    path: str | os.PathLike, container: av.container.InputContainer, times: "Times", reached: float, origin: float
) -> None:
    """Refuses a file that is cut short, that has too little in it, or whose time stamps make no sense."""
    if times.video.duration:
        reached = times.stop - min(origin, times.first)
        declared = _seconds(times.video.duration, times.video.time_base)
    else:  # some containers count from 0, whenever their first packet is
        declared = (container.duration or 0) / av.time_base
    if reached < WHOLE * declared:
        raise MediaError("undecodable", path, f"cut short: {reached:.2f} s of {declared:.2f} s are there")
    if len(times.shown) < 2 or max(times.shown) <= origin:
        there = f"{len(times.shown)} in {times.stop - origin:.2f} s"
        raise MediaError("too_short", path, f"a video needs frames at two times, it has {there}")
    still = np.diff(np.sort(np.append(times.shown, times.stop))).max()
    if still > STILL:
        raise MediaError("undecodable", path, f"its time stamps are broken: one frame would stay for {still:.0f} s")


class Times:
    """When frames are shown, told by their packets alone, which may come out of order; on the file's own clock.

    Attributes:
      shown: when each comes on display.
      keys: the same of the keyframes; none if any frame's time is a guess.
      first: of the first frame in the file, even where it is not to be shown.
      stop: the end of the last one.
    """

    def __init__(self, video: av.VideoStream, timeless: bool) -> None:
        self.video, self.timeless = video, timeless
        self.rate = float(video.average_rate or video.guessed_rate or 0)
        self.shown, self.keys = array.array("d"), array.array("d")
        self.first, self.stop = float("inf"), 0.0
        self.guessed, self.dts = timeless, float("-inf")

    def add(self, packet: av.Packet) -> None:
        if not packet.size:
            return
        ticks = packet.dts if self.timeless else _ticks(packet)
        at = self.stop if ticks is None else _seconds(ticks, packet.time_base)
        self.first = min(self.first, at)
        if packet.is_discard:
            return
        length = _seconds(packet.duration or 0, packet.time_base) or (1 / self.rate if self.rate else 0.0)
        self.stop = max(self.stop, at + length) if self.shown else at + length
        self.shown.append(at)
        dts = self.dts if packet.dts is None else packet.dts
        self.guessed |= packet.pts is None or dts < self.dts
        self.dts = dts
        if self.guessed:
            del self.keys[:]
        elif packet.is_keyframe:
            self.keys.append(at)

    def known(self, origin: float) -> tuple[Sequence[float], Sequence[float]]:
        """(when each frame comes on display, those of keyframes), ascending from the origin; none if one is a guess."""
        if self.guessed or np.diff(np.sort(self.shown)).min(initial=np.inf) < APART:
            return array.array("d"), array.array("d")
        both = (self.shown, self.keys)
        return tuple(array.array("d", sorted(at - origin for at in times)) for times in both)

    def average(self, stop: float) -> float:
        """Frames per second as the file says, unless its frames are far from it."""
        counted = len(self.shown) / stop
        return self.rate if counted / 2 < self.rate < counted * 2 else counted


def _seconds(ticks: int, base: Fraction) -> float:
    return ticks * base.numerator / base.denominator


def _ticks(packet: av.Packet) -> int | None:
    return packet.dts if packet.pts is None else packet.pts


def _end(packet: av.Packet) -> float:
    """When a packet's content ends, seconds; 0 where it does not say."""
    return _seconds((_ticks(packet) or 0) + (packet.duration or 0), packet.time_base) if packet.size else 0.0
