"""List of videos -> a directory of clip shards, in parallel, resumable.

    python -m data_prep.write_shards --dataset=folder --videos=DIR --out=DIR
    python -m data_prep.write_shards --dataset=ucf101 --help

A second call does only what is missing: a shard that is whole is kept. Videos that cannot be read are set aside with
the reason, in `index.json` and in the table at the end. `index.json` is written last: a directory without it is not
finished. On many machines: each calls this with a `--shard_range` of its own, then one calls it with `--finalize`.
"""

import argparse
import dataclasses
import importlib
import inspect
import os
import re
from collections.abc import Sequence
from types import ModuleType

from l2l.core import command
from l2l.media.decoding.decoder import TIME_LIMIT
from l2l.media.policy import ClipPolicy, Reading

from .datasets.rows import DECIDED, PrepareError
from .shards import estimate, finish, plan, prepare
from .shards.plan import MOST_SHARDS, SHARDS, VIDEOS, Plan
from .shards.shard import MOST_BYTES, Job

DATASETS = ("folder", "unlabelled", "kinetics", "kinetics_sounds", "ucf101", "activitynet", "mini_sports1m")
FLAGS = {
    "frames": "images per clip, 1..64",
    "stride": "distance between them, in frames at --fps",
    "fps": "frame rate that stride and hop_frames count in (default: each video's own)",
    "hop": "seconds between the starts of neighbouring clips (default: clips abut)",
    "hop_frames": "the same in frames at --fps, instead of seconds",
    "short_side": "short side of the stored images, pixels",
    "width": "if given, images are --short_side high and this wide, whatever the video's aspect ratio",
    "quality": "JPEG quality, 1..100",
    "clips": "0 stores every clip, k > 0 stores k of them, spread evenly over the video; training draws one per epoch",
}


def _reader(dataset: str) -> ModuleType:
    return importlib.import_module(f".datasets.{dataset}", __package__)


