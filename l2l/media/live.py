"""A video that is still coming, cut into the clips that a file with the same content is cut into.

Pictures and sound come interleaved. What is asked for is decoded, and what comes before it waits undecoded; besides,
only the frames of open clips and about a second of sound are held.
"""

import collections
import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np

from l2l.media import memory
from l2l.media.arrays import Arrays
from l2l.media.container import MediaError, packets
from l2l.media.cut import CLIPS, Clip, fill, pace
from l2l.media.picture.frames import EPS, Shown
from l2l.media.picture.jpeg import Encoder
from l2l.media.picture.upright import display_of
from l2l.media.policy import ClipPolicy
from l2l.media.scan import Times, late_picture, origin_of, pictures_of, ready, starts_of
from l2l.media.sound import sound_streams
from l2l.media.sound.track import track_from
from l2l.media.splices import Splicer
from l2l.media.tally import Tally
from l2l.media.video import heard

LAG = 10.0  # seconds that sound may come after its picture; where it does not, the rest of the video is silent

Picture = tuple[av.VideoFrame, float | None]  # when it comes on display on the source's own clock, if it says so


@dataclasses.dataclass(frozen=True)
class Came:
    """A piece of a video.

    Attributes:
      kind: "picture" or "sound".
      decode: () -> Pictures, or av.AudioFrames.
      stop: where the pictures so far end, seconds on the source's own clock.
    """

    kind: str
    decode: Callable[[], Iterable[Any]]
    stop: float


class Feed:
    """Parts what comes; what nobody has asked for yet waits."""

    def __init__(self, pieces: Iterator[Came]) -> None:
        self.pieces, self.stop = pieces, 0.0
        self.waiting: dict[str, collections.deque[Any]] = {kind: collections.deque() for kind in ("picture", "sound")}

    def pictures(self) -> Iterator[Picture]:
        while self.waiting["picture"] or self._pull():
            if self.waiting["picture"]:
                yield from self.waiting["picture"].popleft().decode()

    def sounds(self) -> Iterator[av.AudioFrame]:
        """Ends where sound is too far behind the pictures."""
        own, ahead = self.waiting["sound"], self.waiting["picture"]
        while own or ((not ahead or self.stop - ahead[0].stop < LAG) and self._pull()):
            if own:
                yield from own.popleft().decode()
        del self.waiting["sound"]

    def _pull(self) -> bool:
        """Waits for more; False at the end."""
        piece = next(self.pieces, None)
        if piece is None:
            return False
        self.stop = piece.stop
        if piece.kind in self.waiting:
            self.waiting[piece.kind].append(piece)
        return True


@dataclasses.dataclass(frozen=True)
class Coming:
    """A video that is still coming.

    Attributes:
      fps: frames per second; 0 where it does not say.
      pieces: of it, as they come.
      sounds: when its sounds begin, as far as that is known, seconds on the source's own clock.
      notes: what has to be known of it, a line each.
      tally: of what was decoded so far.
      pixel: width of a pixel over its height; None where it is not known.
      channels: names of its sound's channels, see `sound_streams.Sound`.
    """

    fps: float
    pieces: Iterator[Came]
    sounds: Sequence[float] = ()
    notes: tuple[str, ...] = ()
    tally: Tally = dataclasses.field(default_factory=Tally)
    pixel: Fraction | None = None
    channels: tuple[str, ...] = ()


def from_container(container: av.container.InputContainer, name: str) -> Coming:
    """A container format that is read from front to back.

    Damage leaves a hole.

    Raises:
      MediaError: it has no pictures.
    """
    video, tally = ready(pictures_of(container, name)[0]), Tally()
    sound = sound_streams.guess(container, video)

    def pieces() -> Iterator[Came]:
        times = Times(video, timeless=False)
        for packet in packets(container, video, *sound_streams.sound_of(container, sound), moves=Splicer(container)):
            if packet.stream is video:
                times.add(packet)
                yield Came("picture", functools.partial(_timed, packet, tally), times.stop)
            else:
                yield Came("sound", functools.partial(decoded, packet, tally), times.stop)

    fps = float(video.average_rate or video.guessed_rate or 0)
    notes, starts = sound.notes, starts_of(container, sound)
    return Coming(fps, pieces(), starts, notes, tally, video.sample_aspect_ratio, sound.channels)


def decoded(packet: av.Packet, tally: Tally) -> Iterator[Any]:
    with contextlib.suppress(av.FFmpegError):
        yield from tally.decode(packet)


def _timed(packet: av.Packet, tally: Tally) -> Iterator[Picture]:
    return ((frame, frame.time) for frame in decoded(packet, tally))


