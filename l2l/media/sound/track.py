"""The sound of a video on the time line of its picture: 16 kHz, mono, int16, decoded as it is asked for."""

import collections
import os
from collections.abc import Iterator, Sequence

import av
import numpy as np

from l2l.media.container import MediaError, opened, readable
from l2l.media.policy import AUDIO_RATE
from l2l.media.scan import Scan
from l2l.media.sound.mixing import Mixer
from l2l.media.sound.sound_streams import Sound, sound_of
from l2l.media.sound.steady import kind_of, steadied

BLOCK = 16384  # samples that are resampled at once: a call costs as much as a thousand of them
SLOW = 8000  # Hz; below it, no more than such a block's seconds
MOST = 1 << 20  # samples of all channels, at most, where a single frame holds more than a block

Piece = tuple[int, np.ndarray]  # place of its first sample, int16 (n,)


class Track:
    """A sound track that is read once, from its beginning; it holds what was asked for last and no more.

    Sample i belongs to i / 16000 s from the moment at which the first frame comes on display. The track goes on for at
    most a second after the picture.

    Attributes:
      notes: what has to be known of the sound as far as it was read, a line each.

    Args:
      source: its pieces; where they cannot be read any further, the sound ends.
      stop: where the picture ends, seconds.
      notes: a list that `source` adds to.
    """

    def __init__(self, source: Iterator[Piece], stop: float, notes: list[str] | None = None) -> None:
        self.source, self.limit = source, round((stop + 1) * AUDIO_RATE)
        self.held: collections.deque[Piece] = collections.deque()
        self.notes = [] if notes is None else notes
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
            self._forget(begin)
        self._forget(begin)
        wave = np.zeros(stop - begin, np.int16)
        for at, piece in self.held:
            inside = piece[max(begin - at, 0) : max(stop - at, 0)]
            wave[max(at - begin, 0) :][: len(inside)] = inside
        first, end = (min(max(x - begin, 0), stop - begin) for x in self.real or (0, 0))
        return wave, (first, end) if first < end else (0, 0)

    def _forget(self, begin: int) -> None:
        """Lets go of what comes before a sample."""
        while self.held and self.held[0][0] + len(self.held[0][1]) <= begin:
            self.held.popleft()

    def _read(self) -> bool:
        """Reads one more piece; False at the end."""
        try:
            at, piece = next(self.source, (0, None))
        except (av.FFmpegError, MediaError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            ends = f"the sound ends at {self.real[1] / AUDIO_RATE:.1f} s" if self.real else "no sound"
            self.notes.append(f"{ends}: {reason}")
            return False
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
    """The sound of a file; of several streams, their mean."""
    notes: list[str] = []
    each = [
        track_from(_decoded(path, scan, place, notes), scan.origin, scan.stop, scan.sound.channels, notes)
        for place in scan.sound.streams
    ]
    return each[0] if len(each) == 1 else Track(_together(each), scan.stop, notes)


def track_from(
    frames: Iterator[av.AudioFrame],
    origin: float,
    stop: float,
    channels: tuple[str, ...] = (),
    notes: list[str] | None = None,
) -> Track:
    """The sound of some frames.

    Args:
      frames, origin, channels: see `laid`.
      stop: where the picture ends, seconds from the origin.
      notes: a list that what makes the frames adds to as well.
    """
    notes = [] if notes is None else notes
    return Track(laid(frames, origin, notes, channels), stop, notes)


def laid(
    frames: Iterator[av.AudioFrame], origin: float, notes: list[str], channels: tuple[str, ...] = ()
) -> Iterator[Piece]:
    """Mixes and resamples frames and lays them end to end; anew where `steadied` says so.

    Args:
      frames: in the order of the file.
      origin: what is 0 afterwards, seconds on the file's own clock.
      notes: gets what has to be known, a line each.
      channels: names of the channels, where their layout does not tell them.

    Raises:
      av.FFmpegError, ValueError: the sound cannot be mixed.
    """
    kind, mixer, stretch = None, None, None
    for frame, anew in steadied(frames, origin, notes):
        if anew is not None:
            yield from stretch.end() if stretch else ()
            if mixer is None or kind_of(frame) != kind:
                _note_change(kind, frame, anew - origin, notes)
                kind, mixer = kind_of(frame), Mixer(frame, channels, notes)
            stretch = _Stretch(round((anew - origin) * AUDIO_RATE), mixer)
        if stretch:  # which the first frame begins
            yield from stretch.write(frame)
    yield from stretch.end() if stretch else ()


def _note_change(before: tuple[str, str, int] | None, frame: av.AudioFrame, at: float, notes: list[str]) -> None:
    """Says that rate or channels are others from here on, the first time."""
    said = [f"{rate:,} Hz {layout}" for _, layout, rate in (before, kind_of(frame)) if before] if before else []
    begin = "the sound's form changes: "
    if len({*said}) == 2 and not any(note.startswith(begin) for note in notes):
        notes.append(f"{begin}at {at:.1f} s from {said[0]} to {said[1]}")


class _Stretch:
    """Sound of one format without a hole, resampled a block at a time; `place` is that of its next sample."""

    def __init__(self, place: int, mixer: Mixer) -> None:
        self.place, self.mixer, self.plain = place, mixer, mixer.plain
        self.block = max(1, min(BLOCK, BLOCK * mixer.rate // SLOW))
        self.most = max(1, min(MOST // mixer.count, 8 * self.block))
        self.resampler, self.waiting = av.AudioResampler("s16", "mono", AUDIO_RATE), av.AudioFifo()

    def write(self, frame: av.AudioFrame) -> Iterator[Piece]:
        frame.pts = None  # the queue insists on stamps without the least jitter
        self.waiting.write(frame)
        if self.waiting.samples >= self.block:
            yield from self._emptied()

    def end(self) -> Iterator[Piece]:
        yield from self._emptied()
        yield from self._resampled(None)

    def _emptied(self) -> Iterator[Piece]:
        """What waits, mixed and resampled."""
        while (waited := self.waiting.read(min(self.waiting.samples, self.most))) is not None:
            frame = self.mixer(waited)
            if self.mixer.plain != self.plain:
                yield from self._resampled(None)
                self.plain, self.resampler = self.mixer.plain, av.AudioResampler("s16", "mono", AUDIO_RATE)
            yield from self._resampled(frame)

    def _resampled(self, frame: av.AudioFrame | None) -> Iterator[Piece]:
        """What a frame becomes; None drains the resampler."""
        for piece in self.resampler.resample(frame):
            yield self.place, piece.to_ndarray()[0]
            self.place += piece.samples


def _together(tracks: Sequence[Track]) -> Iterator[Piece]:
    """The mean of tracks, a second at a time; where one is absent it counts as silence."""
    for begin in range(0, max((track.limit for track in tracks), default=0), AUDIO_RATE):
        waves, covered = zip(*(track.window(begin, begin + AUDIO_RATE) for track in tracks), strict=True)
        real = [(first, stop) for first, stop in covered if stop]
        if real:
            first, stop = min(first for first, _ in real), max(stop for _, stop in real)
            yield begin + first, np.rint(np.mean(waves, 0)).astype(np.int16)[first:stop]


def _decoded(path: str | os.PathLike, scan: Scan, place: int, notes: list[str]) -> Iterator[av.AudioFrame]:
    """The frames of a sound stream, as far as it can be read; a damaged packet leaves a hole.

    Raises:
      av.FFmpegError: none of it decodes.
    """
    any_frame, failed = False, None
    with opened(path) as container:
        (stream,) = sound_of(container, Sound((place,)))
        for packet in readable(container, stream, moves=scan.moves):
            try:
                for frame in scan.tally.decode(packet):
                    any_frame = True
                    yield frame
            except av.FFmpegError as error:
                if packet.size and failed is None:
                    notes.append("some of the sound is damaged: it is absent there")
                failed = failed or error
    if failed and not any_frame:
        raise failed