def _which(*, alone: bool) -> argparse.ArgumentParser:
    """A parser with the one flag on which the others depend; `alone` it leaves the questions for help to the other."""
    result = argparse.ArgumentParser(
        prog=command.program("data_prep.write_shards"),
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
    add("--out", required=True, help="directory for the shards, here or gs://bucket/folder")
    add("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    usual = f"one per {VIDEOS} videos, but {SHARDS} to {MOST_SHARDS:,}, and at most one a video"
    add("--shards", type=int, help=f"shards of each split (default: {usual})")
    for field in dataclasses.fields(ClipPolicy):
        if field.name != "audio":
            kind = float if field.name in ("fps", "hop") else int
            note = "" if field.default is None else f" (default: {field.default})"
            add(f"--{field.name}", type=kind, default=field.default, help=FLAGS[field.name] + note)
    add("--audio", action=argparse.BooleanOptionalAction, default=True, help="store the sound (default: yes)")
    limit = "seconds that decoding one video may take before it is set aside"
    add("--time_limit", type=float, default=TIME_LIMIT, help=f"{limit} (default: {TIME_LIMIT:g})")
    note = "number of the sound track that is read of every video, from 1 (default: the one that suits best)"
    add("--audio_track", type=int, metavar="N", help=note)
    note = "no admits files that end before the length that their header says (default: yes)"
    add("--trust_length", choices=("yes", "no"), default="yes", help=note)
    limit = "bytes that one video may take in its shard before it is set aside, such as 2e9"
    add("--most_bytes", type=float, default=MOST_BYTES, metavar="N", help=f"{limit} (default: {MOST_BYTES:g})")
    add("--retry_failed", action="store_true", help="try the videos again that were set aside by an earlier call")
    which = result.add_mutually_exclusive_group()
    which.add_argument("--dry_run", action="store_true", help="print the plan and the estimate, and stop")
    which.add_argument("--shard_range", metavar="A:B", help="write only shards A to B-1, and no index")
    which.add_argument("--finalize", action="store_true", help="write only the index, of shards that are there")
    return result


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    return parser(_which(alone=True).parse_known_args(argv)[0].dataset).parse_args(argv)


def asked_for(args: argparse.Namespace) -> Plan:
    """The plan that the flags ask for.

    Raises:
      PrepareError: a mistake in the flags or in the list of videos.
    """
    try:
        policy = ClipPolicy(**{f.name: getattr(args, f.name) for f in dataclasses.fields(ClipPolicy)})
        reading = Reading(args.audio_track, args.trust_length == "yes")
    except ValueError as error:
        raise PrepareError(str(error)) from error
    for name in ("workers", "time_limit", "most_bytes"):
        if not getattr(args, name) > 0:
            raise PrepareError(f"--{name} must be positive, got {getattr(args, name):g}")
    read = _reader(args.dataset).read
    DECIDED.clear()
    rows, labels = read(**{name: getattr(args, name) for name in inspect.signature(read).parameters})
    how = {"reading": reading, "most_bytes": args.most_bytes}
    return plan.make(rows, labels, args.out, policy, args.shards, DECIDED, **how)


def _range(text: str | None, total: int) -> tuple[int, int]:
    """First and one past the last of the shards that are asked for."""
    found = re.fullmatch(r"(\d*):(\d*)", text or ":")
    first, stop = (int(found[1] or 0), int(found[2] or total)) if found else (0, 0)
    if not 0 <= first < stop <= total:
        raise PrepareError(f"--shard_range={text}: say A:B, with 0 <= A < B <= {total}, which is the number of shards")
    return first, stop


def _foresee(asked: Plan, todo: Sequence[Job], args: argparse.Namespace) -> None:
    """Prints what is there, and what the rest will take."""
    if len(todo) < len(asked.jobs):
        print(f"{len(todo)} of {len(asked.jobs)} shards are to be written")
    if not todo:
        return
    rows, reading = [row for job in todo for row in job.rows], todo[0].reading
    guess = estimate.estimate(rows, asked.policy, args.time_limit, reading)
    if guess is None:
        print("no estimate: none of the videos that were tried can be used")
        return
    print(guess.say(min(args.workers, len(todo))))
    room = estimate.room(asked.out)
    if room is not None and room < guess.bytes:
        print(f"{asked.out} has room for {room / 1e6:,.0f} MB only")


def _show(asked: Plan) -> None:
    number = 0
    for split, jobs in asked.splits.items():
        videos = sum(len(job.rows) for job in jobs)
        print(f"{split}: {videos} videos in {len(jobs)} shards, number {number} to {number + len(jobs) - 1}")
        number += len(jobs)
    finish.say(finish.lacking(asked, [row for job in asked.jobs for row in job.rows if not row.problem]))


def run(asked: Plan, args: argparse.Namespace) -> None:
    """Does what the flags ask for: all, some shards, the index alone, or only a look ahead."""
    first, stop = _range(args.shard_range, len(asked.jobs))
    if args.dry_run:
        plan.is_recorded(asked)
        _show(asked)
        _foresee(asked, prepare.missing(asked.jobs, args.retry_failed), args)
        return
    with plan.claimed(asked, first, stop):
        if not args.finalize:
            todo = prepare.missing(asked.jobs[first:stop], args.retry_failed)
            _foresee(asked, todo, args)
            prepare.write(todo, args.workers, args.time_limit)
        index = None if args.shard_range else finish.finish(asked)
    if index is None:
        print(f"shards {first}:{stop} are written; --finalize makes the index when all {len(asked.jobs)} are")
        return
    finish.report(index)
    print(f"{args.out} is finished: {len(index.labels)} classes, {len(index.failed)} videos set aside")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parse(argv)
    return command.status(lambda: run(asked_for(args), args), interrupted=unfinished(args))


def unfinished(args: argparse.Namespace) -> str:
    """What is said after Ctrl-C."""
    return f"interrupted: {args.out} is not finished; run the same command again to continue"


if __name__ == "__main__":
    command.run(main)
