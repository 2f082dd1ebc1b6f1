"""Cuts clips out of a video: preparation and `infer` both use `read_clips`, so both see the same bytes.

Time 0 is the presentation time of the first frame; the sound is laid on that time line, sample by sample. A
frame is on display from its own time until the next one's, so variable frame rates need no special case.

A file is refused as a whole (`MediaError`) where a part of it is missing or does not decode, unless that part
lies in its last tenth: then the last good frame stands for the rest, and `frames_valid` says so. Damage that
the codec conceals, or that lies where nothing had to be decoded, goes unnoticed.
"""

import bisect
import collections
import dataclasses
import io
import math
import os
from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from l2l.data.frames import EPS, Shown, parted, passes
from l2l.data.scan import MediaError, told, walk
from l2l.data.schema import AUDIO_RATE, ClipPolicy
from l2l.data.track import Track

CLIPS = 100_000  # of one video, 15 hours at the defaults; a file that says it has more is damaged
LONGEST = 65_500  # pixels, JPEG's limit
SILENCE = np.zeros(AUDIO_RATE, np.int16)
SILENCE.setflags(write=False)


@dataclasses.dataclass(frozen=True)
class Probe:
    """Facts of a file: seconds, average frames per second, size in pixels as displayed, number of frames."""

    duration: float
    fps: float
    width: int
    height: int
    frames: int
    has_audio: bool


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


def probe(path: str | os.PathLike) -> Probe:
    """Duration, rate and size of a video, from its packets and its first frame.

    Raises:
      MediaError: the file cannot be used as a video.
    """
    scan = walk(path)
    width, height = scan.first.width, scan.first.height
    if round(scan.first.rotation / 90) % 2:
        width, height = height, width
    return Probe(scan.stop, scan.fps, width, height, scan.frames, scan.has_audio)


def read_audio(path: str | os.PathLike) -> tuple[np.ndarray, tuple[int, int]] | None:
    """The whole sound track on the video's time line, mixed down to mono.

    Returns:
      int16 (n,) at 16 kHz, sample i at i / 16000 s, 0 where the track is absent; and the range [first, stop)
      that it covers. None if there is no sound.

    Raises:
      MediaError: the file cannot be used as a video.
    """
    track = Track(path, walk(path))
    wave, (first, stop) = track.window(0, track.limit)
    return (wave[:stop], (first, stop)) if track.there else None


def encode_jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """uint8 (h, w, 3) -> JPEG with 4:2:0 colour."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode_jpeg(data: bytes) -> np.ndarray:
    """JPEG -> uint8 (h, w, 3); the same values as `tf.io.decode_jpeg(dct_method="INTEGER_ACCURATE")`."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return np.asarray(image.convert("RGB"))


def read_clips(
    path: str | os.PathLike, policy: ClipPolicy, start: float | None = None, end: float | None = None
) -> Iterator[Clip]:
    """Cuts a video into clips in one pass; holds the frames of open clips and about a second of sound.

    Frame k of a clip is the one on display k * stride / fps after the clip's start. With `policy.clips` 0
    clips start every hop while inside the video, otherwise each is the centre of one of that many equal parts.
    A video shorter than a clip gives one clip.

    Args:
      path: a video file.
      policy: how to cut.
      start: cut only from here, seconds.
      end: cut only up to here, seconds.

    Yields:
      Clips in order of their start. Images are upright RGB, scaled by swscale to `policy.short_side` (area
      when shrinking, bicubic when enlarging); the two fields of an interlaced frame are blended.

    Raises:
      MediaError: the file cannot be used, says that it has more than CLIPS clips, or `start` lies beyond its end.
        Clips may have been yielded before.
    """
    scan = walk(path)
    begin, stop = start or 0.0, scan.stop if end is None else min(end, scan.stop)
    if begin >= stop:
        raise MediaError("too_short", path, f"asked from {begin:g} s, but it ends at {scan.stop:.2f} s")
    runs = parted(_plan(path, policy, policy.fps or scan.fps, begin, stop), scan.keys)
    encoder, track = _Encoder(path, policy, scan.first), Track(path, scan)
    with told(path):
        for clips, shown in passes(path, scan, runs):
            for clip in _fill(clips, shown, encoder, stop):
                if policy.audio and track.there:
                    middle = round((clip.start + clip.duration / 2 - 0.5) * AUDIO_RATE)
                    clip.audio, clip.audio_valid = track.window(middle, middle + AUDIO_RATE)
                    clip.has_audio = True
                yield clip


