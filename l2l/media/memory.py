"""A video in memory, read as a file is."""

import bisect
import functools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np

from l2l.media.arrays import Arrays
from l2l.media.cut import plan
from l2l.media.picture.frames import Shown, displayed, leaves
from l2l.media.picture.upright import display_of
from l2l.media.policy import ClipPolicy
from l2l.media.scan import Scan, late_picture, origin_of
from l2l.media.sound.track import track_from
from l2l.media.video import Film

NAME = "the video in memory"
PIECE = 1 << 16  # samples handed on at a time


def film_of(arrays: Arrays, policy: ClipPolicy) -> Film:
    """Frames and sound as a film.

    Raises:
      MediaError: it has more than `cut.CLIPS` clips.
    """
    scan = scan_of(arrays)
    planned = lambda policy: plan(NAME, policy, policy.fps or scan.fps, 0.0, scan.stop)
    track = track_from(sound_of(arrays), scan.origin, scan.stop)
    shown = functools.partial(frames_at, arrays, scan)
    return Film(NAME, policy, planned, planned(policy), scan.stop, scan, track, shown)


def scan_of(arrays: Arrays) -> Scan:
    """What a walk over a file with these frames tells; the last one stays as long as the average one."""
    times, origin = times_of(arrays)
    count = len(times)
    stop = times[-1] + (1 / arrays.fps if arrays.fps else average(times[-1] - times[0], count - 1))
    fps = arrays.fps or count / (stop - times[0])
    notes = late_picture(times[0])
    first = picture(arrays.frames[0])
    which: dict[str, Any] = {"timeless": False, "display": display_of(first, None), "notes": notes}
    return Scan(first, origin, count, times[-1], stop, fps, times, (), **which)


def rate_of(stretches: Sequence[Arrays]) -> float:
    """Frames per second of stretches that follow each other."""
    times = [at for stretch in stretches if stretch.times is not None for at in stretch.times]
    return stretches[0].fps or 1 / average(float(times[-1] - times[0]), len(times) - 1)


def average(seconds: float, frames: int) -> float:
    """How long each of so many frames stays, which all of them take so many seconds; a second where there are none."""
    return seconds / frames if frames else 1.0


def starts_of(arrays: Arrays) -> list[float]:
    """When the sound begins, if there is one."""
    return [] if arrays.wave is None else [0.0]


def times_of(arrays: Arrays) -> tuple[list[float], float]:
    """When frames come on display, seconds from the film's beginning; and when that is on the clock of the sound."""
    if arrays.times is None:
        return arrays.shown(), 0.0
    heard = 0 if arrays.wave is None else len(arrays.wave) / arrays.rate
    origin = origin_of(float(arrays.times[0]), starts_of(arrays), heard)
    return [at - origin for at in arrays.shown()], origin


def picture(rgb: np.ndarray) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")


def frames_at(arrays: Arrays, scan: Scan, times: Sequence[float]) -> Shown:
    """See `frames.frames_at`."""
    for at in displayed(scan, times):
        yield picture(arrays.frames[bisect.bisect_left(scan.times, at)]), leaves(scan, at)


def sound_of(arrays: Arrays, first: int = 0) -> Iterator[av.AudioFrame]:
    """The sound in pieces, as a decoder gives it; the first sample is number `first`."""
    wave = np.zeros(0, np.int16) if arrays.wave is None else np.asarray(arrays.wave)
    kind = "s16" if wave.dtype == np.int16 else "flt"
    wave = wave if kind == "s16" else wave.astype(np.float32)
    for at in range(0, len(wave), PIECE):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(wave[None, at : at + PIECE]), format=kind, layout="mono"
        )
        frame.rate, frame.pts, frame.time_base = arrays.rate, first + at, Fraction(1, arrays.rate)
        yield frame
