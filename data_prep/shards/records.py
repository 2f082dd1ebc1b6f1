"""Is a shard whole? Its bytes, and every record's checksum, fields and place, against what the index says."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from l2l.data import framing, schema
from l2l.media.picture.jpeg import decode_jpeg, jpeg_size
from l2l.media.policy import AUDIO_RATE, ClipPolicy

from .. import storage
from ..storage import tensorflow
from .shard import sha256_of

EVERY = 20  # one record in so many has its first image decoded
JPEG = b"\xff\xd8\xff"  # how one begins
LISTED = 100  # problems of a shard that are told

Values = dict[str, Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Check:
    """A shard to read again, and what the index says of it.

    Attributes:
      path: of the shard.
      shard: what the index says of it.
      index: without its shards and lists.
    """

    path: str
    shard: schema.Shard
    index: schema.Index


@dataclasses.dataclass
class Found:
    """What was read: problems, one line each, and the videos in order."""

    problems: list[str]
    videos: list[bytes]


def read_again(check: Check, done: Callable[[], None]) -> Found:
    """Reads a shard; calls `done` at the end."""
    found = Found([], [])
    try:
        with storage.local_copy(check.path) as path:
            told = (f"{check.path}{problem}" for problem in _shard_problems(path, check, found.videos))
            found.problems += itertools.islice(told, LISTED)
            if more := sum(1 for _ in told):
                found.problems.append(f"{check.path}: ... and {more:,} problems more")
    except OSError as error:
        found.problems.append(f"{check.path}: is missing or cannot be read: {error.strerror or error}")
    done()
    return found


def _shard_problems(path: str, check: Check, videos: list[bytes]) -> Iterator[str]:
    size = os.path.getsize(path)
    whole, cut = framing.walk(path)
    if size != check.shard.bytes:
        yield f": has {size:,} bytes, the index says {check.shard.bytes:,}"
    elif sha256_of(path) != check.shard.sha256:
        yield ": its sha256 is not the index's: the content was changed"
    tf, records, order = tensorflow(), 0, _Order(check.index.kind, videos)
    table = schema.record_of(check.index)
    try:
        for raw in tf.data.TFRecordDataset(path).take(whole).as_numpy_iterator():
            values, faults = parse(raw, table)
            faults = faults or [*_faults(values, check.index, decode=records % EVERY == 0), *order.faults(values)]
            yield from (f", record {records}: {fault}" for fault in faults)
            records += 1
    except tf.errors.OpError as error:
        cut = _line(error.message)
    if cut:
        yield f": cannot be read past record {records}: {cut}"
    if order.clip != order.clips:
        yield f": its last video has {order.clip} of {order.clips} clips"
    if (records, len(videos)) != (check.shard.records, check.shard.videos):
        there = f"{records} records of {len(videos)} videos"
        yield f": {there}, the index says {check.shard.records} of {check.shard.videos}"


def _line(text: object) -> str:
    """What somebody else's code says, as one line that is not too long."""
    return " ".join(str(text).split())[:200]


class _Order:
    """Follows a shard's records, whose videos it lists: each once, its clips together and in order."""

    def __init__(self, kind: str, videos: list[bytes]) -> None:
        self.kind, self.videos = kind, videos
        self.seen: set[bytes] = set()
        self.clip, self.clips = 0, 0

    def faults(self, values: Values) -> Iterator[str]:
        name = values["video_id"][0]
        if self.videos[-1:] != [name] or self.kind == "features":
            if self.clip != self.clips:
                yield f"the video before has {self.clip} of {self.clips} clips"
            if name in self.seen:
                yield f"video {name!r:.80} was there before"
            self.seen.add(name)
            self.videos.append(name)
            self.clip = 0
        if self.kind != "features":
            if values["clip"][0] != self.clip:
                yield f"clip {values['clip'][0]} where clip {self.clip} of {name!r:.80} belongs"
            self.clip, self.clips = values["clip"][0] + 1, values["clips"][0]


def parse(raw: bytes, table: dict[str, schema.Field]) -> tuple[Values, list[str]]:
    """A record's values by field, and what is wrong with its fields."""
    tf = tensorflow()
    try:
        features = tf.train.Example.FromString(raw).features.feature
    except Exception as error:  # protobuf's DecodeError, which lives in another place in every version
        return {}, [f"not a tf.train.Example: {_line(error)}"]
    kinds = {"bytes_list": schema.BYTES, "int64_list": schema.INT, "float_list": schema.FLOAT}
    values, faults = (
        {},
        [f"unknown field {name!r:.80}" for name in itertools.islice(set(features) - set(table), LISTED)],
    )
    for name, field in table.items():
        kind = features[name].WhichOneof("kind") if name in features else None
        if kind is None or kinds[kind] != field.kind:
            faults.append(f"field {name!r} is {'missing' if kind is None else kinds[kind]}, not {field.kind}")
            continue
        values[name] = getattr(features[name], kind).value  # as a list, small numbers would take many times their bytes
        if field.length is not None and len(values[name]) != field.length:
            faults.append(f"field {name!r} has {len(values[name])} values, not {field.length}")
    return values, faults


