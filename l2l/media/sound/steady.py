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
    ahead, expected, kind, jitters = _Ahead(frames), origin, None, False
    for frame in ahead:
        at = expected if frame.time is None else frame.time
        found, off, anew = kind_of(frame), at - expected, None
        if found != kind or abs(off) > JUMP:
            anew = at + ahead.usual(at, frame)
        elif abs(off) > GAP:
            usual, lasts = ahead.usual(expected, frame), ahead.lasts(expected, frame, jitters)
            if lasts and abs(off) > abs(usual) / 2:  # else what follows is off, and this one is not yet
                anew = at + (usual - off)
            elif not jitters:
                jitters = True
                notes.append("the sound's time stamps jitter: it is laid end to end")
        kind, expected = found, (expected if anew is None else anew) + length_of(frame)
        yield frame, anew


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


class _Ahead:
    """Frames, some of which can be looked at before their turn."""

    def __init__(self, frames: Iterable[av.AudioFrame]) -> None:
        self.frames = iter(frames)
        self.waiting: collections.deque[av.AudioFrame] = collections.deque()

    def __iter__(self) -> Iterator[av.AudioFrame]:
        while self.waiting or self._pull():
            yield self.waiting.popleft()

    def usual(self, expected: float, first: av.AudioFrame) -> float:
        """By how much sound is off: its first frame says so, unless time stamps go up and down; then most of them."""
        near, _ = self._strays(expected, first, NEAR)
        steps = [after - before for before, after in itertools.pairwise(near)]
        if max(steps, default=0) > GAP and min(steps) < -GAP:
            return statistics.median(self._strays(expected, first, LASTING)[0])
        return near[0]

    def lasts(self, expected: float, first: av.AudioFrame, jitters: bool) -> bool:
        """Whether all are off in the same direction; where they are known to jitter, a few of them do not tell."""
        strays, whole = self._strays(expected, first, LASTING)
        return (min(strays) > GAP or max(strays) < -GAP) and (whole or not jitters)

    def _strays(self, expected: float, first: av.AudioFrame, seconds: float) -> tuple[list[float], bool]:
        """By how much time stamps are off if sound goes on at `expected`: of the first frame and those that follow.

        So many seconds of sound are looked at, as long as nothing jumps; and whether all of them were.
        """
        found: list[float] = []
        frame, end = first, expected + seconds
        while True:
            off = 0.0 if frame.time is None else frame.time - expected
            if found and abs(off - found[-1]) > JUMP:
                return found, False
            found.append(off)
            expected += length_of(frame)
            if expected >= end:
                return found, True
            if len(found) > len(self.waiting) and not self._pull():
                return found, False
            frame = self.waiting[len(found) - 1]

    def _pull(self) -> bool:
        """Waits for one more; False at the end."""
        frame = next(self.frames, None)
        if frame is not None:
            self.waiting.append(frame)
        return frame is not None
