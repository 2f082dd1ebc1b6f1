"""Clips: where they lie in a video, and the walk that gives them their frames."""

import collections
import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from l2l.media.picture.frames import EPS, Shown
from l2l.media.policy import AUDIO_RATE, ClipPolicy
from l2l.media.scan import MediaError

CLIPS = 100_000  # of one video, 15 hours at the defaults; a file that says it has more is damaged
SILENCE = np.zeros(AUDIO_RATE, np.int16)
SILENCE.setflags(write=False)


@dataclasses.dataclass
class Clip:
    """One clip of a video, as a clip record stores it.

    Attributes:
      index: of this clip within its video, from 0.
      clips: how many the video has.
      start: presentation time of its first frame, seconds.
      duration: its length, seconds.
      jpegs: its frames, in time order, RGB JPEG.
      frames_valid: how many of them lie inside the video; the rest repeat the last real one.
      audio: int16 (16000,), 1 s of mono sound at 16 kHz around the clip's centre.
      audio_valid: [first, stop) of the samples that are real; the rest is 0.
      has_audio: whether the video has sound at all.
    """

    index: int
    clips: int
    start: float
    duration: float
    jpegs: list[bytes] = dataclasses.field(default_factory=list)
    frames_valid: int = 0
    audio: np.ndarray = dataclasses.field(default_factory=lambda: SILENCE)
    audio_valid: tuple[int, int] = (0, 0)
    has_audio: bool = False

    @property
    def second(self) -> int:
        """Where its second of sound begins, samples from the video's beginning; may be before it."""
        return round((self.start + self.duration / 2 - 0.5) * AUDIO_RATE)


def pace(policy: ClipPolicy, fps: float) -> tuple[float, float]:
    """(length of a clip, distance between the starts of neighbouring ones), seconds, of a video with this rate."""
    length = policy.frames * policy.stride / fps
    return length, policy.hop or (policy.hop_frames or policy.frames * policy.stride) / fps


def plan(path: str | os.PathLike, policy: ClipPolicy, fps: float, begin: float, stop: float) -> list[Clip]:
    """The clips of [begin, stop), still without content.

    Raises:
      MediaError: there are more than CLIPS.
    """
    length, hop = pace(policy, fps)
    if policy.clips:
        part, room = (stop - begin) / policy.clips, max(stop - begin - length, 0.0)
        offsets = [min(max((i + 0.5) * part - length / 2, 0.0), room) for i in range(policy.clips)]
        starts = [begin + offset for offset in sorted(set(offsets))]
    else:
        count = max(1, math.ceil((stop - begin - EPS) / hop))
        if count > CLIPS:
            most = f"{count:,} clips, {CLIPS:,} are the most; for fewer, a larger --hop, --clips, or a stretch of it"
            raise MediaError("undecodable", path, f"it says that it lasts {stop - begin:,.0f} s: {most}")
        starts = [begin + i * hop for i in range(count)]
    return [Clip(i, len(starts), at, length) for i, at in enumerate(starts)]


def fill(
    clips: Iterator[Clip],
    shown: Shown,
    encoder: Callable[[Any], bytes],
    *,
    step: float,
    stop: float,
    frames: int,
) -> Iterator[Clip]:
    """Gives clips their frames in one walk over the frames on display; yields each as soon as it is full.

    Args:
      clips: in order of their start, without frames.
      shown: frames from the start of the first clip on; of those between, only the ones that are needed.
      encoder: frame -> JPEG.
      step: between the frames of a clip, seconds.
      stop: where the video ends, seconds; clips that reach beyond are filled up with their last frame.
      frames: how many every clip gets.
    """
    waiting: collections.deque[Clip] = collections.deque()
    coming = next(clips, None)
    for frame, gone in shown:
        jpeg, until = None, min(gone, stop) - EPS
        while coming and coming.start < until:
            waiting.append(coming)
            coming = next(clips, None)
        for clip in waiting:
            while (have := len(clip.jpegs)) < frames and clip.start + have * step < until:
                jpeg = jpeg or encoder(frame)
                clip.jpegs.append(jpeg)
        while waiting and len(waiting[0].jpegs) == frames:
            waiting[0].frames_valid = frames
            yield waiting.popleft()
        if until >= stop - EPS or not (waiting or coming):
            break
    for clip in itertools.chain(waiting, [coming] if coming else [], clips):
        clip.frames_valid = len(clip.jpegs)
        last = clip.jpegs[-1] if clip.jpegs else encoder(frame)
        clip.jpegs += [last] * (frames - clip.frames_valid)
        yield clip
