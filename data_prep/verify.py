"""Is a directory of shards whole? Reads every record again, shards side by side.

    python -m data_prep.verify DIR

Every file's bytes and sha256 and every record's checksum, fields and place are compared with the index; one record in
twenty has its first image decoded. Prints one line per problem and exits with 1 if there is any.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from data_prep import files, pool
from data_prep.records import Check, read_again
from data_prep.rows import PrepareError
from l2l import command
from l2l.data import schema


def load_index(directory: str) -> schema.Index:
    """As `schema.load_index`, also from an object store."""
    try:
        with files.local_copy(files.join(directory, schema.INDEX)) as path:
            return schema.load_index(Path(path).parent)
    except FileNotFoundError as error:
        raise schema.ShardError(f"{directory} holds no finished shards") from error


def problems(directory: str | os.PathLike, workers: int = 1) -> Iterator[str]:
    """One line for every way in which a directory differs from its index and from the schema."""
    try:
        index = load_index(os.fspath(directory))
    except schema.ShardError as error:
        yield str(error)
        return
    if not index.splits:
        yield f"{files.join(directory, schema.INDEX)} names no shards: they are still being made"
    for split, shards in index.splits.items():
        if not shards:
            yield f"{files.join(directory, schema.INDEX)}: split {split} has no shards"
    checks = checks_of(os.fspath(directory), index)
    with tqdm(total=len(checks), unit=" shards", mininterval=0.2 if sys.stderr.isatty() else 10) as bar:
        results = pool.run(read_again, checks, min(workers, len(checks)), bar) if checks else []
    seen: dict[bytes, str] = {}
    for check, found in zip(checks, results, strict=True):
        yield from found.problems
        for video in found.videos:
            if video in seen:
                yield f"{check.path}: video {video!r} is in {seen[video]} too"
            seen[video] = check.path


def checks_of(directory: str, index: schema.Index) -> list[Check]:
    """All shards of a directory."""
    policy = schema.ClipPolicy(**index.policy) if index.kind == "clips" else None
    size = policy and (policy.short_side, policy.width)
    return [
        Check(files.join(directory, shard.file), shard, index.kind, len(index.labels), size)
        for shards in index.splits.values()
        for shard in shards
    ]


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m data_prep.verify", description=__doc__.splitlines()[0])
    result.add_argument("directory", help="directory of shards with its index.json, here or gs://bucket/folder")
    result.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    count = 0
    try:
        for problem in problems(args.directory, max(args.workers, 1)):
            print(problem)
            count += 1
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if count:
        print(f"{args.directory}: {count} problems; delete the shards named above and prepare again", file=sys.stderr)
        return 1
    index = load_index(args.directory)
    for split in index.splits:
        print(f"{split}: {index.videos(split)} videos, {index.records(split)} records")
    print(f"{args.directory} is whole: {len(index.labels)} labels of hash {index.label_hash}")
    return 0


if __name__ == "__main__":
    command.run(main)
