"""All shards are there: their accounts become the index and what lies beside it, and the table at the end."""

import collections
import contextlib
import dataclasses
import functools
import json
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from l2l.core import atomic
from l2l.data import schema
from l2l.media.policy import unusual

from .. import storage
from ..datasets.rows import PrepareError, Row, shown
from . import tfds_metadata
from .plan import Plan
from .shard import Account, Job, read_account

LISTED = 20  # failed videos of a split that are printed one by one
WIDTH = 500  # characters of a note that are printed
READERS = 16  # threads: a store answers slowly, but to many at a time


def read_accounts(jobs: Sequence[Job]) -> list[Account | None]:
    """The account of every job's shard, None for those still to write."""
    with futures.ThreadPoolExecutor(READERS) as executor:
        return list(executor.map(read_account, jobs))


def finish(plan: Plan, made_by: str = "") -> schema.Index:
    """Writes where the videos and labelled stretches are, metadata and, last, the index, unless the same are there.

    Raises:
      PrepareError: shards are missing, or no video of the list can be used.
      OSError: the directory cannot be written to.
    """
    accounts = accounts_of(plan)
    splits = {split: tuple(accounts[job.file].shard for job in jobs) for split, jobs in plan.splits.items()}
    failed = tuple(x for account in accounts.values() for x in account.failed)
    if not any(shard.videos for shards in splits.values() for shard in shards):
        raise PrepareError(f"none of the {len(failed)} videos can be used; the first: {_line(failed[0])}")
    multi = any(len(row.labels) > 1 for job in plan.jobs for row in job.rows)
    stored, policy = stored_rows(plan, accounts), dataclasses.asdict(plan.policy)
    _record_places(plan, stored)
    _record_actions(plan, stored)
    said: dict[str, Any] = {"notes": (*plan.notes, *lacking(plan, stored)), "noted": tuple(noted(plan, accounts))}
    index = schema.Index("clips", plan.labels, splits, policy, made_by, failed, multi_label=multi, **said)
    if recorded(plan.out) != index:
        save(plan.out, index)
    return index


def accounts_of(plan: Plan) -> dict[str, Account]:
    """The account of every shard by its name. Raises PrepareError if some are not written yet."""
    accounts = dict(zip((job.file for job in plan.jobs), read_accounts(plan.jobs), strict=True))
    missing = [number for number, account in enumerate(accounts.values()) if account is None]
    if missing:
        listed = ", ".join(map(str, missing[:LISTED])) + (", ..." if len(missing) > LISTED else "")
        raise PrepareError(
            f"{plan.out}: {len(missing)} of {len(plan.jobs)} shards are not written yet: number {listed}; "
            f"write them with --shard_range={missing[0]}:{missing[-1] + 1} or without --finalize"
        )
    return {file: account for file, account in accounts.items() if account}


def save(out: str, index: schema.Index) -> None:
    """Writes the metadata for TFDS and, last, the index."""
    with storage.os_errors(), storage.staged(out) as folder:
        tfds_metadata.write(folder, os.path.abspath(out).rpartition("/")[2], index)
    with storage.staged(out) as folder:
        schema.save_index(folder, index)


def stored_rows(plan: Plan, accounts: Mapping[str, Account]) -> list[Row]:
    """The rows that have records: those that were not set aside."""
    pairs = ((row, video) for job in plan.jobs for row, video in zip(job.rows, accounts[job.file].videos, strict=True))
    return [row for row, video in pairs if video]


def noted(plan: Plan, accounts: Mapping[str, Account]) -> Iterator[dict[str, Any]]:
    """What the index says of the videos of which something has to be known."""
    for job in plan.jobs:
        for row, notes in zip(job.rows, accounts[job.file].notes, strict=True):
            if notes:
                yield {"path": shown(row.path), "split": row.split, "notes": list(notes)}


def lacking(plan: Plan, stored: Sequence[Row]) -> Iterator[str]:
    """One line for every split that has videos, but none of some classes; it names these."""
    for split in plan.splits:
        there = {label for row in stored if row.split == split for label in row.labels}
        absent = [label for label in plan.labels if label not in there]
        if there and absent:
            yield f"split {split} has no video of {len(absent)} of {len(plan.labels)} classes: {', '.join(absent)}"


