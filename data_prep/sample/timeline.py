"""What happens when in the untrimmed videos of the built-in sample.

The video's action fills 10-30 % of it, in one or two pieces; where there are two actions, each fills 8-16 %. The
rest is made of the bare background, other shapes and look-alikes that only looking and listening together tells
from an action: an action's sound over the bare background or over a shape that is never an action, the right shape
still and without its sound, another shape that moves in silence.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from . import render

LONGEST, SHORTEST = 60.0, 20.0
SHARES = {1: (0.1, 0.3), 2: (0.08, 0.16)}  # number of actions -> what each fills of the video
REST = -1  # in place of an action's number


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of a video, start and stop in seconds: what is seen and heard (None: nothing)."""

    start: float
    stop: float
    shape: str | None
    motion: str | None
    sound: str | None
    action: bool = False


def timeline(labels: Sequence[str], rng: np.random.Generator) -> list[Segment]:
    """The segments of one video of the classes, in order, without gaps, 20-60 s in all."""
    length = SHORTEST + (LONGEST - SHORTEST) * float(rng.beta(1, 3))
    acting = [length * rng.uniform(*SHARES[len(labels)]) for _ in labels]
    pieces = [_split(seconds, 1 if seconds < 4 else int(rng.integers(1, 3)), rng) for seconds in acting]
    which = [number for number, own in enumerate(pieces) for _ in own]
    idle = length - sum(acting)
    rest = _split(idle, max(len(which) + 1, round(idle / 4)), rng)
    order = rng.permutation(which + [REST] * len(rest))
    shown = [render.parts_of(label, rng) for label in labels]
    start, segments = 0.0, []
    for number in order:
        action = number != REST
        seconds = (pieces[number] if action else rest).pop()
        shape, motion = shown[number if action else len(rest) % len(shown)]  # look-alikes are of each in turn
        what = (shape, motion, render.MOTIONS[motion][2]) if action else _other(shape, rng)
        segments.append(Segment(start, start + seconds, *what, action=bool(action)))
        start += seconds
    return segments


def _split(seconds: float, pieces: int, rng: np.random.Generator) -> list[float]:
    """Cuts a stretch into pieces of which none is more than three times another."""
    shares = rng.uniform(1, 3, pieces)
    return (seconds * shares / shares.sum()).tolist()


def _other(shape: str, rng: np.random.Generator) -> tuple[str | None, str | None, str | None]:
    """Something that is not the action: what is seen, how it moves, what is heard."""
    anything = str(rng.choice(render.SHAPES + render.APPEARANCES))
    decoy = str(rng.choice(render.DECOYS))
    motion = str(rng.choice(list(render.MOTIONS)))
    sound = render.MOTIONS[motion][2]
    kinds = (
        (None, None, None),
        (None, None, "ambience"),
        (None, None, sound),
        (decoy, motion, sound),
        (anything, motion, None),
        (anything, None, "ambience"),
        (shape, None, None),
        (shape, None, "hum"),
    )
    return kinds[rng.integers(len(kinds))]


def actions(segments: list[Segment]) -> tuple[tuple[float, float], ...]:
    """(start, stop) in seconds of each stretch of an action, neighbours joined."""
    joined: list[tuple[float, float]] = []
    for segment in segments:
        if segment.action and joined and joined[-1][1] == segment.start:
            joined[-1] = joined[-1][0], segment.stop
        elif segment.action:
            joined.append((segment.start, segment.stop))
    return tuple(joined)


def pictures(
    segments: list[Segment], ground: np.ndarray, fps: float, domain: render.Domain, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The video's frames one by one, uint8 (h, w, 3); a few of them in memory at a time."""
    for segment in segments:
        times = np.arange(np.ceil(segment.start * fps), np.ceil(segment.stop * fps)) / fps
        yield from render.draw(ground, segment.shape, segment.motion, times, domain=domain, rng=rng)


def noises(segments: list[Segment], rate: int, domain: render.Domain, rng: np.random.Generator) -> np.ndarray:
    """The video's sound: float32 (n,)."""
    total = round(segments[-1].stop * rate)
    wave = np.zeros(total, np.float32)
    for segment in segments:
        if segment.sound is None:
            continue
        first, stop = round(segment.start * rate), round(segment.stop * rate)
        piece = (
            render.ambience((stop - first) / rate, rate, domain, rng)
            if segment.sound == "ambience"
            else render.sound(segment.sound, (stop - first) / rate, rate, domain, rng)
        )
        ends = np.minimum(np.arange(stop - first), np.arange(stop - first)[::-1]) / (0.02 * rate)
        wave[first:stop] = piece * np.minimum(ends, 1)
    return wave
