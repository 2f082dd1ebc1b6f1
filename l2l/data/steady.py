"""Time stamps of sound that jitter around a steady clock, told from gaps."""

import collections
import itertools
import statistics
from collections.abc import Iterable, Iterator

import av

GAP = 0.01  # seconds the sound's time stamps may stray before one has to ask why
JUMP = 0.2  # seconds that no jitter reaches
NEAR, LASTING = 0.1, 0.5  # seconds of sound that tell jitter from a gap; in which a gap is never closed


def steadied(
    frames: Iterable[av.AudioFrame], origin: float, notes: list[str]
) -> Iterator[tuple[av.AudioFrame, float | None]]:
    """Frames, each with the time at which sound is to be laid anew; None where it goes on after the frame before.

    It is laid anew where its format changes, its time stamps jump, or all of them are off in the same direction for
    half a second: after a gap, or where the sound's own clock drifts away. Time stamps that stray otherwise are jitter.

    Args:
      frames: in the order of the file.
      origin: when sound begins that does not say it, seconds on the file's own clock.
      notes: gets a line where time stamps jitter.
    """
    ahead, expected, kind = _Ahead(frames), origin, None
    for frame in ahead:
        at = expected if frame.time is None else frame.time
        found, off = kind_of(frame), at - expected
        if found != kind or abs(off) > JUMP:
            anew = at + _usual(ahead.strays(at, frame, NEAR))
        elif abs(off) > GAP:
            lasting = ahead.strays(expected, frame, LASTING)
            lasts = min(lasting) > GAP or max(lasting) < -GAP
            anew = at + (_usual(ahead.strays(expected, frame, NEAR)) - off) if lasts else None
            if not lasts and JITTERS not in notes:
                notes.append(JITTERS)
        else:
            anew = None
        kind, expected = found, (expected if anew is None else anew) + length_of(frame)
        yield frame, anew


JITTERS = "the sound's time stamps jitter: it is laid end to end"


def kind_of(frame: av.AudioFrame) -> tuple[str, str, int]:
    """(format of its samples, layout of its channels, samples per second)."""
    return frame.format.name, frame.layout.name, frame.sample_rate


def length_of(frame: av.AudioFrame) -> float:
    """Seconds.

    Raises:
      ValueError: that cannot be told.
    """
    if frame.sample_rate < 1:
        raise ValueError("it does not say how many samples a second it has")
    return frame.samples / frame.sample_rate


def _usual(strays: list[float]) -> float:
    """How much a stretch is off: its first frame says so, unless time stamps jitter; then what is usual among some."""
    steps = sum(abs(after - before) > GAP for before, after in itertools.pairwise(strays))
    return strays[0] if steps < 2 else statistics.median(strays)


class _Ahead:
    """Frames, some of which can be looked at before their turn."""

    def __init__(self, frames: Iterable[av.AudioFrame]) -> None:
        self.frames, self.waiting = iter(frames), collections.deque()

    def __iter__(self) -> Iterator[av.AudioFrame]:
        while self.waiting or self._pull():
            yield self.waiting.popleft()

    def strays(self, expected: float, first: av.AudioFrame, seconds: float) -> list[float]:
        """By how much time stamps are off if sound goes on at `expected`: of the first frame and those that follow.

        So many seconds of sound are looked at, as long as nothing jumps and its format stays.
        """
        found, frame, end = [], first, expected + seconds
        for i in itertools.count():
            off = 0.0 if frame.time is None else frame.time - expected
            if found and (kind_of(frame) != kind_of(first) or abs(off - found[-1]) > JUMP):
                break
            found.append(off)
            expected += length_of(frame)
            if expected >= end or not (i < len(self.waiting) or self._pull()):
                break
            frame = self.waiting[i]
        return found

    def _pull(self) -> bool:
        frame = next(self.frames, None)
        if frame is not None:
            self.waiting.append(frame)
        return frame is not None
