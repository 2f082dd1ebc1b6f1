"""Clip shards that the benchmarks read: smooth moving pictures, which compress as films do, and noise to hear."""

from pathlib import Path

import numpy as np

from l2l.data import features, schema
from l2l.media.picture import jpeg
from l2l.media.policy import AUDIO_RATE, ClipPolicy

SIZE = (128, 171)  # of the stored images, pixels
LABELS = tuple(str(i) for i in range(400))


def clip(number: int, frames: int) -> dict[str, np.ndarray]:
    """Number; frames, uint8 (frames, *SIZE, 3); and a second of audio, int16 (n,)."""
    rng = np.random.default_rng(number)
    y, x = (axis[..., None] for axis in np.indices(SIZE))
    wave = lambda t: np.sin((y * rng.uniform(0.5, 2) + x + 3 * t) / 12 + np.arange(3))
    pictures = [(120 + 80 * wave(t) + rng.normal(0, 5, (*SIZE, 3))).clip(0, 255) for t in range(frames)]
    audio = rng.integers(-3000, 3000, AUDIO_RATE)
    return {"number": np.array(number), "frames": np.array(pictures).astype(np.uint8), "audio": audio.astype("<i2")}


def encode(made: dict[str, np.ndarray]) -> bytes:
    """A clip -> its serialised record, as the default clip policy stores it."""
    number, frames = int(made["number"]), len(made["frames"])
    values: dict[str, list] = {
        "video_id": [str(number).encode()],
        "clip": [0],
        "clips": [1],
        "start": [0.0],
        "duration": [frames / 25],
        "labels": [number % len(LABELS)],
        "frames": [jpeg.encode_jpeg(picture, 90) for picture in made["frames"]],
        "frames_valid": [frames],
        "audio": [made["audio"].tobytes()],
        "audio_valid": [0, AUDIO_RATE],
        "has_audio": [1],
    }
    return features.serialise(values, schema.CLIP_RECORD)


def write_clips(out: Path, *, clips: int, frames: int, shards: int) -> None:
    """A finished directory of clip shards with one split, train."""
    out.mkdir()
    paths = [out / schema.shard_name("clips", "train", i, shards) for i in range(shards)]
    for i, path in enumerate(paths):
        features.write_shard(path, (clip(number, frames) for number in range(i, clips, shards)), encode)
    splits = {"train": tuple(features.describe_shard(path) for path in paths)}
    policy = vars(ClipPolicy(frames=frames, short_side=SIZE[0], clips=1))
    schema.save_index(out, schema.Index("clips", LABELS, splits, policy))