def read_pictures(
    path: str | os.PathLike, times: Sequence[float], *, short_side: int, slack: float = 0.0
) -> list[bytes]:
    """The frames on display at some times, each decoded from the last keyframe before it.

    Args:
      path: a video file.
      times: seconds, in any order; one beyond the end stands for the last frame.
      short_side: of the pictures, pixels.
      slack: seconds by which a picture may be off, if a keyframe that near spares decoding others.

    Returns:
      JPEG, one for each time.

    Raises:
      MediaError: the file cannot be used.
    """
    scan = walk(path)
    wanted = {at: _near(scan.keys, at, slack) for at in times}
    clips = [Clip(i, len(wanted), at, 1 / scan.fps) for i, at in enumerate(sorted(set(wanted.values())))]
    encoder = _Encoder(path, ClipPolicy(frames=1, short_side=short_side), scan.first)
    found = {}
    with told(path):
        for part, shown in passes(path, scan, parted(clips, scan.keys)):
            found |= {clip.start: clip.jpegs[0] for clip in _fill(part, shown, encoder, scan.stop)}
    return [found[wanted[at]] for at in times]


def _near(keys: Sequence[float], at: float, slack: float) -> float:
    """The keyframe nearest to a time, if it is within `slack`; else the time."""
    i = bisect.bisect(keys, at)
    nearest = min(keys[max(i - 1, 0) : i + 1], key=lambda key: abs(key - at), default=at)
    return nearest if abs(nearest - at) <= slack else at


def _plan(path: str | os.PathLike, policy: ClipPolicy, fps: float, begin: float, stop: float) -> list[Clip]:
    """The clips of [begin, stop), still without content."""
    length = policy.frames * policy.stride / fps
    if policy.clips:
        part, room = (stop - begin) / policy.clips, max(stop - begin - length, 0.0)
        offsets = [min(max((i + 0.5) * part - length / 2, 0.0), room) for i in range(policy.clips)]
        starts = [begin + offset for offset in sorted(set(offsets))]
    else:
        hop = policy.hop or (policy.hop_frames or policy.frames * policy.stride) / fps
        count = max(1, math.ceil((stop - begin - EPS) / hop))
        if count > CLIPS:
            raise MediaError("undecodable", path, f"it says that it lasts {stop - begin:,.0f} s: {count:,} clips")
        starts = [begin + i * hop for i in range(count)]
    return [Clip(i, len(starts), at, length) for i, at in enumerate(starts)]


def _fill(waiting: collections.deque[Clip], shown: Shown, encoder: "_Encoder", stop: float) -> Iterator[Clip]:
    """Gives clips their frames in one walk over the frames on display; yields each as soon as it is full."""
    step = waiting[0].duration / encoder.policy.frames
    for frame, gone in shown:
        jpeg, until = None, min(gone, stop) - EPS
        for clip in waiting:
            if clip.start >= until:
                break
            while (have := len(clip.jpegs)) < encoder.policy.frames and clip.start + have * step < until:
                jpeg = jpeg or encoder(frame)
                clip.jpegs.append(jpeg)
        while waiting and len(waiting[0].jpegs) == encoder.policy.frames:
            waiting[0].frames_valid = encoder.policy.frames
            yield waiting.popleft()
        if not waiting or until >= stop - EPS:
            break
    while waiting:
        clip = waiting.popleft()
        clip.frames_valid = len(clip.jpegs)
        last = clip.jpegs[-1] if clip.jpegs else encoder(frame)
        clip.jpegs += [last] * (encoder.policy.frames - clip.frames_valid)
        yield clip


class _Encoder:
    """Frame -> JPEG of the size and orientation that the video's first frame settles."""

    def __init__(self, path: str | os.PathLike, policy: ClipPolicy, first: av.VideoFrame) -> None:
        self.policy, self.turns = policy, round(first.rotation / 90) % 4
        scale = policy.short_side / min(first.width, first.height)
        self.width, self.height = round(first.width * scale), round(first.height * scale)
        if policy.width:  # of the upright image
            upright = policy.width, policy.short_side
            self.width, self.height = upright[::-1] if self.turns % 2 else upright
        if max(self.width, self.height) > LONGEST:
            raise MediaError("undecodable", path, f"its frames of {first.width} x {first.height} are too narrow")
        self.how = Interpolation.AREA if scale < 1 else Interpolation.BICUBIC
        self.reformatters = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> bytes:
        """Scales and compresses; swscale scales the fields of an interlaced frame on their own and keeps both."""
        fields, size = 1 + frame.interlaced_frame, {"width": self.width, "height": self.height}
        size["height"] *= fields
        reformat = self.reformatters[fields - 1].reformat
        rgb = reformat(frame, **size, format="rgb24", interpolation=self.how, threads=1).to_ndarray()
        if fields == 2:
            rgb = ((rgb[::2].astype(np.uint16) + rgb[1::2] + 1) // 2).astype(np.uint8)
        return encode_jpeg(np.rot90(rgb, self.turns), self.policy.quality)
