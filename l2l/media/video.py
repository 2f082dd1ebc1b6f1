"""Cuts clips out of a video: preparation and `infer` both use `read_clips`, so both see the same bytes.

Time 0 is the presentation time of the first frame; the sound is laid on that time line, sample by sample. A
frame is on display from its own time until the next one's, so variable frame rates need no special case.

A file is refused as a whole (`MediaError`) where a part of it is missing or does not decode, unless that part
lies in its last tenth: then the last good frame stands for the rest, and `frames_valid` says so. Damage that
the codec conceals, or that lies where nothing had to be decoded, goes unnoticed.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from l2l.media.container import MediaError, told
from l2l.media.cut import Clip, fill, plan
from l2l.media.picture.frames import Shown, frames_at
from l2l.media.picture.jpeg import Encoder
from l2l.media.policy import AUDIO_RATE, USUAL, ClipPolicy, Reading
from l2l.media.scan import Scan, walk
from l2l.media.sound.track import Track, track_of
from l2l.media.tally import Tally


@dataclasses.dataclass(frozen=True)
class Probe:
    """Facts of a file.

    Attributes:
      duration: seconds.
      fps: average frames per second.
      width, height: as displayed, pixels.
      frames: how many there are.
      has_audio: whether a sound is read.
      begin: where its time begins on the file's own clock, which browsers go by, seconds.
    """

    duration: float
    fps: float
    width: int
    height: int
    frames: int
    has_audio: bool
    begin: float = 0.0


def probe(path: str | os.PathLike, reading: Reading = USUAL, scan: Scan | None = None) -> Probe:
    """Duration, rate and size of a video, from its packets and its first frame.

    Args:
      path: a video file.
      reading: which parts of the file are read.
      scan: what `walk` finds in the file, where that is known already.

    Raises:
      MediaError: the file cannot be used as a video.
    """
    scan = scan or walk(path, reading)
    return Probe(scan.stop, scan.fps, *scan.display.size, scan.frames, bool(scan.sound.streams), scan.origin)


def read_audio(
    path: str | os.PathLike, reading: Reading = USUAL, scan: Scan | None = None
) -> tuple[np.ndarray, tuple[int, int]] | None:
    """The whole sound track on the video's time line, mixed down to mono; its arguments are those of `probe`.

    Returns:
      int16 (n,) at 16 kHz, sample i at i / 16000 s, 0 where the track is absent; and the range [first, stop)
      that it covers. None if there is no sound.

    Raises:
      MediaError: the file cannot be used as a video.
    """
    scan = scan or walk(path, reading)
    track = track_of(path, scan)
    wave, (first, stop) = track.window(0, track.limit)
    return (wave[:stop], (first, stop)) if track.there else None


def read_clips(
    path: str | os.PathLike,
    policy: ClipPolicy,
    start: float | None = None,
    end: float | None = None,
    reading: Reading = USUAL,
) -> Iterator[Clip]:
    """Cuts a video into clips in one pass; holds the frames of open clips and about a second of sound.

    Frame k of a clip is the one on display k * stride / fps after the clip's start. With `policy.clips` 0
    clips start every hop while inside the video, otherwise each is the centre of one of that many equal parts.
    A video shorter than a clip gives one clip.

    Args:
      path: a video file.
      policy: how to cut.
      start: cut only from here, seconds.
      end: cut only up to here, seconds.
      reading: which parts of the file are read.

    Yields:
      Clips in order of their start. Images are upright RGB with square pixels, HDR as SDR, scaled by swscale to
      `policy.short_side` (area when shrinking, bicubic when enlarging); the two fields of an interlaced frame are
      blended.

    Raises:
      MediaError: the file cannot be used, says that it has more than CLIPS clips, or `start` lies beyond its end.
        Clips may have been yielded before.
    """
    film = open_film(path, policy, start, end, reading)
    yield from film.cut(range(len(film.clips)), policy.frames)


def open_film(
    path: str | os.PathLike,
    policy: ClipPolicy,
    start: float | None = None,
    end: float | None = None,
    reading: Reading = USUAL,
    scan: Scan | None = None,
) -> "Film":
    """A file, to be looked at here and there: its clips are planned, of its frames only the first is decoded.

    `scan` is what `walk` finds in the file, where that is known already.

    Raises:
      MediaError: as `read_clips`.
    """
    scan = scan or walk(path, reading)
    begin, stop = start or 0.0, scan.stop if end is None else min(end, scan.stop)
    if begin >= stop:
        raise MediaError("too_short", path, f"asked from {begin:g} s, but it ends at {scan.stop:.2f} s")
    planned = lambda policy: plan(path, policy, policy.fps or scan.fps, begin, stop)
    shown = functools.partial(frames_at, path, scan)
    return Film(path, policy, planned, planned(policy), stop, scan, track_of(path, scan), shown)


@dataclasses.dataclass(frozen=True)
class Film:
    """A video whose clips are planned and not yet decoded.

    Attributes:
      path: of the file, for messages.
      policy: how the clips are cut.
      plan: a policy -> all clips that it cuts, without their content.
      clips: those of `policy`.
      stop: where they end, seconds.
      scan: what is known of the file.
      track: its sound.
      frames_at: ascending times, seconds -> the frames on display at them, see `frames.frames_at`.
    """

    path: str | os.PathLike
    policy: ClipPolicy
    plan: Callable[[ClipPolicy], Sequence[Clip]]
    clips: Sequence[Clip]
    stop: float
    scan: Scan
    track: Track
    frames_at: Callable[[Sequence[float]], Shown]

    @property
    def has_audio(self) -> bool:
        """Whether there is any sound."""
        return self.policy.audio and self.track.there

    @property
    def tally(self) -> Tally:
        """Of what was decoded so far."""
        return self.scan.tally

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known of the file, a line each; all of it once its clips have been read."""
        return tuple(dict.fromkeys((*self.scan.notes, *(self.track.notes if self.policy.audio else ()))))

    def recut(self, policy: ClipPolicy) -> "Film":
        """The same in other clips."""
        return dataclasses.replace(self, policy=policy, clips=self.plan(policy))

    def muted(self) -> "Film":
        """The same without its sound."""
        return dataclasses.replace(self, policy=dataclasses.replace(self.policy, audio=False))

    def seen(self, positions: Iterable[int], frames: int) -> Iterator[Clip]:
        """The clips at these positions (ascending) with their first `frames` images.

        Raises (while they are read):
          MediaError: what has to be decoded is damaged.
        """
        step, places = self.clips[0].duration / self.policy.frames, list(positions)
        starts = (self.clips[i].start for i in places)
        times = sorted({at for start in starts for k in range(frames) if (at := start + k * step) < self.stop})
        clips = (dataclasses.replace(self.clips[i], jpegs=[]) for i in places)
        encoder = Encoder(self.path, self.policy, self.scan.display)
        with told(self.path):
            yield from fill(clips, self.frames_at(times), encoder, step=step, stop=self.stop, frames=frames)

    def cut(self, positions: Iterable[int], frames: int) -> Iterator[Clip]:
        """The same with their sound, see `heard`."""
        return heard(self.seen(positions, frames), self.policy, self.track)

    def sound(self, begin: int, stop: int) -> np.ndarray:
        """The samples [begin, stop) of the sound, int16, see `Track.window`."""
        return self.track.window(begin, stop)[0]


def heard(clips: Iterable[Clip], policy: ClipPolicy, track: Track) -> Iterator[Clip]:
    """The clips (in order of their start; in each call later ones than in the call before) with their sound."""
    for clip in clips:
        if policy.audio and track.there:
            clip.audio, clip.audio_valid = track.window(clip.second, clip.second + AUDIO_RATE)
            clip.has_audio = True
        yield clip
