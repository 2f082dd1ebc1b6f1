"""Descriptors that are there already -> a directory of feature shards, one record a video; resumable, as of clips."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from l2l.core import atomic
from l2l.data import schema
from l2l.data.index_rules import FRAMING
from l2l.media.container import MediaError
from l2l.media.policy import ClipPolicy

from .. import storage
from ..datasets.rows import PrepareError, Row
from ..storage import tensorflow
from . import finish, plan
from .plan import Plan
from .shard import Account, Extent, Job, encode, write_rows


@dataclasses.dataclass(frozen=True)
class Described:
    """The descriptors of a video at its n positions.

    Attributes:
      times: of the positions, seconds (n,), rising.
      image, audio: (n, d) and (n, e), any numbers; of width 0 where the directory has none.
      has_audio: False where the video lacks the sound that others have; what stands in `audio` then means nothing.
      notes: what has to be known of the video, a line each.
    """

    times: np.ndarray
    image: np.ndarray
    audio: np.ndarray
    has_audio: bool
    notes: tuple[str, ...] = ()


Describe = Callable[[Row], Described]  # raises MediaError for a video that is to be set aside


def make(
    rows: Sequence[Row],
    labels: Sequence[str],
    out: str | os.PathLike,
    facts: Mapping[str, Any],
    *,
    shards: int | None = None,
    name: Callable[[Row], str] = lambda row: row.video_id,
    notes: Sequence[str] = (),
) -> Plan:
    """The plan of a directory of feature shards, see `plan.make`.

    Args:
      rows: the videos of all splits.
      labels: class names.
      out: directory of the shards.
      facts: what else must be the same for the directory to be continued.
      shards: of each split, at most; None for what `plan.shards_of` says.
      name: what the order of the videos follows from.
      notes: what was decided about the list, for the index.

    Raises:
      PrepareError: a mistake in the rows or the labels.
    """
    plan.check_rows(rows, labels)
    dealt = plan.deal(rows, shards, name)
    facts = {**facts, **plan.facts_of_list(rows, labels, dealt)}
    ids, key, policy = {label: i for i, label in enumerate(labels)}, atomic.hash_of(facts), ClipPolicy()
    jobs = [
        Job(os.fspath(out), schema.shard_name("features", split, k, len(mine)), part, ids, policy, key)
        for split, mine in dealt.items()
        for k, part in enumerate(mine)
    ]
    return Plan(os.fspath(out), tuple(labels), policy, tuple(jobs), facts, tuple(notes))


def write(asked: Plan, describe: Describe, *, retry_failed: bool = False) -> None:
    """Writes the shards that are not there or, to try them again, have videos that were set aside.

    Raises:
      PrepareError: the output cannot be written.
    """
    pairs = zip(asked.jobs, finish.read_accounts(asked.jobs), strict=True)
    todo = [job for job, account in pairs if account is None or (retry_failed and account.failed)]
    if not todo:
        return
    storage.remove(storage.join(asked.out, schema.INDEX))
    with tqdm(total=sum(len(job.rows) for job in todo), unit=" videos", disable=None) as bar:
        for job in todo:
            write_rows(job, _writer(describe, job.label_ids), bar.update)


def _writer(describe: Describe, label_ids: Mapping[str, int]) -> Callable[[Path, Row], Extent]:
    def write_video(piece: Path, row: Row) -> Extent:
        if row.problem:
            raise MediaError(row.problem[0], row.path, row.problem[1])
        found = describe(row)
        data = encode(record(row, found, label_ids), schema.FEATURE_RECORD)
        with tensorflow().io.TFRecordWriter(str(piece)) as writer:
            writer.write(data)
        return Extent(piece, 0, len(data) + FRAMING, 1, found.notes)

    return write_video


def record(row: Row, found: Described, label_ids: Mapping[str, int]) -> dict[str, list[Any]]:
    """The values of a feature record, by field. Raises MediaError if a descriptor is not finite in float16."""
    return {
        "video_id": [row.video_id.encode()],
        "labels": sorted(label_ids[name] for name in row.labels),
        "times": found.times.tolist(),
        "image": [_half(row, found.image)],
        "audio": [_half(row, found.audio)],
        "has_audio": [int(found.has_audio)],
    }


def _half(row: Row, bank: np.ndarray) -> bytes:
    with np.errstate(over="ignore"):
        half = bank.astype("<f2")
    if not np.isfinite(half).all():
        raise MediaError("undecodable", row.path, "the descriptors have values that are not finite in float16")
    return half.tobytes()


def collect(asked: Plan) -> dict[str, Account]:
    """The accounts of all shards.

    Raises:
      PrepareError: shards are missing, or a split has no video that can be used.
    """
    accounts = finish.accounts_of(asked)
    for split, jobs in asked.splits.items():
        own = [accounts[job.file] for job in jobs]
        if not any(account.shard.videos for account in own):
            first = next(x for account in own for x in account.failed)
            raise PrepareError(f"no video of split {split} can be used; the first: {first['path']}: {first['reason']}")
    return accounts


def save(
    asked: Plan,
    accounts: Mapping[str, Account],
    policy: Mapping[str, Any],
    notes: Iterable[str],
    noted: Iterable[dict[str, Any]] = (),
) -> schema.Index:
    """Writes the metadata and, last, the index, unless the same ones are there; returns the index.

    Args:
      asked: the plan.
      accounts: of all its shards.
      policy: how the records were made.
      notes, noted: see `schema.Index`.
    """
    index = schema.Index(
        kind="features",
        labels=asked.labels,
        splits={split: tuple(accounts[job.file].shard for job in jobs) for split, jobs in asked.splits.items()},
        policy=dict(policy) | {"student": {}},
        failed=tuple(x for account in accounts.values() for x in account.failed),
        multi_label=any(len(row.labels) > 1 for job in asked.jobs for row in job.rows),
        notes=tuple(notes),
        noted=tuple(noted),
    )
    there = finish.recorded(asked.out)
    # l2l.feature_classifier names the run that it made as the one that the features belong to.
    if there and dataclasses.replace(there, policy=there.policy | {"student": {}}) == index:
        return there
    finish.save(asked.out, index)
    return index
