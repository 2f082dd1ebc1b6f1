"""Feature shards: one record per video with the image and audio descriptors of all its positions, float16."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from l2l.data import faults, schema
from l2l.data.batching import BANKS, fit_positions
from l2l.data.clips import Example, multi_hot, parse
from l2l.data.tensorflow import tf


def serialise(values: dict[str, list], table: dict[str, schema.Field]) -> bytes:
    """Lists by field -> a serialised `tf.train.Example`."""
    make = {
        schema.BYTES: lambda x: tf.train.Feature(bytes_list=tf.train.BytesList(value=x)),
        schema.INT: lambda x: tf.train.Feature(int64_list=tf.train.Int64List(value=x)),
        schema.FLOAT: lambda x: tf.train.Feature(float_list=tf.train.FloatList(value=x)),
    }
    feature = {name: make[field.kind](values[name]) for name, field in table.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


def encode(video: dict[str, np.ndarray]) -> bytes:
    """video_id, labels (l,), times (n,), image (n, d), audio (n, d), has_audio -> a serialised feature record.

    With cells (n, r * c) and regions (n, r * d), if the video has them.
    """
    values: dict[str, list] = {
        "video_id": [video["video_id"]],
        "labels": [int(x) for x in video["labels"]],
        "times": [float(x) for x in video["times"]],
        "image": [np.asarray(video["image"], "<f2").tobytes()],
        "audio": [np.asarray(video["audio"], "<f2").tobytes()],
        "has_audio": [int(video["has_audio"])],
    }
    near = {key: field for key, field in schema.GLANCES.items() if key in video}
    values |= {key: [np.asarray(video[key], "<f2").tobytes()] for key in near}
    return serialise(values, schema.FEATURE_RECORD | near)


def write_shard(path: Path, rows: Iterable[dict[str, np.ndarray]], encode: Callable[..., bytes] = encode) -> None:
    """Writes a shard under a temporary name and renames it: it exists whole or not at all.

    Raises:
      OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for row in rows:
                writer.write(encode(row))
        temporary.replace(path)
    except tf.errors.OpError as error:
        raise OSError(f"{path} cannot be written: {error.message.splitlines()[0]}") from error
    finally:
        temporary.unlink(missing_ok=True)


def describe_shard(path: Path) -> schema.Shard:
    """What the index says of a whole shard; one record is one video. Raises ShardError if it cannot be read."""
    count = sum(1 for _ in _rows(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return schema.Shard(file=path.name, records=count, videos=count, bytes=path.stat().st_size, sha256=digest)


def _rows(path: Path, read: Callable[[tf.Tensor], Any] = lambda raw: raw) -> Iterator[Any]:
    """Every record of a shard, read. Raises ShardError at one that cannot be."""
    count = faults.count(path)
    return faults.told(tf.data.TFRecordDataset(str(path)).map(read).as_numpy_iterator(), [(path, count)])


@dataclasses.dataclass(frozen=True)
class FeatureReader:
    """Decodes feature records.

    Attributes:
      image, audio: widths of the two descriptors.
      classes: number of labels.
      lengths: numbers of positions that batches are padded to; in training every step draws one of them, and longer
        videos are cropped at random (the released recipe draws any number in [200, 500], a compile for each).
      glances: widths of "cells" and "regions", float16 (n, width), where the records have them.
    """

    image: int
    audio: int
    classes: int
    lengths: tuple[int, ...]
    glances: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def train(self, raw: tf.Tensor, seed: tf.Tensor, shared: tf.Tensor) -> Example:
        """image (n, d), audio (n, d) float16, valid bool (n,), labels float32 (classes,), has_audio, mask bool."""
        example = self._decode(raw)
        draw = tf.random.stateless_uniform([], shared, maxval=len(self.lengths), dtype=tf.int32)
        length = tf.constant(self.lengths)[draw]
        spare = tf.maximum(tf.shape(example["image"])[0] - length, 0)
        start = tf.random.stateless_uniform([], seed, maxval=spare + 1, dtype=tf.int32)
        n = tf.minimum(tf.shape(example["image"])[0], length)
        pad = [[0, length - n], [0, 0]]
        banks = {key: tf.pad(example[key][start : start + n], pad) for key in BANKS if key in example}
        kept = {key: example[key] for key in ("labels", "has_audio")}
        return banks | kept | {"valid": tf.range(length) < n, "mask": tf.constant(True)}

    def eval(self, raw: tf.Tensor, own: tf.Tensor) -> Example:
        """As `train` without cropping and padding, with video_id and times; what is not `own` costs nothing to read."""
        del own
        return self._decode(raw)

    def fit(self, video: dict[str, np.ndarray]) -> tuple[int, dict[str, np.ndarray]]:
        """The video padded to its bucket, see `batching.fit_positions`."""
        return fit_positions(video, self.lengths)

    def _decode(self, raw: tf.Tensor) -> Example:
        near = {key: schema.GLANCES[key] for key in self.glances}
        record = parse(raw, schema.FEATURE_RECORD | near)
        return {key: bank(record, key, width) for key, width in self.glances.items()} | {
            "image": bank(record, "image", self.image),
            "audio": bank(record, "audio", self.audio),
            "labels": multi_hot(record["labels"], self.classes),
            "has_audio": record["has_audio"] > 0,
            "video_id": record["video_id"],
            "times": record["times"],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairReader(FeatureReader):
    """Decodes a feature record and, beside it, one of the same video by another model: (2,) serialised.

    Attributes:
      others: widths of the other model's two descriptors; side by side they are "recognition" (n, d), float16.
    """

    others: tuple[int, int]

    def _decode(self, raw: tf.Tensor) -> Example:
        other = parse(raw[1], schema.FEATURE_RECORD)
        banks = [bank(other, key, width) for key, width in zip(("image", "audio"), self.others, strict=True)]
        return super()._decode(raw[0]) | {"recognition": tf.concat(banks, axis=-1)}


def bank(record: Example, key: str, width: int) -> tf.Tensor:
    """The descriptors (n, width) float16 of a parsed record."""
    positions = tf.size(record["times"])
    with tf.control_dependencies([tf.debugging.Assert(positions > 0, ["it has no positions"])]):
        return tf.reshape(tf.io.decode_raw(record[key], tf.float16), [positions, width])


def check_pair(first: Path, second: Path) -> None:
    """Checks that two feature shards hold the same videos in the same order, at the same times.

    Clips of different lengths that start together have their centres apart, but by less than to the next position.

    Raises:
      ShardError: they do not, the message names the first video where they differ; or one cannot be read.
    """
    fields = {name: schema.FEATURE_RECORD[name] for name in ("video_id", "times")}
    read = lambda path: _rows(path, lambda raw: parse(raw, fields))
    for one, other in itertools.zip_longest(read(first), read(second)):
        if one is None or other is None or not same_places(one, other):
            name = (one or other)["video_id"].decode(errors="replace")
            raise schema.ShardError(
                f"{first} and {second} do not describe the same videos at the same times (first at {name!r}): prepare "
                "the clips of both from the same list of videos with the same --hop, and extract both again"
            )


def same_places(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two records are of one video, and each position of one is nearest to the same one of the other."""
    (a, b), named = (one["times"], other["times"]), one["video_id"] == other["video_id"]
    if not named or a.shape != b.shape:
        return False
    return len(a) < 2 or bool(np.abs(a - b).max() <= np.diff(a).min() / 2)