def from_arrays(stretches: Iterator[Arrays]) -> Coming:
    """Stretches of a video that follow each other.

    Raises:
      MediaError: there are none.
    """
    begun = list(paced(stretches))
    if not begun:
        raise MediaError("too_short", memory.NAME, "it holds no frames")

    def pieces() -> Iterator[Came]:
        frames, samples, origin = 0, 0, None
        for stretch in itertools.chain(begun, stretches):
            for i, (rgb, at) in enumerate(zip(stretch.frames, stretch.shown(frames), strict=True)):
                origin = at if origin is None else origin
                stop = at + (1 / stretch.fps if stretch.fps else memory.average(at - origin, frames + i))
                yield Came("picture", functools.partial(_drawn, rgb, at), stop)
            for sound in memory.sound_of(stretch, samples):
                yield Came("sound", functools.partial(iter, [sound]), stop)
            frames += len(stretch.frames)
            samples += 0 if stretch.wave is None else len(stretch.wave)

    return Coming(memory.rate_of(begun), pieces(), memory.starts_of(begun[0]))


def _drawn(rgb: np.ndarray, at: float) -> list[Picture]:
    return [(memory.picture(rgb), at)]


def paced(stretches: Iterator[Arrays]) -> Iterator[Arrays]:
    """The first of some stretches, as many as tell how many frames a second there are: where times do, two frames."""
    frames = 0
    for stretch in stretches:
        yield stretch
        frames += len(stretch.frames)
        if stretch.fps or frames > 1:
            return


class LiveFilm:
    """The clips of a video that is still coming, each as soon as its pictures and its sound are there.

    Attributes:
      length, hop: of clips, seconds.
      stop: where the video ends, seconds; infinity while that is not known.
      tally: of what was decoded so far.
      display: how its frames are shown.

    Raises:
      MediaError: it ends before the first picture, its rate is not known, or the policy cuts a number of clips that
        are spread over the whole video.
    """

    def __init__(self, name: str, coming: Coming, policy: ClipPolicy) -> None:
        if policy.clips:
            raise MediaError("undecodable", name, "the run spreads its clips over a whole video, of known length")
        if not (policy.fps or coming.fps):
            raise MediaError("undecodable", name, "it does not say how many frames a second it has")
        self.name, self.policy, self.fps, self.feed = name, policy, policy.fps or coming.fps, Feed(coming.pieces)
        self.tally, self.known = coming.tally, coming.notes
        self.length, self.hop = pace(policy, self.fps)
        self.pictures, self.stop = self.feed.pictures(), math.inf
        opening = next(self.pictures, None)
        if opening is None:
            raise MediaError("too_short", name, "its video stream holds no frames")
        self.first, at = opening
        self.begin, self.display = at or 0.0, display_of(self.first, coming.pixel)
        self.origin = origin_of(self.begin, coming.sounds, math.inf)
        self.track = track_from(self.feed.sounds(), self.origin, CLIPS * self.hop, coming.channels)

    def clips(self, stride: int, frames: int) -> Iterator[Clip]:
        """Every stride-th clip with its first `frames` images and its sound; at most CLIPS are counted."""
        planned = (Clip(i, 0, i * self.hop, self.length) for i in range(0, CLIPS, stride))
        encoder, step = Encoder(self.name, self.policy, self.display), self.length / self.policy.frames
        filled = fill(planned, self._shown(), encoder, step=step, stop=math.inf, frames=frames)
        own = itertools.takewhile(lambda clip: clip.start < self.stop - EPS, filled)
        yield from heard(own, self.policy, self.track)

    def _shown(self) -> Shown:
        """Frames, each with the time at which it leaves the display.

        Raises:
          MediaError: one says that it stays for longer than all clips that a video may have.
        """
        frame, now = self.first, self.begin - self.origin
        for after, at in self.pictures:
            gone = now + 1 / self.fps if at is None else at - self.origin
            gone = now + 1 / self.fps if gone < now - EPS else gone
            yield frame, self._believed(now, gone)
            frame, now = after, gone
        self.stop = self._believed(now, max(self.feed.stop - self.origin, now))
        yield frame, self.stop

    def _believed(self, now: float, gone: float) -> float:
        if gone - now > CLIPS * self.hop:
            most = f"more than {CLIPS:,} clips"
            raise MediaError("undecodable", self.name, f"it says that a picture stays for {gone - now:,.0f} s: {most}")
        return gone

    @property
    def notes(self) -> tuple[str, ...]:
        """All of them once its clips have been read."""
        known = (*self.display.notes, *self.known, *late_picture(self.begin - self.origin))
        return tuple(dict.fromkeys((*known, *(self.track.notes if self.policy.audio else ()))))

    @property
    def has_audio(self) -> bool:
        """Whether any sound has come."""
        return self.policy.audio and self.track.real is not None

    @property
    def count(self) -> int:
        """How many clips the video has, once `stop` is known."""
        return max(1, math.ceil((self.stop - EPS) / self.hop))