def _record_places(plan: Plan, rows: Sequence[Row]) -> None:
    """Writes `videos.json`, unless the same is there.

    It holds {video id: path} or, for a stretch, {video id: {"path", "start", "end"}} in seconds, null where the file
    begins or ends; and "reading" where files are read in another way than usual. A path is relative to the directory
    where both lie on one disk, so that they can move together.
    """
    out, reading = plan.out, unusual(plan.jobs[0].reading)
    place = functools.partial(_place, out, functools.cache(_disk), {"reading": reading} if reading else {})
    _record(out, schema.VIDEOS, {row.video_id: place(row) for row in sorted(rows, key=lambda row: row.video_id)})


def _record_actions(plan: Plan, rows: Sequence[Row]) -> None:
    """Writes `actions.json`, unless the same is there, and says so; without labelled stretches nothing is done."""
    known = sorted((row for row in rows if row.actions is not None), key=lambda row: row.video_id)
    if known:
        _record(plan.out, schema.ACTIONS, {row.video_id: [list(span) for span in row.actions or ()] for row in known})
        print(f"{schema.ACTIONS}: labelled stretches of {len(known)} of {len(rows)} videos")


def _record(out: str, name: str, found: dict[str, Any]) -> None:
    """Writes a JSON file beside the shards, unless the same is there."""
    with contextlib.suppress(ValueError, RecursionError):
        if json.loads(storage.read(storage.join(out, name)) or b"null") == found:
            return
    with storage.staged(out) as folder:
        atomic.write_json(folder / name, found)


def _place(out: str, disk: Callable[[str], int], how: dict[str, Any], row: Row) -> str | dict[str, Any]:
    path = row.path
    if not storage.is_remote(path):
        path, here = os.path.abspath(path), os.path.abspath(out)
        # Below a link, ".." is another folder for some readers than for others.
        if not storage.is_remote(out) and os.path.realpath(here) == here and disk(os.path.dirname(path)) == disk(here):
            path = os.path.relpath(path, here)
    whole = row.start is None and row.end is None and not how
    return path if whole else {"path": path, "start": row.start, "end": row.end, **how}


def _disk(folder: str) -> int:
    """Number of the device that a folder is on, or would be if it were there."""
    return next(place.stat().st_dev for place in (Path(folder), *Path(folder).parents) if place.exists())


def recorded(out: str) -> schema.Index | None:
    """The index of a directory that is finished."""
    with (
        contextlib.suppress(schema.ShardError, FileNotFoundError),
        storage.local_copy(storage.join(out, schema.INDEX)) as path,
    ):
        return schema.load_index(path.rpartition("/")[0])
    return None


def report(index: schema.Index) -> None:
    """Prints what became of the videos of each split, names the first of those that were set aside, and the notes."""
    statuses = sorted({x["status"] for x in index.failed})
    columns = ["done", *statuses]
    stored = "clips" if index.kind == "clips" else "records"
    print(f"{'split':<12}{'listed':>10}" + "".join(f"{c:>13}" for c in columns) + f"{stored:>12}{'MB':>10}")
    for split, counts in index.table.items():
        size = sum(shard.bytes for shard in index.splits[split]) / 1e6
        cells = "".join(f"{counts.get(c, 0):>13}" for c in columns)
        print(f"{split:<12}{sum(counts.values()):>10}{cells}{index.records(split):>12}{size:>10.1f}")
    for split in index.splits:
        rest = [x for x in index.failed if x["split"] == split]
        for x in rest[:LISTED]:
            print(f"set aside ({split}, {x['status']}): {_line(x)}")
        if len(rest) > LISTED:
            print(f"... and {len(rest) - LISTED} more of {split}; all are in {schema.INDEX}")
        if not index.videos(split):
            print(f"split {split} is empty: none of its videos can be used")
    say(index.notes)
    say(_counted(index.noted))
    if index.failed:
        print("--retry_failed tries the videos that were set aside again")


def _counted(noted: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each note that videos have, the most frequent first, with their number."""
    counts = collections.Counter(note for video in noted for note in video["notes"])
    lines = [f"{note}: {count} video{'s' * (count != 1)}" for note, count in counts.most_common()]
    yield from lines[:LISTED]
    if len(lines) > LISTED:
        yield f"... and {len(lines) - LISTED} other notes of videos; all are in {schema.INDEX}"


def say(notes: Iterable[str]) -> None:
    """Prints what stands in the index, shortened where it names many classes."""
    for note in notes:
        print(textwrap.shorten(note, WIDTH, placeholder=f" ... (all of them are in {schema.INDEX})"))


def _line(failed: dict[str, str]) -> str:
    name = failed["path"] if failed["path"].isprintable() else ascii(failed["path"])
    return f"{name}: {failed['reason']}"