def _faults(values: Values, index: schema.Index, *, decode: bool) -> Iterator[str]:
    name = values["video_id"][0]
    if not _is_name(name):
        yield f"video_id is {name!r:.80}, it must be a text in UTF-8 that is not empty"
    if index.kind == "teacher":
        yield from _teacher_faults(values, len(index.labels))
        return
    wrong = next((x for x in values["labels"] if not 0 <= x < len(index.labels)), None)
    if wrong is not None:
        yield f"label id {wrong} is outside the {len(index.labels)} labels"
    if values["has_audio"][0] not in (0, 1):
        yield f"has_audio is {values['has_audio'][0]}, not 0 or 1"
    if index.kind == "clips":
        yield from _clip_faults(values, ClipPolicy(**index.policy), decode=decode)
    else:
        yield from _feature_faults(values, index.policy)


def _is_name(data: bytes) -> bool:
    try:
        return bool(data.decode()) and b"\0" not in data
    except UnicodeDecodeError:
        return False


def _clip_faults(values: Values, policy: ClipPolicy, *, decode: bool) -> Iterator[str]:
    frames, valid = len(values["frames"]), values["frames_valid"][0]
    if frames != policy.frames or not 0 <= valid <= frames:
        yield f"{frames} frames of which {valid} are valid, the index says {policy.frames}"
    if len(values["audio"][0]) != 2 * AUDIO_RATE:
        yield f"{len(values['audio'][0])} bytes of sound, not {2 * AUDIO_RATE}"
    first, stop = values["audio_valid"]
    if not 0 <= first <= stop <= AUDIO_RATE:
        yield f"audio_valid is [{first}, {stop})"
    for name in ("start", "duration"):
        if not np.isfinite(values[name][0]):
            yield f"{name} is {values[name][0]}, not a number of seconds"
    if odd := next((i for i, x in enumerate(values["frames"]) if not x.startswith(JPEG)), None):
        yield f"frame {odd} is no JPEG"
    if frames and (fault := _image_fault(values["frames"][0], policy, decode=decode)):
        yield f"its first frame does not decode: {fault}"


def _image_fault(jpeg: bytes, policy: ClipPolicy, *, decode: bool) -> str:
    """What keeps an image from being as the index says, "" if nothing does; decoded only if it says that it is so."""
    side, wide = policy.short_side, policy.width
    try:
        width, height = jpeg_size(jpeg)
        if (min(width, height) != side) if wide is None else ((height, width) != (side, wide)):
            of = f"a short side of {side}" if wide is None else f"{wide} x {side}"
            return f"it says that it has {width:,} x {height:,} pixels, the index says {of}"
        if width * height > schema.PIXELS * len(jpeg):
            return f"it says that it has {width:,} x {height:,} pixels, in {len(jpeg):,} bytes"
        if decode:
            decode_jpeg(jpeg)
    except Exception as error:  # of damaged images Pillow raises many kinds
        return _line(error)
    return ""


def _feature_faults(values: Values, policy: dict[str, Any]) -> Iterator[str]:
    positions = len(values["times"])
    if not np.isfinite(values["times"]).all():
        yield "its times are not all finite"
    widths = policy.get("widths", {}) | policy.get("glances", {})
    for name in ("image", "audio", *policy.get("glances", {})):
        size, own = len(values[name][0]), 2 * positions * widths.get(name, 0)
        if not positions or size % (2 * positions) or (size != own if name in widths else not size):
            yield f"{size} bytes of {name} descriptors for {positions} positions"
        elif not _finite(values[name][0]):
            yield f"its {name} descriptors are not all finite"


def _teacher_faults(values: Values, labels: int) -> Iterator[str]:
    feature, logits = (len(values[name][0]) for name in ("feature", "logits"))
    if not feature or feature % 2 or logits != 2 * labels:
        yield f"{feature} bytes of feature and {logits} of logits for {labels} labels"
    elif not all(_finite(values[name][0]) for name in ("feature", "logits")):
        yield "the answer is not finite"


def _finite(data: bytes) -> bool:
    return bool(np.isfinite(np.frombuffer(data, "<f2")).all())
