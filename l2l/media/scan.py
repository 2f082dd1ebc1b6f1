"""What a video file holds before any clip is cut: its streams, its first frame, the times of its packets.

Everything is in seconds from the moment at which the first frame comes on display.
"""

import array
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np

from l2l.media.container import MediaError, opened, readable, unit_of
from l2l.media.picture.upright import Display, display_of
from l2l.media.policy import USUAL, Reading
from l2l.media.sound import sound_streams
from l2l.media.sound.sound_streams import SILENT, Sound
from l2l.media.splices import NONE, Moves, Splicer
from l2l.media.tally import Tally

WHOLE = 0.9  # share of a file that must be there and decode
LEAD = 0.1  # seconds before the picture in which a sound may begin for its encoder's sake alone
ENOUGH = 100  # pictures after which a stream is a film, while another one still has its first
STILL = 600.0  # seconds that one frame may stay on display before that is worth a note
APART = 2e-3  # seconds between frames, below which time stamps do not tell them from each other
PIXELS = 1 << 26  # of one frame: twice 8K

# Formats that store frames in the order of decoding, one every so often, and no times of display.
_TIMELESS = {"avi"}


def pictures_of(container: av.container.InputContainer, path: str | os.PathLike) -> list[av.VideoStream]:
    """The video streams that may be the film, the likeliest first by what the header says of them.

    Raises:
      MediaError: there is none.
    """
    kinds = av.stream.Disposition
    streams = [s for s in container.streams.video if not s.disposition & kinds.attached_pic]
    if not streams:
        raise MediaError("no_video", path, "the file has no video stream")
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        raise MediaError("undecodable", path, "there is no decoder for its video stream")
    return sorted(known, key=lambda s: not s.disposition & kinds.default)


def film_of(container: av.container.InputContainer, path: str | os.PathLike) -> tuple[av.VideoStream, tuple[str, ...]]:
    """The video stream that is read, and what has to be known of that choice.

    Raises:
      MediaError: there is none.
    """
    streams = pictures_of(container, path)
    if len(streams) == 1:
        return ready(streams[0]), ()
    place = _moving(path, [stream.index for stream in streams])
    number, count = sorted(stream.index for stream in streams).index(place) + 1, len(streams)
    return ready(next(stream for stream in streams if stream.index == place)), (f"video stream {number} of {count}",)


def _moving(path: str | os.PathLike, places: Sequence[int]) -> int:
    """The first of some video streams that has pictures at two times; the first of all if none has."""
    times: dict[int, list[int | None]] = {place: [] for place in places}
    with opened(path) as container:
        for packet in readable(container, *(container.streams[place] for place in places)):
            own = times[packet.stream_index]
            if packet.size and _ticks(packet) not in own[:1]:
                own.append(_ticks(packet))
            if len(own) > (1 if packet.stream_index == places[0] else ENOUGH):
                return packet.stream_index
    return next((place for place in places if len(times[place]) > 1), places[0])


def ready(stream: av.VideoStream) -> av.VideoStream:
    """The stream, whose decoder will refuse huge pictures and use one thread: there is a process per core."""
    stream.codec_context.options = {"max_pixels": str(PIXELS)}
    stream.codec_context.thread_count = 1
    return stream


