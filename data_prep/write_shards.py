"""List of videos -> a directory of clip shards, in parallel, resumable.

    python -m data_prep.write_shards --dataset=folder --videos=DIR --out=DIR
    python -m data_prep.write_shards --dataset=ucf101 --help

A second call does only what is missing: a shard that is whole and made of the same videos is kept. Videos that
cannot be read are set aside with the reason, in `index.json` and in the table at the end. `index.json` is written
last: a directory without it is not finished.
"""

import argparse
import collections
import contextlib
import dataclasses
import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from data_prep import plan, pool, tfds_metadata
from data_prep.plan import SHARDS
from data_prep.rows import PrepareError, Row
from data_prep.shards import Account, Job, read_account, tensorflow, write_shard
from l2l.data import schema

DATASETS = ("folder", "unlabelled", "kinetics", "kinetics_sounds", "ucf101", "activitynet", "mini_sports1m")
LISTED = 20  # failed videos of a split that are printed one by one
FLAGS = {
    "frames": "images per clip, 1..64",
    "stride": "distance between them, in frames at --fps",
    "fps": "frame rate that stride and hop count in (default: each video's own)",
    "hop": "seconds between the starts of neighbouring clips (default: clips abut)",
    "short_side": "short side of the stored images, pixels",
    "width": "if given, images are --short_side high and this wide, whatever the video's aspect ratio",
    "quality": "JPEG quality, 1..100",
    "clips": "0 stores every clip, k > 0 stores k of them spread evenly over the video",
}


def write_dataset(
    rows: Sequence[Row],
    labels: Sequence[str],
    out: str | os.PathLike,
    policy: schema.ClipPolicy,
    *,
    shards: int | None = None,
    workers: int = 1,
    made_by: str = "",
) -> schema.Index:
    """Writes every row's clips into shards under `out`; the bytes do not depend on the number of workers.

    Args:
      rows: the videos of all splits.
      labels: class names; a label id is a position in this list.
      out: directory of the shards; what is whole there is kept.
      policy: how clips are cut.
      shards: number of shards of each split, at most its number of videos; None for up to 8.
      workers: processes; 1 works in this one.
      made_by: what to write into the index as the command that made the directory.

    Returns:
      The index, which is also in `out/index.json`.

    Raises:
      PrepareError: a mistake in the arguments, another dataset in `out`, all videos of a split unreadable, or an
        output that cannot be written.
    """
    plan.check_rows(rows, labels, shards, workers)
    out = Path(out)
    with plan.locked(out):
        jobs = plan.deal(rows, labels, out, policy, shards)
        plan.agree(out, plan.facts_of(rows, labels, policy, jobs))
        accounts = _write_missing([job for split in jobs.values() for job in split], workers)
        splits = {name: tuple(accounts[job.file].shard for job in split) for name, split in jobs.items()}
        failed = tuple(x for split in jobs.values() for job in split for x in accounts[job.file].failed)
        report_failures(failed, splits)
        _check_splits(splits, failed)
        multi = any(len(row.labels) > 1 for row in rows)
        index = schema.Index(
            "clips", tuple(labels), splits, dataclasses.asdict(policy), made_by, failed, multi_label=multi
        )
        _finish(out, index)
    return index


def report_failures(failed: Sequence[dict[str, str]], splits: dict[str, Sequence[schema.Shard]]) -> None:
    """Prints how many videos of each split were set aside, by status, and names the first of them."""
    if not failed:
        return
    statuses = sorted({x["status"] for x in failed})
    print(f"{'split':<12}{'stored':>10}" + "".join(f"{s:>13}" for s in statuses))
    for split, shards in splits.items():
        counts = collections.Counter(x["status"] for x in failed if x["split"] == split)
        print(f"{split:<12}{sum(s.videos for s in shards):>10}" + "".join(f"{counts[s]:>13}" for s in statuses))
    for split in splits:
        rest = [x for x in failed if x["split"] == split]
        for x in rest[:LISTED]:
            name = x["path"] if x["path"].isprintable() else ascii(x["path"])
            print(f"set aside ({split}, {x['status']}): {name}: {x['reason']}")
        if len(rest) > LISTED:
            print(f"... and {len(rest) - LISTED} more of {split}; all are in {schema.INDEX}")


