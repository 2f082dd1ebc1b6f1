"""All shards are there: their accounts become the index, the metadata for TFDS and the table at the end."""

import contextlib
import dataclasses
from collections.abc import Sequence
from concurrent import futures

from data_prep import files, tfds_metadata
from data_prep.plan import Plan
from data_prep.rows import PrepareError
from data_prep.shards import Account, Job, read_account
from l2l.data import schema

LISTED = 20  # failed videos of a split that are printed one by one
READERS = 16  # threads: a store answers slowly, but to many at a time


def read_accounts(jobs: Sequence[Job]) -> list[Account | None]:
    """The account of every job's shard, None for those still to write."""
    with futures.ThreadPoolExecutor(READERS) as executor:
        return list(executor.map(read_account, jobs))


def finish(plan: Plan, made_by: str = "") -> schema.Index:
    """Writes the metadata and, last, the index, unless the same ones are there.

    Raises:
      PrepareError: shards are missing, or no video of the list can be used.
      OSError: the directory cannot be written to.
    """
    accounts = dict(zip((job.file for job in plan.jobs), read_accounts(plan.jobs), strict=True))
    missing = [number for number, account in enumerate(accounts.values()) if account is None]
    if missing:
        listed = ", ".join(map(str, missing[:LISTED])) + (", ..." if len(missing) > LISTED else "")
        raise PrepareError(
            f"{plan.out}: {len(missing)} of {len(plan.jobs)} shards are not written yet: number {listed}; "
            f"write them with --shard_range={missing[0]}:{missing[-1] + 1} or without --finalize"
        )
    splits = {split: tuple(accounts[job.file].shard for job in jobs) for split, jobs in plan.splits.items()}
    failed = tuple(x for account in accounts.values() for x in account.failed)
    if not any(shard.videos for shards in splits.values() for shard in shards):
        raise PrepareError(f"none of the {len(failed)} videos can be used; the first: {_line(failed[0])}")
    multi = any(len(row.labels) > 1 for job in plan.jobs for row in job.rows)
    policy = dataclasses.asdict(plan.policy)
    index = schema.Index("clips", plan.labels, splits, policy, made_by, failed, multi_label=multi)
    if _recorded(plan.out) != index:
        with files.os_errors(), files.staged(plan.out) as folder:
            tfds_metadata.write(folder, index.kind, index.splits)
        with files.staged(plan.out) as folder:
            schema.save_index(folder, index)
    return index


def _recorded(out: str) -> schema.Index | None:
    with (
        contextlib.suppress(schema.ShardError, FileNotFoundError),
        files.local_copy(files.join(out, schema.INDEX)) as path,
    ):
        return schema.load_index(path.rpartition("/")[0])
    return None


def report(index: schema.Index) -> None:
    """Prints what became of the videos of each split, and names the first of those that were set aside."""
    statuses = sorted({x["status"] for x in index.failed})
    columns = ["done", *statuses]
    print(f"{'split':<12}{'listed':>10}" + "".join(f"{c:>13}" for c in columns) + f"{'clips':>12}{'MB':>10}")
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
    if index.failed:
        print("--retry_failed tries the videos that were set aside again")


def _line(failed: dict[str, str]) -> str:
    name = failed["path"] if failed["path"].isprintable() else ascii(failed["path"])
    return f"{name}: {failed['reason']}"
