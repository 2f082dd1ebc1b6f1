"""Cuts clips out of a video: preparation and `infer` both use `read_clips`, so both see the same bytes.

Time 0 is the presentation time of the first frame; the sound is laid on that time line, sample by sample. A
frame is on display from its own time until the next one's, so variable frame rates need no special case.

A file is refused as a whole (`MediaError`) where a part of it is missing or does not decode, unless that part
lies in its last tenth: then the last good frame stands for the rest, and `frames_valid` says so. Damage that
the codec conceals goes unnoticed.
"""

import collections
import dataclasses
import io
import math
import os
from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from l2l.data.scan import WHOLE, MediaError, Scan, decoded, opened, walk
from l2l.data.schema import AUDIO_RATE, ClipPolicy

EPS = 1e-3  # seconds; container time stamps are rounded, some to milliseconds
CLIPS = 100_000  # of one video, 15 hours at the defaults; a file that says it has more is damaged
SILENCE = np.zeros(AUDIO_RATE, np.int16)


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
    with opened(path) as (container, stream):
        _, first = decoded(container, stream, path)
        scan = walk(path, first.time or 0.0, audio=False)
        turned = round(first.rotation / 90) % 2
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        return Probe(scan.stop, scan.fps, width, height, scan.frames, scan.has_audio)


def read_audio(path: str | os.PathLike) -> tuple[np.ndarray, tuple[int, int]] | None:
    """The whole sound track on the video's time line, mixed down to mono.

    Returns:
      int16 (n,) at 16 kHz, sample i at i / 16000 s, 0 where the track is absent; and the range [first, stop)
      that it covers. None if there is no sound.

    Raises:
      MediaError: the file cannot be used as a video.
    """
    with opened(path) as (container, stream):
        _, first = decoded(container, stream, path)
        return walk(path, first.time or 0.0, audio=True).sound


def audio_window(wave: np.ndarray, real: tuple[int, int], centre_s: float) -> tuple[np.ndarray, tuple[int, int]]:
    """1 s of a track around `centre_s` seconds, int16 (16000,), and its real samples [first, stop)."""
    begin = round((centre_s - 0.5) * AUDIO_RATE)
    first, stop = (min(max(x - begin, 0), AUDIO_RATE) for x in real)
    window = np.zeros(AUDIO_RATE, np.int16)
    if first >= stop:
        return window, (0, 0)
    window[first:stop] = wave[begin + first : begin + stop]
    return window, (first, stop)


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
    """Cuts a video into clips in one sequential decode; holds the frames of open clips and the sound track.

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
      when shrinking, bicubic when enlarging).

    Raises:
      MediaError: the file cannot be used, says that it has more than CLIPS clips, or `start` lies beyond its end.
        Clips may have been yielded before.
    """
    with opened(path) as (container, stream):
        frames, first = decoded(container, stream, path)
        scan = walk(path, first.time or 0.0, audio=policy.audio)
        begin, stop = start or 0.0, scan.stop if end is None else min(end, scan.stop)
        if begin >= stop:
            raise MediaError("too_short", path, f"asked from {begin:g} s, but it ends at {scan.stop:.2f} s")
        clips = _plan(policy, policy.fps or scan.fps, begin, stop, path)
        for clip in _fill(clips, _shown(first, frames, scan, path), _Encoder(policy, first), stop):
            if scan.sound is not None:
                centre = clip.start + clip.duration / 2
                clip.audio, clip.audio_valid = audio_window(*scan.sound, centre)
                clip.has_audio = True
            yield clip


def _plan(policy: ClipPolicy, fps: float, begin: float, stop: float, path: str | os.PathLike) -> list[Clip]:
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


def _fill(
    clips: list[Clip], shown: Iterator[tuple[av.VideoFrame, float]], encoder: "_Encoder", stop: float
) -> Iterator[Clip]:
    """Gives clips their frames in one walk over the frames on display; yields each as soon as it is full."""
    waiting, step = collections.deque(clips), clips[0].duration / encoder.policy.frames
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
    for clip in waiting:
        clip.frames_valid = len(clip.jpegs)
        last = clip.jpegs[-1] if clip.jpegs else encoder(frame)
        clip.jpegs += [last] * (encoder.policy.frames - clip.frames_valid)
        yield clip


class _Encoder:
    """Frame -> JPEG of the size and orientation that the video's first frame settles."""

    def __init__(self, policy: ClipPolicy, first: av.VideoFrame) -> None:
        self.policy, self.turns = policy, round(first.rotation / 90) % 4
        scale = policy.short_side / min(first.width, first.height)
        self.size = {"width": round(first.width * scale), "height": round(first.height * scale)}
        self.how = Interpolation.AREA if scale < 1 else Interpolation.BICUBIC
        self.reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> bytes:
        small = self.reformatter.reformat(frame, **self.size, format="rgb24", interpolation=self.how, threads=1)
        return encode_jpeg(np.rot90(small.to_ndarray(), self.turns), self.policy.quality)


def _shown(
    first: av.VideoFrame, frames: Iterator[av.VideoFrame], scan: "Scan", path: str | os.PathLike
) -> Iterator[tuple[av.VideoFrame, float]]:
    """Frames, each with the time at which it leaves the display."""
    frame, origin, now, reason = first, first.time or 0.0, 0.0, "frames are missing"
    try:
        for after in frames:
            now_after = now + 1 / scan.fps if after.time is None else after.time - origin
            yield frame, now_after
            frame, now = after, now_after
    except av.FFmpegError as error:
        reason = error.strerror
    whole = now > scan.last - 2 / scan.fps
    if not whole and now < WHOLE * scan.stop:
        raise MediaError("undecodable", path, f"damaged at {now:.2f} s of {scan.stop:.2f} s: {reason}")
    yield frame, scan.stop if whole else now + 1 / scan.fps
