"""Is a directory of shards whole? Reads every record again.

    python -m data_prep.verify DIR

Prints one line per problem and exits with 1 if there is any.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.shards import sha256_of, tensorflow
from l2l.data import schema
from l2l.data.media import decode_jpeg

EVERY = 20  # one record in so many has its first image decoded

Values = dict[str, list[Any]]


def problems(directory: str | os.PathLike) -> Iterator[str]:
    """One line for every way in which a directory differs from its index and from the schema."""
    try:
        index = schema.load_index(directory)
    except schema.ShardError as error:
        yield str(error)
        return
    if not index.splits:
        yield f"{Path(directory) / schema.INDEX} names no shards: they are still being made"
    seen: set[bytes] = set()
    for split, shards in index.splits.items():
        if not shards:
            yield f"{Path(directory) / schema.INDEX}: split {split} has no shards"
        for shard in shards:
            yield from _shard_problems(Path(directory) / shard.file, shard, index, seen)


def _shard_problems(path: Path, shard: schema.Shard, index: schema.Index, seen: set[bytes]) -> Iterator[str]:
    if not path.is_file():
        yield f"{path}: is missing"
        return
    if path.stat().st_size != shard.bytes:
        yield f"{path}: has {path.stat().st_size:,} bytes, the index says {shard.bytes:,}"
    elif sha256_of(path) != shard.sha256:
        yield f"{path}: its sha256 is not the index's: the content was changed"
    tf, records, order = tensorflow(), 0, _Order(index.kind, seen)
    try:
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            values, faults = parse(raw, schema.RECORDS[index.kind])
            faults = faults or [*_faults(values, index, decode=records % EVERY == 0), *order.faults(values)]
            yield from (f"{path}, record {records}: {fault}" for fault in faults)
            records += 1
    except tf.errors.OpError as error:
        yield f"{path}: cannot be read past record {records}: {error.message.splitlines()[0]}"
    if order.clip != order.clips:
        yield f"{path}: its last video has {order.clip} of {order.clips} clips"
    if (records, order.videos) != (shard.records, shard.videos):
        there = f"{records} records of {order.videos} videos"
        yield f"{path}: {there}, the index says {shard.records} of {shard.videos}"


class _Order:
    """Follows a shard's records: each video once, its clips together and in order."""

    def __init__(self, kind: str, seen: set[bytes]) -> None:
        self.kind, self.seen = kind, seen
        self.video, self.videos, self.clip, self.clips = b"", 0, 0, 0

    def faults(self, values: Values) -> Iterator[str]:
        name = values["video_id"][0]
        if name != self.video or self.kind == "features":
            if self.clip != self.clips:
                yield f"the video before has {self.clip} of {self.clips} clips"
            if name in self.seen:
                yield f"video {name!r} was there before"
            self.seen.add(name)
            self.video, self.videos, self.clip = name, self.videos + 1, 0
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


def _faults(values: Values, index: schema.Index, *, decode: bool) -> Iterator[str]:
    if index.kind == "teacher":
        yield from _teacher_faults(values, len(index.labels))
        return
    wrong = [x for x in values["labels"] if not 0 <= x < len(index.labels)]
    if wrong:
        yield f"label id {wrong[0]} is outside the {len(index.labels)} labels"
    if values["has_audio"][0] not in (0, 1):
        yield f"has_audio is {values['has_audio'][0]}, not 0 or 1"
    yield from _clip_faults(values, decode) if index.kind == "clips" else _feature_faults(values)


def _clip_faults(values: Values, decode: bool) -> Iterator[str]:
    frames, valid = len(values["frames"]), values["frames_valid"][0]
    if not 1 <= frames <= 64 or not 0 <= valid <= frames:
        yield f"{frames} frames of which {valid} are valid"
    if len(values["audio"][0]) != 2 * schema.AUDIO_RATE:
        yield f"{len(values['audio'][0])} bytes of sound, not {2 * schema.AUDIO_RATE}"
    first, stop = values["audio_valid"]
    if not 0 <= first <= stop <= schema.AUDIO_RATE:
        yield f"audio_valid is [{first}, {stop})"
    if decode and frames:
        try:
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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.verify", description=__doc__.splitlines()[0])
    parser.add_argument("directory", help="directory of shards, with its index.json")
    directory = parser.parse_args(argv).directory
    count = 0
    try:
        for problem in problems(directory):
            print(problem)
            count += 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if count:
        print(f"{directory}: {count} problems; delete the shards named above and prepare again", file=sys.stderr)
        return 1
    index = schema.load_index(directory)
    for split in index.splits:
        print(f"{split}: {index.videos(split)} videos, {index.records(split)} records")
    print(f"{directory} is whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
