"""The plan of a directory of shards: which rows go where, and that an unfinished directory is continued alike."""

import contextlib
import dataclasses
import fcntl
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.rows import PrepareError, Row, stable_key
from data_prep.shards import ACCOUNTS, Job
from l2l.data import schema

SHARDS = 8  # per split, where it has as many videos and nothing else is asked


def check_rows(rows: Sequence[Row], labels: Sequence[str], shards: int | None, workers: int) -> None:
    if not rows:
        raise PrepareError("there are no videos to prepare")
    if len(set(labels)) != len(labels):
        raise PrepareError("a class name stands twice in the list of labels")
    if workers < 1 or (shards is not None and shards < 1):
        raise PrepareError(f"workers and shards must be at least 1, got {workers} and {shards}")
    seen, known = set(), set(labels)
    for row in rows:
        if not re.fullmatch(r"[A-Za-z0-9_]+", row.split):
            raise PrepareError(f"split {row.split!r} of {row.video_id!r}: use letters, digits and underscores")
        if not row.video_id or row.video_id in seen:
            raise PrepareError(f"video id {row.video_id!r} is empty or stands twice in the list")
        if not row.problem and (unknown := set(row.labels) - known):
            raise PrepareError(f"{row.video_id!r} has label {min(unknown)!r}, which is not in the list of labels")
        seen.add(row.video_id)


def deal(
    rows: Sequence[Row], labels: Sequence[str], out: Path, policy: schema.ClipPolicy, shards: int | None
) -> dict[str, list[Job]]:
    """Deals the rows of every split to its shards, in an order that is stable and as if shuffled."""
    ids = {name: i for i, name in enumerate(labels)}
    jobs = {}
    for split in sorted({row.split for row in rows}):
        mine = sorted((r for r in rows if r.split == split), key=lambda r: stable_key(r.video_id))
        total = min(shards or SHARDS, len(mine))
        names = [schema.shard_name("clips", split, k, total) for k in range(total)]
        jobs[split] = [Job(out, name, tuple(mine[k::total]), ids, policy) for k, name in enumerate(names)]
    return jobs


def facts_of(
    rows: Sequence[Row], labels: Sequence[str], policy: schema.ClipPolicy, jobs: dict[str, list[Job]]
) -> dict[str, Any]:
    """Everything that must be the same for an unfinished directory to be continued."""
    facts: dict[str, Any] = {f"policy {key}": value for key, value in dataclasses.asdict(policy).items()}
    facts["number of classes"] = len(labels)
    for split, mine in jobs.items():
        facts[f"videos of split {split}"] = sum(len(job.rows) for job in mine)
        facts[f"shards of split {split}"] = len(mine)
    facts["hash of the class names"] = schema.hash_of(list(labels))
    # The id stands for the stretch: a video that is there at last may be one that is cut already.
    listed = sorted([r.video_id, r.split, list(r.labels)] for r in rows)
    facts["hash of the list of videos"] = schema.hash_of(listed)
    return facts


def agree(out: Path, facts: dict[str, Any]) -> None:
    """Records the plan in an empty directory; refuses one in which another plan was begun."""
    path = out / ACCOUNTS / "plan.json"
    if not path.is_file():
        if list(out.glob("*.tfrecord-*")):
            raise PrepareError(f"{out} holds shards that this command did not write; choose another --out")
        schema.write_json(path, facts)
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        there = {}
    keys = [key for key in {**there, **facts} if there.get(key) != facts.get(key)]
    if keys:
        differences = "; ".join(f"{key}: {there.get(key)} there, {facts.get(key)} asked" for key in keys)
        raise PrepareError(
            f"{out} was begun with other settings ({differences}); choose another --out, delete {out}, "
            "or ask for the same again"
        )


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Makes the directory and keeps a second preparer out of it; removes what a killed one left half-written."""
    try:
        (out / ACCOUNTS).mkdir(parents=True, exist_ok=True)
        lock = open(out / ACCOUNTS / "lock", "w")  # noqa: SIM115
    except OSError as error:
        raise PrepareError(f"cannot write to {out}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PrepareError(f"another process is writing to {out}; wait for it to end") from error
        _sweep(out)
        try:
            yield
        finally:
            _sweep(out)


def _sweep(out: Path) -> None:
    for left in (*out.glob(".*.tmp"), *(out / ACCOUNTS).glob(".*.tmp")):
        left.unlink()