@dataclasses.dataclass(frozen=True)
class Scan:
    """What a file's packets and its first frame tell.

    Attributes:
      first: its first frame.
      origin: where time begins to count, seconds on the file's own clock, see `origin_of`.
      frames: how many there are.
      last: when the last one comes on display.
      stop: when it leaves the display.
      fps: average frames per second.
      times: when each of them does, ascending; empty where that is a guess. Until the first, the first one stands.
      keys: of those from which decoding can begin; empty where it can begin at the start alone.
      timeless: whether the file holds the frames' order without their times.
      display: how its frames are shown.
      picture: place of the video stream among all streams.
      sound: the sound streams that are read.
      moves: by how much packets are moved whose clock jumps.
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
    display: Display
    picture: int = 0
    sound: Sound = SILENT
    moves: Moves = NONE
    notes: tuple[str, ...] = ()
    tally: Tally = dataclasses.field(default_factory=Tally)

    def time_of(self, frame: av.VideoFrame | av.Packet) -> float | None:
        """When a frame, or the one in a packet, comes on display; None if it does not say.

        A decoder gives a frame the time (dts) of the packet that made it come out. Where frames have no time of
        their own, that one is right but for the delay of the first frame.
        """
        if not self.timeless:
            return None if frame.pts is None else _seconds(frame.pts, frame) - self.origin
        if frame.dts is None or self.first.dts is None:
            return None
        return _seconds(frame.dts - self.first.dts, frame)


def walk(path: str | os.PathLike, reading: Reading = USUAL) -> Scan:
    """Walks over all packets and decodes no more than the first frame.

    Raises:
      MediaError: the file cannot be used as a video.
    """
    with opened(path) as container:
        video, chosen = film_of(container, path)
        sound = sound_streams.choose(path, container, video, reading.audio_track)
        timeless, first = container.format.name in _TIMELESS, None
        times, tally, splicer, heard = Times(video, timeless), Tally(), Splicer(container), 0.0
        for packet in readable(container, video, *sound_streams.sound_of(container, sound), moves=splicer):
            if packet.stream is video:
                times.add(packet)
                first = first or next(iter(tally.decode(packet)), None)
            else:
                heard = max(heard, _end(packet))
        if first is None:
            raise MediaError("too_short", path, "its video stream holds no frames")
        begin = times.begin(first)
        origin = origin_of(begin, starts_of(container, sound), heard)
        place, moves, display = video.index, splicer.moves, display_of(first, video.sample_aspect_ratio)
        lying = () if moves else _check_length(path, container, times, max(times.stop, heard), begin, reading)
        _check(path, times, begin)
    shown, keys = times.known(origin, moves)
    notes = (*chosen, *display.notes, *sound.notes, *lying, *_remarks(times, begin - origin, moves))
    which: dict[str, Any] = {
        "display": display,
        "picture": place,
        "sound": sound,
        "moves": moves,
        "notes": notes,
        "tally": tally,
    }
    fps, stop = times.average(begin), times.stop - origin
    return Scan(first, origin, len(times.shown), max(times.shown) - origin, stop, fps, shown, keys, timeless, **which)


def starts_of(container: av.container.InputContainer, sound: Sound) -> list[float]:
    """When the sounds that are read begin, as far as the header says, seconds on the file's own clock."""
    streams = [container.streams[place] for place in sound.streams]
    return [_seconds(s.start_time, s) for s in streams if s.start_time is not None]


def origin_of(begin: float, sounds: Sequence[float], heard: float) -> float:
    """Where a player begins to count, seconds on the file's own clock: with the picture, or with an earlier sound.

    Args:
      begin: when the first picture comes on display.
      sounds: when the sounds begin.
      heard: when they have ended; sound that ends before the picture begins is on another clock.
    """
    return min((at for at in sounds if at < begin - LEAD and heard > begin), default=begin)


def _check_length(
    path: str | os.PathLike,
    container: av.container.InputContainer,
    times: "Times",
    reached: float,
    begin: float,
    reading: Reading,
) -> tuple[str, ...]:
    """Refuses a file that is cut short, unless it may be; then a note says so."""
    video = times.video
    if video.duration:
        reached = times.stop - min(begin, times.first)
        declared = _seconds(video.duration, video)
    else:  # some containers count from 0, whenever their first packet is
        declared = (container.duration or 0) / av.time_base
        if reached < WHOLE * declared:  # other streams, such as subtitles, may last longer
            reached = max(reached, _end_of_all(path))
    if reached >= WHOLE * declared:
        return ()
    if not reading.trust_length:
        return (f"its header says that it lasts {declared:.2f} s, {reached:.2f} s are there",)
    there = f"cut short: {reached:.2f} s of {declared:.2f} s are there"
    raise MediaError("undecodable", path, f"{there}; if its header is wrong, --trust_length=no reads it")


def _end_of_all(path: str | os.PathLike) -> float:
    """When the last packet of any stream ends, seconds."""
    with opened(path) as container:
        return max(map(_end, readable(container)), default=0.0)


