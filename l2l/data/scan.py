"""What a video file holds before any clip is cut: opening it, its packets' times, its sound.

Everything is in seconds from the presentation time of the first frame; the sound is laid on that time line
sample by sample.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator

import av
import numpy as np

from l2l.data.schema import AUDIO_RATE

WHOLE = 0.9  # share of a file that must be there and decode
GAP = 0.01  # seconds the sound's time stamps may stray before it is laid anew

# PyAV 18 refuses metadata that is not UTF-8 unless told otherwise; PyAV 19 copes and refuses to be told.
_OPEN = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
# Formats that are not a video but point to other files, or draw any text file as pictures.
_REFUSED = {"concat", "hls", "image2", "tty"}


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
def opened(path: str | os.PathLike) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """An open file and its first video stream; whatever the decoder raises inside becomes a MediaError."""
    if not os.path.isfile(path):
        raise MediaError("missing", path, "there is no such file")
    if not os.path.getsize(path):
        raise MediaError("undecodable", path, "the file is empty")
    try:
        # "file:" keeps a colon in the name from being read as a protocol.
        with av.open(f"file:{os.path.abspath(path)}", options={"protocol_whitelist": "file"}, **_OPEN) as container:
            if _REFUSED & set(container.format.name.split(",")):
                raise MediaError("undecodable", path, "not a video file")
            cover = av.stream.Disposition.attached_pic
            streams = [s for s in container.streams.video if not s.disposition & cover]
            if not streams:
                raise MediaError("no_video", path, "the file has no video stream")
            if streams[0].codec_context is None:
                raise MediaError("undecodable", path, "there is no decoder for its video stream")
            streams[0].codec_context.thread_count = 1
            yield container, streams[0]
    except (av.FFmpegError, OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError("undecodable", path, f"it cannot be decoded: {reason}") from error


def decoded(
    container: av.container.InputContainer, stream: av.VideoStream, path: str | os.PathLike
) -> tuple[Iterator[av.VideoFrame], av.VideoFrame]:
    """All frames but the first, and the first."""
    frames = container.decode(stream)
    first = next(frames, None)
    if first is None:
        raise MediaError("too_short", path, "its video stream holds no frames")
    return frames, first


@dataclasses.dataclass(frozen=True)
class Scan:
    """What a file's packets tell.

    Attributes:
      frames: how many there are.
      last: when the last one comes on display, seconds from the first.
      stop: when it leaves the display, seconds from the first.
      fps: average frames per second.
      has_audio: whether there is a sound stream.
      sound: what `media.read_audio` returns; None where it was not asked for.
    """

    frames: int
    last: float
    stop: float
    fps: float
    has_audio: bool
    sound: tuple[np.ndarray, tuple[int, int]] | None


def walk(path: str | os.PathLike, origin: float, *, audio: bool) -> Scan:
    """Walks over all packets without decoding a picture; decodes the sound if asked.

    Args:
      path: a video file.
      origin: presentation time of its first frame, seconds.
      audio: whether to decode the sound.
    """
    with opened(path) as (container, video):
        times, track = _Times(video, origin), _Track(origin)
        reached = 0.0
        for packet in _packets(container, video):
            reached = max(reached, _end(packet))
            if packet.stream is video:
                times.add(packet)
            elif audio:
                track.add(packet)
        if video.duration:
            reached, declared = times.span, float(video.duration * video.time_base)
        else:  # some containers count from 0, whenever their first packet is
            declared = (container.duration or 0) / av.time_base
        if reached < WHOLE * declared:
            raise MediaError("undecodable", path, f"cut short: {reached:.2f} s of {declared:.2f} s are there")
        if times.count < 2 or times.last <= 0:
            reason = f"a video needs frames at two times, it has {times.count} in {times.stop:.2f} s"
            raise MediaError("too_short", path, reason)
        sound = track.sound(times.stop)
        fps = times.rate or times.count / times.stop
        return Scan(times.count, times.last, times.stop, fps, bool(container.streams.audio), sound)


class _Times:
    """When frames are shown, told by their packets alone, which may come out of order."""

    def __init__(self, video: av.VideoStream, origin: float) -> None:
        self.rate = float(video.average_rate or video.guessed_rate or 0)
        self.origin, self.first, self.count, self.last, self.stop = origin, 0.0, 0, 0.0, 0.0

    @property
    def span(self) -> float:
        """From the first frame of the file, even where it is not to be shown, to the end of the last."""
        return self.stop - self.first

    def add(self, packet: av.Packet) -> None:
        if not packet.size:
            return
        length = float((packet.duration or 0) * packet.time_base) or (1 / self.rate if self.rate else 0.0)
        at = self.stop if _ticks(packet) is None else float(_ticks(packet) * packet.time_base) - self.origin
        self.first = min(self.first, at)
        if not packet.is_discard:
            self.count += 1
            self.last, self.stop = max(self.last, at), max(self.stop, at + length)


def _ticks(packet: av.Packet) -> int | None:
    return packet.dts if packet.pts is None else packet.pts


def _end(packet: av.Packet) -> float:
    """When a packet's content ends, seconds; 0 where it does not say."""
    return float(((_ticks(packet) or 0) + (packet.duration or 0)) * packet.time_base) if packet.size else 0.0


def _packets(container: av.container.InputContainer, video: av.VideoStream) -> Iterator[av.Packet]:
    """The packets of the picture and of the first sound stream, as far as they can be read."""
    with contextlib.suppress(av.FFmpegError):
        yield from container.demux(video, *container.streams.audio[:1])


class _Track:
    """Lays decoded sound on the video's time line, 16 kHz mono int16."""

    def __init__(self, origin: float) -> None:
        self.origin, self.expected, self.kind = origin, origin, None
        self.resampler: av.AudioResampler | None = None
        self.pieces: list[tuple[int, np.ndarray]] = []
        self.position = 0

    def add(self, packet: av.Packet) -> None:
        """Decodes a packet; a damaged one leaves a hole."""
        with contextlib.suppress(av.FFmpegError):
            for frame in packet.decode():
                self._lay(frame)

    def _lay(self, frame: av.AudioFrame) -> None:
        at = self.expected if frame.time is None else frame.time
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self.kind or abs(at - self.expected) > GAP:
            self._keep(None)
            self.kind, self.position = kind, round((at - self.origin) * AUDIO_RATE)
            self.resampler = av.AudioResampler("s16", "mono", AUDIO_RATE)
            self.expected = at
        self.expected += frame.samples / frame.sample_rate
        self._keep(frame)

    def _keep(self, frame: av.AudioFrame | None) -> None:
        """Resamples a frame; None drains the resampler."""
        for piece in self.resampler.resample(frame) if self.resampler else []:
            self.pieces.append((self.position, piece.to_ndarray()[0]))
            self.position += piece.samples

    def sound(self, stop: float) -> tuple[np.ndarray, tuple[int, int]] | None:
        """The track up to a second after `stop`, and the range it covers; None if there is nothing."""
        self._keep(None)
        limit = round((stop + 1) * AUDIO_RATE)
        pieces = [(max(at, 0), piece[max(-at, 0) : max(limit - at, 0)]) for at, piece in self.pieces]
        pieces = [(at, piece) for at, piece in pieces if len(piece)]
        if not pieces:
            return None
        real = min(at for at, _ in pieces), max(at + len(piece) for at, piece in pieces)
        wave = np.zeros(real[1], np.int16)
        for at, piece in pieces:
            wave[at : at + len(piece)] = piece
        return wave, real