def _write_missing(jobs: Sequence[Job], workers: int) -> dict[str, Account]:
    """Writes the shards that are not there yet, and returns all accounts by file."""
    accounts = {job.file: read_account(job) for job in jobs}
    missing = [job for job in jobs if accounts[job.file] is None]
    if missing:
        (jobs[0].out / schema.INDEX).unlink(missing_ok=True)
        videos, todo = sum(len(job.rows) for job in jobs), sum(len(job.rows) for job in missing)
        if todo < videos:
            print(f"{len(jobs) - len(missing)} of {len(jobs)} shards are there already")
        with tqdm(total=todo, unit=" videos", mininterval=0.2 if sys.stderr.isatty() else 10) as bar:
            written = pool.run(write_shard, missing, min(workers, len(missing)), bar)
        accounts |= {account.shard.file: account for account in written}
    return accounts


def _finish(out: Path, index: schema.Index) -> None:
    """Writes the metadata and, last, the index, unless the same ones are there."""
    with contextlib.suppress(schema.ShardError):
        if schema.load_index(out) == index:
            return
    try:
        tfds_metadata.write(out, index.kind, index.splits)
        schema.save_index(out, index)
    except (OSError, tensorflow().errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PrepareError(f"cannot write to {out}: {reason}; mend it and run again") from error


def _check_splits(splits: dict[str, Sequence[schema.Shard]], failed: Sequence[dict[str, str]]) -> None:
    for split, shards in splits.items():
        if not sum(shard.videos for shard in shards):
            first = next(x for x in failed if x["split"] == split)
            raise PrepareError(
                f"none of the {sum(x['split'] == split for x in failed)} videos of split {split} can be used; the "
                f"first: {first['path']!a}: {first['reason']}"
            )


def _reader(dataset: str) -> ModuleType:
    return importlib.import_module(f"data_prep.datasets.{dataset}")


def _which(*, alone: bool) -> argparse.ArgumentParser:
    """A parser with the one flag on which the others depend; `alone` it leaves the questions for help to the other."""
    result = argparse.ArgumentParser(
        prog="python -m data_prep.write_shards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=not alone,
    )
    note = "how the videos are listed; with --help, shows its flags (default: folder)"
    result.add_argument("--dataset", choices=DATASETS, default="folder", help=note)
    return result


def parser(dataset: str = "folder") -> argparse.ArgumentParser:
    """All flags, among them those of the reader of `dataset`."""
    result, reader = _which(alone=False), _reader(dataset)
    reader.add_arguments(result.add_argument_group(f"--dataset={dataset}", reader.__doc__))
    add = result.add_argument
    add("--out", required=True, help="directory for the shards")
    add("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    add("--shards", type=int, help=f"shards of each split (default: {SHARDS}, or fewer for fewer videos)")
    for field in dataclasses.fields(schema.ClipPolicy):
        if field.name != "audio":
            kind = float if field.name in ("fps", "hop") else int
            note = "" if field.default is None else f" (default: {field.default})"
            add(f"--{field.name}", type=kind, default=field.default, help=FLAGS[field.name] + note)
    add("--audio", action=argparse.BooleanOptionalAction, default=True, help="store the sound (default: yes)")
    return result


def _policy(args: argparse.Namespace) -> schema.ClipPolicy:
    try:
        return schema.ClipPolicy(**{f.name: getattr(args, f.name) for f in dataclasses.fields(schema.ClipPolicy)})
    except ValueError as error:
        raise PrepareError(str(error)) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    dataset = _which(alone=True).parse_known_args(argv)[0].dataset
    args = parser(dataset).parse_args(argv)
    try:
        policy, read = _policy(args), _reader(dataset).read
        rows, labels = read(**{name: getattr(args, name) for name in inspect.signature(read).parameters})
        index = write_dataset(rows, labels, args.out, policy, shards=args.shards, workers=args.workers)
    except (PrepareError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted: {args.out} is not finished; run the same command again to continue", file=sys.stderr)
        return 130
    for split in index.splits:
        print(f"{split}: {index.videos(split)} videos, {index.records(split)} clips")
    print(f"{args.out} is finished: {len(index.labels)} classes, {len(index.failed)} videos set aside")
    return 0


if __name__ == "__main__":
    sys.exit(main())