def _check(path: str | os.PathLike, times: "Times", begin: float) -> None:
    """Refuses a file that has too little in it."""
    if len(times.shown) < 2 or max(times.shown) <= begin:
        there = f"{len(times.shown)} in {times.stop - begin:.2f} s"
        raise MediaError("too_short", path, f"a video needs frames at two times, it has {there}")


def late_picture(seconds: float) -> tuple[str, ...]:
    """A note on a picture that begins so long after the sound; none if it does not."""
    note = f"the picture begins {seconds:.1f} s after the sound: its first frame stands until then"
    return (note,) if seconds else ()


def _remarks(times: "Times", late: float, moves: Moves) -> Iterator[str]:
    """What has to be known of a film's times."""
    yield from late_picture(late)
    if moves:
        count = len(moves.shifts) - 1
        yield f"its clock jumps {count} time{'s' * (count != 1)}: what follows is moved to where the film went on"
    still = float(np.diff(np.sort(np.append(times.shown, times.stop))).max())
    if still > STILL:
        yield f"one frame stands for {still:.0f} s"


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
        self.guessed, self.dts, self.untimed = timeless, float("-inf"), True
        declared = video.duration and _seconds((video.start_time or 0) + video.duration, video)
        self.declared = declared or float("inf")

    def add(self, packet: av.Packet) -> None:
        if not packet.size:
            return
        ticks = packet.dts if self.timeless else _ticks(packet)
        self.untimed &= ticks is None
        at = self.stop if ticks is None else _seconds(ticks, packet)
        self.first = min(self.first, at)
        if packet.is_discard:
            return
        length = _seconds(packet.duration or 0, packet) or self._usual(at)
        self.stop = max(self.stop, at + length) if self.shown else at + length
        self.shown.append(at)
        dts = self.dts if packet.dts is None else packet.dts
        self.guessed |= packet.pts is None or dts < self.dts
        self.dts = dts
        if self.guessed:
            del self.keys[:]
        elif packet.is_keyframe:
            self.keys.append(at)

    def _usual(self, at: float) -> float:
        """How long a frame stays that does not say so: as the average one, but no longer than the film lasts."""
        left, usual = self.declared - at, 1 / self.rate if self.rate else 0.0
        return left if 0 < left < usual else usual

    def begin(self, first: av.VideoFrame) -> float:
        """When the first frame comes on display that decodes; forgets those before it that do not."""
        if self.timeless and self.shown:
            return self.shown[0]
        begin = first.time or 0.0
        if not self.guessed:
            self.shown = array.array("d", (at for at in self.shown if at > begin - APART))
            self.keys = array.array("d", (at for at in self.keys if at > begin - APART))
        return begin

    def known(self, origin: float, moves: Moves) -> tuple[Sequence[float], Sequence[float]]:
        """(when each frame comes on display, those of keyframes), ascending from the origin; none if one is a guess.

        Where packets are moved nothing can be sought: no keyframes then.
        """
        if self.guessed or np.diff(np.sort(self.shown)).min(initial=np.inf) < APART:
            return array.array("d"), array.array("d")
        ascending = lambda times: array.array("d", sorted(at - origin for at in times))
        return ascending(self.shown), ascending(() if moves else self.keys)

    def average(self, begin: float) -> float:
        """Frames per second from the first one on as the file says, unless its frames are far from it.

        A bare bitstream does not say it; its packets tell how long their frames are.
        """
        counted = len(self.shown) / (self.stop - begin)
        return counted if self.untimed else self.rate if counted / 2 < self.rate < counted * 2 else counted


def _seconds(ticks: int, of: av.stream.Stream | av.frame.Frame | av.Packet) -> float:
    base = unit_of(of)
    return ticks * base.numerator / base.denominator


def _ticks(packet: av.Packet) -> int | None:
    return packet.dts if packet.pts is None else packet.pts


def _end(packet: av.Packet) -> float:
    """When a packet's content ends, seconds; 0 where it does not say."""
    return _seconds((_ticks(packet) or 0) + (packet.duration or 0), packet) if packet.size else 0.0
