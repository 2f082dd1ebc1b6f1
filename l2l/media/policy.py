"""How clips are cut from a video, and which parts of a file are read."""

import dataclasses
from typing import Any

from l2l.core.rules import SWITCH, Rule, maybe, number, problem, whole

# What a dictionary may hold that a `ClipPolicy` is made of.
POLICY: dict[str, Rule] = {
    "frames": whole(1, 64),
    "stride": whole(1, 10**6),
    "fps": maybe(number(0, 10**6, over=True)),
    "hop": maybe(number(0, 10**9, over=True)),
    "hop_frames": maybe(whole(1, 10**9)),
    "short_side": whole(1, 65_500),
    "width": maybe(whole(1, 65_500)),
    "quality": whole(1, 100),
    "clips": whole(0, 10**6),
    "audio": SWITCH,
}

AUDIO_RATE = 16_000  # Hz, mono, int16

# By these a video is known in a folder.
_SUFFIXES = (
    ".3g2 .3gp .3gpp .amv .asf .avi .divx .dv .f4v .flv .gif .ivf .m1v .m2t .m2ts .m2v .m4v .mkv .mov .mp2v .mp4"
)
_SUFFIXES += " .mpe .mpeg .mpg .mpv .mts .mxf .nut .ogg .ogv .qt .rm .rmvb .trp .ts .vob .webm .wmv .wtv .y4m"
VIDEO_SUFFIXES = frozenset(_SUFFIXES.split())


@dataclasses.dataclass(frozen=True)
class ClipPolicy:
    """How clips are cut from a video. Everything is addressed by presentation time in seconds.

    Attributes:
      frames: images per clip, 1..64.
      stride: distance between them, in frames at the rate below.
      fps: frame rate that stride and hop count in; None takes each video's own average rate.
      hop: seconds between the starts of neighbouring clips; None lets clips abut (frames * stride / fps).
      hop_frames: the same in frames at the rate above, instead of seconds.
      short_side: stored images have this short side, pixels, aspect ratio kept.
      width: if given, they are `short_side` high and this wide instead, squeezed or stretched.
      quality: JPEG quality, 1..100.
      clips: 0 stores every clip, k > 0 stores k clips spread evenly over the video.
      audio: False stores silence and has_audio 0 for every video.
    """

    frames: int = 16
    stride: int = 1
    fps: float | None = None
    hop: float | None = None
    hop_frames: int | None = None
    short_side: int = 128
    width: int | None = None
    quality: int = 90
    clips: int = 0
    audio: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 64:
            raise ValueError(f"frames per clip must be 1..64, got {self.frames}")
        for name in ("stride", "short_side", "width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"JPEG quality must be 1..100, got {self.quality}")
        for name in ("fps", "hop", "hop_frames"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be positive, got {value}")
        if self.hop is not None and self.hop_frames is not None:
            raise ValueError(f"hop is asked for twice: {self.hop:g} seconds and {self.hop_frames} frames")
        if self.clips < 0:
            raise ValueError(f"clips must be 0 (all) or a positive number, got {self.clips}")
        if found := problem(dataclasses.asdict(self), {}, POLICY):
            raise ValueError(found)


@dataclasses.dataclass(frozen=True)
class Reading:
    """Which parts of a video file are read, and what of its header is believed.

    Attributes:
      audio_track: number of the sound track, from 1; None chooses, see `sound_streams.choose`.
      trust_length: False admits a file that ends before the length that its header says.
    """

    audio_track: int | None = None
    trust_length: bool = True

    def __post_init__(self) -> None:
        if self.audio_track is not None and self.audio_track < 1:
            raise ValueError(f"audio_track={self.audio_track}: sound tracks are counted from 1")


USUAL = Reading()


def unusual(reading: Reading) -> dict[str, Any]:
    """What is not as usual, by name; nothing of the usual way is written down, as ever."""
    usual, asked = map(dataclasses.asdict, (USUAL, reading))
    return {key: value for key, value in asked.items() if value != usual[key]}
