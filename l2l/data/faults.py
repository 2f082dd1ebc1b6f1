"""Shards that may be damaged: looked through before TensorFlow opens them; its errors as one line with the place."""

import functools
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path

from l2l.data import framing, schema
from l2l.data.batching import Batch
from l2l.data.order import Files
from l2l.data.tensorflow import tf

CURE = "delete it and make the directory again"
THREADS = 8  # that look through shards: a disk answers several at a time
SEARCH = 60.0  # seconds
ERRORS = (tf.errors.OpError, UnicodeDecodeError)  # of TensorFlow; the latter where its message has bytes of a record


def count(path: str | os.PathLike) -> int:
    """How many records a shard has. Raises ShardError if one is longer than the file, or the file cannot be read."""
    try:
        records, wrong = framing.walk(path)
    except OSError as error:
        raise schema.ShardError(f"{path} cannot be read: {error.strerror}") from error
    if wrong:
        raise schema.ShardError(f"{path} is damaged, record {records}: {wrong}; {CURE}")
    return records


@functools.cache
def _count(path: Path, size: int, changed: int) -> int:
    """As `count`, once for every state of a file: the same ones are evaluated again and again."""
    del size, changed
    return count(path)


def check(shards: Sequence[tuple[Files, int]]) -> None:
    """Looks through shards before TensorFlow opens them; about a microsecond a record, where the disk is no slower.

    Args:
      shards: (files, number of records that the index says).

    Raises:
      ShardError: a record is longer than its file, or one has another number of records.
    """

    def one(shard: tuple[Path, int]) -> None:
        path, records = shard
        there = os.stat(path)
        _demand(path, _count(path, there.st_size, there.st_mtime_ns), records)

    files = [(path, n) for files, n in shards for path in ([files] if isinstance(files, Path) else files)]
    with futures.ThreadPoolExecutor(THREADS) as executor:
        for _ in executor.map(one, files):
            pass


def _demand(path: Path, there: int, records: int) -> None:
    if there != records:
        raise schema.ShardError(f"{path} holds {there:,} records, the index says {records:,}; {CURE}")


def said(error: tf.errors.OpError | UnicodeDecodeError) -> str:
    """What TensorFlow says in its first line, without the names of its operations."""
    if isinstance(error, UnicodeDecodeError):
        return "what TensorFlow repeats of it is no text"
    line = re.sub(r"\{\{.*?\}\}|\[Op:.*|Error in user-defined .*? Iterator::\S* ", "", error.message.split("\n")[0])
    return " ".join(line.split())[:300] or type(error).__name__


def place(shards: Sequence[tuple[Files, int]], number: int) -> str:
    """Names the record that is the `number`-th of these shards, from 0, and its file or files.

    Raises:
      ShardError: one of them is damaged, or has another number of records than the index says.
    """
    for files, records in shards:
        paths = [files] if isinstance(files, Path) else files
        for path in paths:
            _demand(path, count(path), records)
        if number < records:
            return f"{' and '.join(map(str, paths))}, record {number}"
        number -= records
    return "after the last record"


def told(rows: Iterator[Batch], shards: Sequence[tuple[Files, int]]) -> Iterator[Batch]:
    """Every record of shards, in order; what TensorFlow raises names the record it is about.

    Args:
      rows: what is read of them.
      shards: (files, number of records that the index says).

    Raises:
      ShardError: a record cannot be read or used, or there are more or fewer than the index says.
    """
    number = 0
    try:
        for row in rows:
            yield row
            number += 1
    except ERRORS as error:
        raise schema.ShardError(f"{place(shards, number)} cannot be used: {said(error)}; {CURE}") from error
    if number != sum(records for _, records in shards):
        place(shards, number)


def told_of_some(
    rows: Iterator[Batch], search: Callable[[], Iterator[Batch]], directory: Path, shards: Sequence[tuple[Files, int]]
) -> Iterator[Batch]:
    """Batches of records drawn here and there; after an error the shards are read in order to find its record.

    Args:
      rows: the batches.
      search: makes what reads every record of the shards, in order; it is given up after SEARCH seconds.
      directory: of the shards.
      shards: as for `told`.

    Raises:
      ShardError: a record cannot be read or used, or there are more or fewer than the index says.
    """
    try:
        yield from rows
    except ERRORS as error:
        end = time.monotonic() + SEARCH
        for _ in told(search(), shards):
            if time.monotonic() > end:
                break
        raise schema.ShardError(
            f"{directory}: a record cannot be used: {said(error)}; `python -m data_prep.verify {directory}` names it"
        ) from error
