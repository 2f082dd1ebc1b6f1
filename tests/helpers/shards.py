"""Clip shards written quickly for tests of what reads them: random pictures and sounds, no video file."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from l2l.data import features, schema
from l2l.media.picture import jpeg
from l2l.media.policy import AUDIO_RATE, ClipPolicy

KINDS = {
    schema.BYTES: lambda x: tf.train.Feature(bytes_list=tf.train.BytesList(value=x)),
    schema.INT: lambda x: tf.train.Feature(int64_list=tf.train.Int64List(value=x)),
    schema.FLOAT: lambda x: tf.train.Feature(float_list=tf.train.FloatList(value=x)),
}


def serialise(record: dict, table: dict[str, schema.Field]) -> bytes:
    feature = {name: KINDS[table[name].kind](value) for name, value in record.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


def clip(
    rng: np.random.Generator,
    video: str,
    number: int,
    of: int,
    label: int,
    frames: int,
    size: int,
    duration: float = 1.0,
) -> bytes:
    """A clip whose brightness tells its label, so that a model can learn it."""
    pixels = rng.integers(0, 60, (frames, size, size + 8, 3)) + 40 * label
    record = {
        "video_id": [video.encode()],
        "clip": [number],
        "clips": [of],
        "start": [float(number)],
        "duration": [duration],
        "labels": [label],
        "frames": [jpeg.encode_jpeg(x.astype(np.uint8), 90) for x in pixels],
        "frames_valid": [frames],
        "audio": [rng.integers(-3000, 3000, AUDIO_RATE).astype("<i2").tobytes()],
        "audio_valid": [0, AUDIO_RATE],
        "has_audio": [1],
    }
    return serialise(record, schema.CLIP_RECORD)


def write_shard(path: Path, records: list[bytes], videos: int) -> schema.Shard:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    data = path.read_bytes()
    return schema.Shard(path.name, len(records), videos, len(data), hashlib.sha256(data).hexdigest())


def clip_directory(
    out: Path,
    *,
    videos: dict[str, int],
    clips: int = 1,
    shards: int = 4,
    frames: int = 2,
    size: int = 16,
    classes: int = 3,
    labels: Sequence[str] | None = None,
    made_by: str = "",
    duration: float = 1.0,
) -> Path:
    """A finished directory of clip shards with so many videos a split, labelled with the first classes."""
    out.mkdir(parents=True)
    rng = np.random.default_rng(0)
    splits = {}
    for split, count in videos.items():
        dealt: list[list[int]] = [list(range(i, count, shards)) for i in range(shards)]
        splits[split] = tuple(
            write_shard(
                out / schema.shard_name("clips", split, i, shards),
                [
                    clip(rng, f"{split}{v}", c, clips, v % classes, frames, size, duration)
                    for v in own
                    for c in range(clips)
                ],
                len(own),
            )
            for i, own in enumerate(dealt)
        )
    policy = dataclasses.asdict(ClipPolicy(frames=frames, short_side=size, hop=1.0))
    labels = labels or [f"class {i}" for i in range(classes)]
    schema.save_index(out, schema.Index("clips", tuple(labels), splits, policy, made_by))
    return out


def feature_directory(
    out: Path,
    *,
    videos: dict[str, int],
    width: int = 8,
    classes: int = 3,
    student: dict | None = None,
    labels_each: int = 1,
) -> Path:
    """A finished directory of feature shards: 5 to 20 positions a video, one of which tells each of its labels."""
    out.mkdir(parents=True)
    rng = np.random.default_rng(0)
    splits = {}
    for split, count in videos.items():
        shards = []
        for i in range(4):
            several = lambda v: [(v + j) % classes for j in range(labels_each)]
            rows = [feature_video(rng, f"{split}{v}", several(v), width) for v in range(i, count, 4)]
            path = out / schema.shard_name("features", split, i, 4)
            features.write_shard(path, rows)
            shards.append(features.describe_shard(path))
        splits[split] = tuple(shards)
    clips = dataclasses.asdict(ClipPolicy(frames=1, hop=1.0))
    policy = {"clips": clips, "student": student or {}, "widths": {"image": width, "audio": width}}
    labels = tuple(f"class {i}" for i in range(classes))
    schema.save_index(out, schema.Index("features", labels, splits, policy, multi_label=labels_each > 1))
    return out


def feature_video(rng: np.random.Generator, name: str, labels: list[int], width: int) -> dict:
    n = int(rng.integers(5, 21))
    image, audio = rng.normal(size=(2, n, width)).astype(np.float16)
    for label in labels:
        image[rng.integers(n), label] += 6
    times = np.arange(n, dtype=np.float32) + 0.5
    return {
        "video_id": name.encode(),
        "labels": labels,
        "times": times,
        "image": image,
        "audio": audio,
        "has_audio": True,
    }
