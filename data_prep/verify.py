"""Is a directory of shards whole? Reads every record again, shards side by side.

    python -m data_prep.verify DIR

Every file's bytes and sha256 and every record's checksum, fields and place are compared with the index, and the size
that its first image says; one record in twenty has that image decoded. Where there is an actions.json, its stretches
must be of videos that are there. Prints one line per problem and exits with 1 if
there is any.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from l2l.core import command
from l2l.data import schema
from l2l.data.index_rules import ACTIONS

from . import storage
from .shards import pool
from .shards.records import Check, read_again

LISTED = 1000  # problems that are printed


def load_index(directory: str) -> schema.Index:
    """As `schema.load_index`, also from an object store."""
    try:
        with storage.local_copy(storage.join(directory, schema.INDEX)) as path:
            return schema.load_index(Path(path).parent)
    except FileNotFoundError as error:
        raise schema.ShardError(f"{directory} holds no finished shards") from error
    except OSError as error:
        why = error.strerror or error
        raise schema.ShardError(f"{storage.join(directory, schema.INDEX)} cannot be read: {why}") from error


def problems(directory: str | os.PathLike, workers: int = 1) -> Iterator[str]:
    """One line for every way in which a directory differs from its index and from the schema."""
    try:
        index = load_index(os.fspath(directory))
    except schema.ShardError as error:
        yield str(error)
        return
    if not index.splits:
        yield f"{storage.join(directory, schema.INDEX)} names no shards: they are still being made"
    for split, shards in index.splits.items():
        if not shards:
            yield f"{storage.join(directory, schema.INDEX)}: split {split} has no shards"
    checks = checks_of(os.fspath(directory), index)
    for name in sorted({*storage.names(os.fspath(directory))} - {check.shard.file for check in checks}):
        if ".tfrecord-" in name and name[0] != ".":  # the hidden ones are being written
            yield f"{storage.join(directory, name)}: is not in the index"
    with tqdm(total=len(checks), unit=" shards", mininterval=0.2 if sys.stderr.isatty() else 10) as bar:
        results = pool.run(read_again, checks, min(workers, len(checks)), bar) if checks else []
    seen: dict[bytes, str] = {}
    for check, found in zip(checks, results, strict=True):
        yield from found.problems
        for video in found.videos:
            if video in seen:
                yield f"{check.path}: video {video!r:.80} is in {seen[video]} too"
            seen[video] = check.path
    yield from _actions_problems(storage.join(os.fspath(directory), schema.ACTIONS), seen)


def _actions_problems(path: str, videos: Collection[bytes]) -> Iterator[str]:
    """What is wrong with an actions.json beside shards of these videos; nothing where there is no such file."""
    if (raw := storage.read(path)) is None:
        return
    fits, words = ACTIONS
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not fits(found):
        yield f"{path}: is damaged, it must be {words}; delete it and run the command that prepared the shards again"
        return
    for video, spans in found.items():
        if video.encode(errors="surrogatepass") not in videos:
            yield f"{path}: video {video!r:.80} is in no shard"
        if not all(start < stop for start, stop in spans):
            yield f"{path}: video {video!r:.80} has a stretch that does not end after its start"


def checks_of(directory: str, index: schema.Index) -> list[Check]:
    """All shards of a directory."""
    short = dataclasses.replace(index, splits={}, failed=(), notes=(), noted=())
    return [Check(storage.join(directory, x.file), x, short) for shards in index.splits.values() for x in shards]


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog=command.program("data_prep.verify"), description=__doc__.splitlines()[0])
    result.add_argument("directory", help="directory of shards with its index.json, here or gs://bucket/folder")
    many = "processes (default: one per core)"
    result.add_argument("--workers", type=command.number(int, 1, pool.MOST), default=os.cpu_count(), help=many)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    return command.status(lambda: verify(args.directory, args.workers))


def verify(directory: str, workers: int) -> int:
    """Prints what is wrong in a directory of shards, or what it holds; the exit status."""
    count = 0
    for problem in problems(directory, workers):
        count += 1
        if count <= LISTED:
            print(problem)
    if count:
        if count > LISTED:
            print(f"... and {count - LISTED:,} problems more")
        print(f"{directory}: {count} problems; delete the shards named above and prepare again", file=sys.stderr)
        return command.FAILED
    index = load_index(directory)
    for split in index.splits:
        print(f"{split}: {index.videos(split)} videos, {index.records(split)} records")
    print(f"{directory} is whole: {len(index.labels)} labels of hash {index.label_hash}")
    return 0


if __name__ == "__main__":
    command.run(main)
