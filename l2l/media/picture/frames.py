"""The frames of a video that are on display at given times, with as little decoding as leads to them.

Where the file knows when its frames are shown, the decoder jumps to the last keyframe before a frame that is wanted, if
that is nearer than decoding on, and leaves out frames that neither are wanted nor lead to others. Both must change
nothing but the time it takes: every frame is checked to be the one that was meant. At the first that is not, and in all
other files, everything is decoded from the start.
"""

import bisect
import collections
import contextlib
import os
from collections.abc import Iterator, Sequence

import av

from l2l.media.container import MediaError, opened, packets, stream_at, unit_of
from l2l.media.scan import WHOLE, Scan, ready

EPS = 1e-3  # seconds; container time stamps are rounded, some to milliseconds
JUMP = 0.5  # seconds of film that take longer to decode than to jump over
LEAVE_OUT = ("h264",)  # codecs whose decoder knows which frames no other one refers to

Shown = Iterator[tuple[av.VideoFrame, float]]  # a frame, and when it leaves the display
Group = tuple[float, collections.deque[float]]  # when the keyframe to jump to is shown, 0 for none; wanted frames


class Astray(Exception):
    """A frame that came out of the decoder is not the one that was to come."""


def frames_at(path: str | os.PathLike, scan: Scan, times: Sequence[float]) -> Shown:
    """The frames on display at these times (ascending, seconds), in order; there may be others between them.

    Raises (while frames are read):
      MediaError: the file is damaged in what had to be decoded, unless that is its last tenth.
    """
    wanted, reached = displayed(scan, times), float("-inf")
    if wanted:
        with contextlib.suppress(MediaError, Astray):
            for at, frame in picked(path, scan, grouped(wanted, scan.keys)):
                reached = at
                yield frame, leaves(scan, at)
            return
    yield from _later(_shown(path, scan, decoded(path, scan)), reached)


def displayed(scan: Scan, times: Sequence[float]) -> list[float]:
    """When the frames come on display that are there at these times; none if the file does not know."""
    if not scan.times:
        return []
    places = (max(bisect.bisect(scan.times, at + EPS) - 1, 0) for at in times)
    return [scan.times[i] for i in dict.fromkeys(places)]


def leaves(scan: Scan, at: float) -> float:
    """When the frame leaves the display that comes on display at this time."""
    after = bisect.bisect(scan.times, at)
    return scan.times[after] if after < len(scan.times) else scan.stop


def grouped(wanted: Sequence[float], keys: Sequence[float]) -> list[Group]:
    """Parts wanted frames where jumping to a keyframe spares decoding what lies between."""
    groups: list[Group] = [(0.0, collections.deque())]
    reached = 0.0
    for at in wanted:
        before = bisect.bisect(keys, at + EPS)
        if before and keys[before - 1] > reached + JUMP:
            groups.append((keys[before - 1], collections.deque()))
        groups[-1][1].append(at)
        reached = at
    return [group for group in groups if group[1]]


def picked(path: str | os.PathLike, scan: Scan, groups: list[Group]) -> Iterator[tuple[float, av.VideoFrame]]:
    """Just the wanted frames, each after the time when it comes on display.

    Raises:
      Astray: one does not come, or not after the keyframe that was to lead to it.
      MediaError: one does not decode.
    """
    with opened(path) as container:
        stream = ready(stream_at(container, scan.picture, av.VideoStream))
        for key, wanted in groups:
            if key:
                container.seek(round((scan.origin + key) / unit_of(stream)), stream=stream)
            frames = leading(container, stream, scan, frozenset(wanted))
            if key:
                frames = _from_key(frames, key)
            for at, frame in frames:
                if at > wanted[0] + EPS:
                    raise Astray
                if at > wanted[0] - EPS:
                    yield wanted.popleft(), frame
                    if not wanted:
                        break
            if wanted:
                raise Astray


def leading(
    container: av.container.InputContainer, stream: av.VideoStream, scan: Scan, wanted: frozenset[float]
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames from where the container is, after their time, but for those that may be left out."""
    context = stream.codec_context
    for packet in packets(container, stream, moves=scan.moves):
        if context.name in LEAVE_OUT:
            context.skip_frame = "DEFAULT" if not packet.size or scan.time_of(packet) in wanted else "NONREF"
        for frame in scan.tally.decode(packet):
            at = scan.time_of(frame)
            if at is None:
                raise Astray
            yield at, frame


def _from_key(frames: Iterator[tuple[float, av.VideoFrame]], key: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames from a keyframe on, which must be there and whole."""
    landed = False
    for at, frame in frames:
        if not landed and at < key - EPS:
            continue
        if not landed and not (abs(at - key) < EPS and frame.key_frame and not frame.is_corrupt):
            raise Astray
        landed = True
        yield at, frame


def decoded(path: str | os.PathLike, scan: Scan) -> Iterator[tuple[av.VideoFrame, float | None]]:
    """All frames and when they come on display.

    Raises:
      MediaError: one does not decode.
    """
    with opened(path) as container:
        stream = ready(stream_at(container, scan.picture, av.VideoStream))
        for packet in packets(container, stream, moves=scan.moves):
            for frame in scan.tally.decode(packet):
                yield frame, scan.time_of(frame)


def _shown(path: str | os.PathLike, scan: Scan, frames: Iterator[tuple[av.VideoFrame, float | None]]) -> Shown:
    """Frames, each with the time at which it leaves the display."""
    frame, now, reason = None, 0.0, "frames are missing"
    try:
        for after, at in frames:
            if frame is None:
                frame, now = after, at or 0.0
                continue
            # A decoder puts frames in order: a time that goes back is wrong.
            at = now + 1 / scan.fps if at is None or at < now - EPS else at
            yield frame, at
            frame, now = after, at
    except MediaError as error:
        reason = error.reason
    whole = now > scan.last - 2 / scan.fps
    if frame is None or (not whole and now < WHOLE * scan.stop):
        raise MediaError("undecodable", path, f"damaged at {now:.2f} s of {scan.stop:.2f} s: {reason}")
    yield frame, scan.stop if whole else now + 1 / scan.fps


def _later(frames: Shown, reached: float) -> Shown:
    """Leaves out frames that are gone by then, but not all."""
    last = None
    for frame, gone in frames:
        last = None if gone > reached + EPS else (frame, gone)
        if last is None:
            yield frame, gone
    if last:
        yield last
