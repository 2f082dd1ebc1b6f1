"""Single frames of a video, for people to look at."""

import bisect
import os
from collections.abc import Sequence

from l2l.media.container import told
from l2l.media.cut import Clip, fill
from l2l.media.picture.frames import frames_at
from l2l.media.picture.jpeg import Encoder
from l2l.media.policy import USUAL, ClipPolicy, Reading
from l2l.media.scan import Scan, walk


def read_pictures(
    path: str | os.PathLike,
    times: Sequence[float],
    *,
    short_side: int,
    slack: float = 0.0,
    reading: Reading = USUAL,
    scan: Scan | None = None,
) -> list[bytes]:
    """The frames on display at some times, each decoded from the last keyframe before it.

    Args:
      path: a video file.
      times: seconds, in any order; one beyond the end stands for the last frame.
      short_side: of the pictures, pixels.
      slack: seconds by which a picture may be off, if a keyframe that near spares decoding others.
      reading: which parts of the file are read.
      scan: what `walk` finds in the file, where that is known already.

    Returns:
      JPEG, one for each time.

    Raises:
      MediaError: the file cannot be used.
    """
    scan = scan or walk(path, reading)
    wanted = {at: near(scan.keys, at, slack) for at in times}
    clips = [Clip(i, len(wanted), at, 1 / scan.fps) for i, at in enumerate(sorted(set(wanted.values())))]
    encoder = Encoder(path, ClipPolicy(frames=1, short_side=short_side), scan.display)
    found = {}
    with told(path):
        shown = frames_at(path, scan, [clip.start for clip in clips])
        for clip in fill(iter(clips), shown, encoder, step=1 / scan.fps, stop=scan.stop, frames=1):
            found[clip.start] = clip.jpegs[0]
    return [found[wanted[at]] for at in times]


def near(keys: Sequence[float], at: float, slack: float) -> float:
    """The keyframe nearest to a time, if it is within `slack`; else the time."""
    i = bisect.bisect(keys, at)
    nearest = min(keys[max(i - 1, 0) : i + 1], key=lambda key: abs(key - at), default=at)
    return nearest if abs(nearest - at) <= slack else at
