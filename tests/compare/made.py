"""Features of a few videos whose class is told by what lies in a stretch of each."""

import numpy as np

from l2l.compare.films import Features
from l2l.models.student import Unfused

CLASSES, WIDTH, LONGEST = 3, 4, 8


def made(seed: int = 0, strength: float = 3.0) -> Features:
    """Splits of 16, 12 and 20 videos of 3 to 8 positions; a fifth has no sound."""
    rng = np.random.default_rng(seed)
    splits = {name: videos(rng, count, strength) for name, count in (("train", 16), ("val", 12), ("test", 20))}
    head = {"kernel": rng.normal(size=(2 * WIDTH, CLASSES)).astype(np.float32), "bias": np.zeros(CLASSES, np.float32)}
    return Features(splits, {"fusion": {}, "classifier": head}, Unfused(), hash=f"made {seed} {strength}")


def videos(rng: np.random.Generator, count: int, strength: float) -> dict[str, np.ndarray]:
    """Noise, with the class's own sign in two positions that the sound tells too."""
    lengths = rng.integers(3, LONGEST + 1, count)
    image, audio = rng.normal(size=(2, count, LONGEST, WIDTH)).astype(np.float32)
    classes, inside = np.arange(count) % CLASSES, np.zeros((count, LONGEST), bool)
    for video, length in enumerate(lengths):
        start = rng.integers(length - 1)
        inside[video, start : start + 2] = True
        image[video, start : start + 2, classes[video]] += strength
        audio[video, start : start + 2, -1] += strength
    valid = np.arange(LONGEST) < lengths[:, None]
    return {
        "image": image * valid[..., None],
        "audio": audio * valid[..., None],
        "valid": valid,
        "inside": inside,
        "labels": np.eye(CLASSES, dtype=np.float32)[classes],
        "has_audio": np.arange(count) % 5 != 0,
        "mask": np.ones(count, bool),
        "example": np.arange(count),
    }
