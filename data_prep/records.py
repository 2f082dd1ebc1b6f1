"""Is a shard whole? Its bytes, and every record's checksum, fields and place, against what the index says."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

from data_prep import files
from data_prep.files import tensorflow
from data_prep.shards import sha256_of
from l2l.data import schema
from l2l.data.media import decode_jpeg, jpeg_size

EVERY = 20  # one record in so many has its first image decoded

Values = dict[str, list[Any]]


@dataclasses.dataclass(frozen=True)
class Check:
    """A shard to read again, and what the index says of it."""

    path: str
    shard: schema.Shard
    kind: str
    labels: int
    size: tuple[int, int | None] | None = None  # (short side or height, width or None) of a clip's images, pixels


@dataclasses.dataclass
class Found:
    """What was read: problems, one line each, and the videos in order."""

    problems: list[str]
    videos: list[bytes]


def read_again(check: Check, done: Callable[[], None]) -> Found:
    """Reads a shard; calls `done` at the end."""
    found = Found([], [])
    try:
        with files.local_copy(check.path) as path:
            found.problems += [f"{check.path}{problem}" for problem in _shard_problems(path, check, found.videos)]
    except OSError as error:
        found.problems.append(f"{check.path}: is missing or cannot be read: {error.strerror or error}")
    done()
    return found


def _shard_problems(path: str, check: Check, videos: list[bytes]) -> Iterator[str]:
    size = os.path.getsize(path)
    if size != check.shard.bytes:
        yield f": has {size:,} bytes, the index says {check.shard.bytes:,}"
    elif sha256_of(path) != check.shard.sha256:
        yield ": its sha256 is not the index's: the content was changed"
    tf, records, order = tensorflow(), 0, _Order(check.kind, videos)
    try:
        for raw in tf.data.TFRecordDataset(path).as_numpy_iterator():
            values, faults = parse(raw, schema.RECORDS[check.kind])
            faults = faults or [*_faults(values, check, decode=records % EVERY == 0), *order.faults(values)]
            yield from (f", record {records}: {fault}" for fault in faults)
            records += 1
    except tf.errors.OpError as error:
        yield f": cannot be read past record {records}: {error.message.splitlines()[0]}"
    if order.clip != order.clips:
        yield f": its last video has {order.clip} of {order.clips} clips"
    if (records, len(videos)) != (check.shard.records, check.shard.videos):
        there = f"{records} records of {len(videos)} videos"
        yield f": {there}, the index says {check.shard.records} of {check.shard.videos}"


class _Order:
    """Follows a shard's records, whose videos it lists: each once, its clips together and in order."""

    def __init__(self, kind: str, videos: list[bytes]) -> None:
        self.kind, self.videos, self.seen = kind, videos, set()
        self.clip, self.clips = 0, 0

    def faults(self, values: Values) -> Iterator[str]:
        name = values["video_id"][0]
        if self.videos[-1:] != [name] or self.kind == "features":
            if self.clip != self.clips:
                yield f"the video before has {self.clip} of {self.clips} clips"
            if name in self.seen:
                yield f"video {name!r} was there before"
            self.seen.add(name)
            self.videos.append(name)
            self.clip = 0
        if self.kind != "features":
            if values["clip"][0] != self.clip:
                yield f"clip {values['clip'][0]} where clip {self.clip} of {name!r} belongs"
            self.clip, self.clips = values["clip"][0] + 1, values["clips"][0]


def parse(raw: bytes, table: dict[str, schema.Field]) -> tuple[Values, list[str]]:
    """A record's values by field, and what is wrong with its fields."""
    tf = tensorflow()
    try:
        features = tf.train.Example.FromString(raw).features.feature
    except Exception as error:  # protobuf's DecodeError, which lives in another place in every version
        return {}, [f"not a tf.train.Example: {error}"]
    kinds = {"bytes_list": schema.BYTES, "int64_list": schema.INT, "float_list": schema.FLOAT}
    values, faults = {}, [f"unknown field {name!r}" for name in sorted(set(features) - set(table))]
    for name, field in table.items():
        kind = features[name].WhichOneof("kind") if name in features else None
        if kind is None or kinds[kind] != field.kind:
            faults.append(f"field {name!r} is {kinds.get(kind, 'missing')}, not {field.kind}")
            continue
        values[name] = list(getattr(features[name], kind).value)
        if field.length is not None and len(values[name]) != field.length:
            faults.append(f"field {name!r} has {len(values[name])} values, not {field.length}")
    return values, faults


def _faults(values: Values, check: Check, *, decode: bool) -> Iterator[str]:
    if check.kind == "teacher":
        yield from _teacher_faults(values, check.labels)
        return
    wrong = [x for x in values["labels"] if not 0 <= x < check.labels]
    if wrong:
        yield f"label id {wrong[0]} is outside the {check.labels} labels"
    if values["has_audio"][0] not in (0, 1):
        yield f"has_audio is {values['has_audio'][0]}, not 0 or 1"
    yield from (
        _clip_faults(values, check.size if decode else None) if check.kind == "clips" else _feature_faults(values)
    )


def _clip_faults(values: Values, size: tuple[int, int | None] | None) -> Iterator[str]:
    frames, valid = len(values["frames"]), values["frames_valid"][0]
    if not 1 <= frames <= 64 or not 0 <= valid <= frames:
        yield f"{frames} frames of which {valid} are valid"
    if len(values["audio"][0]) != 2 * schema.AUDIO_RATE:
        yield f"{len(values['audio'][0])} bytes of sound, not {2 * schema.AUDIO_RATE}"
    first, stop = values["audio_valid"]
    if not 0 <= first <= stop <= schema.AUDIO_RATE:
        yield f"audio_valid is [{first}, {stop})"
    if size and frames:
        try:
            width, height = jpeg_size(values["frames"][0])
            side, wide = size
            if (min(width, height), None) != size and (height, width) != size:
                of = f"a short side of {side}" if wide is None else f"{wide} x {side}"
                raise ValueError(f"it says that it has {width:,} x {height:,} pixels, the index says {of}")
            decode_jpeg(values["frames"][0])
        except (OSError, ValueError) as error:
            yield f"its first frame does not decode: {error}"


def _feature_faults(values: Values) -> Iterator[str]:
    positions = len(values["times"])
    for name in ("image", "audio"):
        size = len(values[name][0])
        if not positions or not size or size % (2 * positions):
            yield f"{size} bytes of {name} descriptors for {positions} positions"


def _teacher_faults(values: Values, labels: int) -> Iterator[str]:
    feature, logits = (len(values[name][0]) for name in ("feature", "logits"))
    if not feature or feature % 2 or logits != 2 * labels:
        yield f"{feature} bytes of feature and {logits} of logits for {labels} labels"
