"""A video in memory: frames and sound, instead of a file."""

import dataclasses

import numpy as np

from l2l.media.policy import AUDIO_RATE


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays:
    """Frames and the sound that goes with them; both begin at 0 s.

    Attributes:
      frames: uint8 (t, h, w, 3), upright RGB.
      fps: frames per second, or None where `times` are given.
      times: (t,) ascending, when each frame comes on display, seconds; None where `fps` is given.
      wave: int16, or floating point with full scale 1, (n,), mono; None for a video without sound.
      rate: of the sound, Hz.

    Raises:
      ValueError: shapes, dtypes or times that are not as above.
    """

    frames: np.ndarray
    fps: float | None = None
    times: np.ndarray | None = None
    wave: np.ndarray | None = None
    rate: int = AUDIO_RATE

    def __post_init__(self) -> None:
        frames, wave = np.asarray(self.frames), self.wave
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
            raise ValueError(f"frames must be uint8 (t, h, w, 3), got {frames.dtype} {frames.shape}")
        if (self.fps is None) == (self.times is None):
            raise ValueError("give either fps or times of the frames")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"fps must be positive, got {self.fps}")
        if self.times is not None and (len(self.times) != len(frames) or (np.diff(self.times) <= 0).any()):
            raise ValueError("times must be ascending, one for each frame")
        if wave is not None and (wave.ndim != 1 or wave.dtype not in (np.int16, np.float32, np.float64)):
            raise ValueError(f"wave must be int16 or floating point (n,), got {wave.dtype} {wave.shape}")
        if self.rate < 1:
            raise ValueError(f"rate must be positive, got {self.rate}")

    def shown(self, before: int = 0) -> list[float]:
        """When each frame comes on display, seconds; where `fps` says it, that many frames came before."""
        if self.times is not None:
            return [float(at) for at in self.times]
        if self.fps is None:
            raise ValueError("give either fps or times of the frames")
        return [(before + i) / self.fps for i in range(len(self.frames))]
