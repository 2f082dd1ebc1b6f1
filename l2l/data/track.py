"""The sound of a video on the time line of its picture: 16 kHz, mono, int16, decoded as it is asked for."""

import collections
import contextlib
import os
from collections.abc import Iterator

import av
import numpy as np

from l2l.data.opening import opened, readable
from l2l.data.scan import Scan, sound_of
from l2l.data.schema import AUDIO_RATE

GAP = 0.01  # seconds the sound's time stamps may stray before it is laid anew
BLOCK = 16384  # samples that are resampled at once: a call costs as much as a thousand of them

Piece = tuple[int, np.ndarray]  # place of its first sample, int16 (n,)


class Track:
    """A sound track that is read once, from its beginning; it holds what was asked for last and no more.

    Sample i belongs to i / 16000 s from the moment at which the first frame comes on display. The track goes on for at
    most a second after the picture.

    Attributes:
      notes: what has to be known of the sound as far as it was read, a line each.

    Args:
      source: its pieces.
      stop: where the picture ends, seconds.
    """

    def __init__(self, source: Iterator[Piece], stop: float) -> None:
        self.source, self.limit = source, round((stop + 1) * AUDIO_RATE)
        self.held: collections.deque[Piece] = collections.deque()
        self.notes: list[str] = []
        self.real: tuple[int, int] | None = None  # what the track covers, as far as it was read

    @property
    def there(self) -> bool:
        """Whether there is any sound."""
        while self.real is None and self._read():
            pass
        return self.real is not None

    def window(self, begin: int, stop: int) -> tuple[np.ndarray, tuple[int, int]]:
        """The samples [begin, stop); no later call may ask for any before `begin`.

        Returns:
          int16 (stop - begin,), 0 where the track is absent; and which of them, [first, stop), the track covers.
        """
        while (self.real is None or self.real[1] < min(stop, self.limit)) and self._read():
            pass
        while self.held and self.held[0][0] + len(self.held[0][1]) <= begin:
            self.held.popleft()
        wave = np.zeros(stop - begin, np.int16)
        for at, piece in self.held:
            inside = piece[max(begin - at, 0) : max(stop - at, 0)]
            wave[max(at - begin, 0) :][: len(inside)] = inside
        first, end = (min(max(x - begin, 0), stop - begin) for x in self.real or (0, 0))
        return wave, (first, end) if first < end else (0, 0)

    def _read(self) -> bool:
        """Reads one more piece; False at the end."""
        at, piece = next(self.source, (0, None))
        if piece is None:
            return False
        piece = piece[max(-at, 0) : max(self.limit - at, 0)]
        if len(piece):
            at = max(at, 0)
            first, stop = self.real or (at, at)
            self.real = min(first, at), max(stop, at + len(piece))
            self.held.append((at, piece))
        return True


def track_of(path: str | os.PathLike, scan: Scan) -> Track:
    """The sound of a file."""
    return Track(laid(_decoded(path, scan), scan.origin), scan.stop)


def laid(frames: Iterator[av.AudioFrame], origin: float) -> Iterator[Piece]:
    """Resamples frames and lays them end to end; anew where their time stamps jump or their format changes.

    Args:
      frames: in the order of the file.
      origin: what is 0 afterwards, seconds on the file's own clock.
    """
    expected, kind, stretch = origin, None, None
    for frame in frames:
        at = expected if frame.time is None else frame.time
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != kind or abs(at - expected) > GAP:
            yield from stretch.end() if stretch else ()
            kind, expected, stretch = found, at, _Stretch(round((at - origin) * AUDIO_RATE))
        expected += frame.samples / frame.sample_rate
        yield from stretch.write(frame)
    yield from stretch.end() if stretch else ()


class _Stretch:
    """Sound of one format without a hole, resampled a block at a time; `place` is that of its next sample."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.resampler, self.waiting = av.AudioResampler("s16", "mono", AUDIO_RATE), av.AudioFifo()

    def write(self, frame: av.AudioFrame) -> Iterator[Piece]:
        frame.pts = None  # the queue insists on stamps without the least jitter
        self.waiting.write(frame)
        if self.waiting.samples >= BLOCK:
            yield from self._resampled(self.waiting.read())

    def end(self) -> Iterator[Piece]:
        if self.waiting.samples:
            yield from self._resampled(self.waiting.read())
        yield from self._resampled(None)

    def _resampled(self, frame: av.AudioFrame | None) -> Iterator[Piece]:
        """What a frame becomes; None drains the resampler."""
        for piece in self.resampler.resample(frame):
            yield self.place, piece.to_ndarray()[0]
            self.place += piece.samples


def _decoded(path: str | os.PathLike, scan: Scan) -> Iterator[av.AudioFrame]:
    """The frames of the sound, as far as it can be read; a damaged packet leaves a hole."""
    with opened(path) as container:
        for stream in sound_of(container, scan.sound):
            for packet in readable(container, stream, moves=scan.moves):
                with contextlib.suppress(av.FFmpegError):
                    yield from scan.tally.decode(packet)
