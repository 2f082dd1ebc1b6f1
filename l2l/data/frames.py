"""The frames of a video in the order of display, decoded from the last keyframe that is early enough.

Seeking must change nothing but the time it takes: it is trusted where the file knows when its frames are shown and the
seek leads to just the keyframe that was meant. Elsewhere everything is decoded from the start.
"""

import bisect
import collections
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import av

from l2l.data.scan import WHOLE, MediaError, Scan, opened, packets

EPS = 1e-3  # seconds; container time stamps are rounded, some to milliseconds
JUMP = 2.0  # seconds of film that take longer to decode than to open the file anew behind them


class Span(Protocol):
    """Anything that takes a stretch of the video, in seconds."""

    start: float
    duration: float


T = TypeVar("T", bound=Span)
Run = tuple[float, collections.deque[T]]  # when the keyframe to begin with is shown, and what is cut in one pass
Shown = Iterator[tuple[av.VideoFrame, float]]  # a frame, and when it leaves the display
Decoded = Iterator[tuple[av.VideoFrame, float | None]]  # a frame, and when it comes on display


def parted(spans: Sequence[T], keys: Sequence[float]) -> list[Run[T]]:
    """Parts spans, which are in order of their start, where a keyframe spares decoding what lies between."""
    runs, reached = [(0.0, collections.deque())], 0.0
    for span in spans:
        before = bisect.bisect(keys, span.start)
        if before and keys[before - 1] > reached + JUMP:
            runs.append((keys[before - 1], collections.deque()))
        runs[-1][1].append(span)
        reached = max(reached, span.start + span.duration)
    return [run for run in runs if run[1]]


def passes(path: str | os.PathLike, scan: Scan, runs: list[Run[T]]) -> Iterator[tuple[collections.deque[T], Shown]]:
    """The frames for every run; for all runs that are left, where seeking does not lead to where it should.

    Raises (while frames are read):
      MediaError: the file is damaged in what had to be decoded, unless that is its last tenth.
    """
    for i, (key, spans) in enumerate(runs):
        frames = decoded(path, scan, key)
        if key and not (frames := _landed(frames, key)):
            rest = collections.deque(span for _, spans in runs[i:] for span in spans)
            runs.clear()
            yield rest, _shown(path, scan, decoded(path, scan))
            return
        yield spans, _shown(path, scan, frames)


def decoded(path: str | os.PathLike, scan: Scan, key: float = 0.0) -> Decoded:
    """Frames and when they come on display; from the keyframe at `key` seconds on, if seeking leads to it.

    Raises:
      MediaError: one does not decode.
    """
    with opened(path) as (container, stream):
        if key:
            container.seek(round((scan.origin + key) / stream.time_base), stream=stream)
        for packet in packets(container, stream):
            for frame in packet.decode():
                at = scan.time_of(frame)
                if not key or (at is not None and at > key - EPS):
                    yield frame, at


def _landed(frames: Decoded, key: float) -> Decoded | None:
    """The frames, if they begin with the keyframe and that is whole."""
    try:
        first, at = next(frames)
    except (MediaError, StopIteration):
        return None
    found = first.key_frame and not first.is_corrupt and abs(at - key) < EPS
    return itertools.chain([(first, at)], frames) if found else None


def _shown(path: str | os.PathLike, scan: Scan, frames: Decoded) -> Shown:
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
