"""The plan of a directory of shards: which rows go where, and that an unfinished directory is continued alike."""

import contextlib
import dataclasses
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from l2l.core import atomic
from l2l.data import schema
from l2l.media.policy import USUAL, ClipPolicy, Reading, unusual

from .. import storage
from ..datasets.rows import PrepareError, Row, stable_key
from .locks import ACCOUNTS, locked
from .shard import MOST_BYTES, Job

SHARDS, MOST_SHARDS = 8, 1024  # per split, where it has as many videos and nothing else is asked
VIDEOS = 100  # per shard, between these two numbers
LISTED = 30  # differences between plans that are told


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that is asked of a directory.

    Attributes:
      out: the directory, here or in an object store.
      labels: class names.
      policy: how clips are cut.
      jobs: the shards of all splits in order; their places are the numbers of `--shard_range`.
      facts: what must be the same for the directory to be continued.
      notes: what was decided about the list, for the index.
    """

    out: str
    labels: tuple[str, ...]
    policy: ClipPolicy
    jobs: tuple[Job, ...]
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, list[Job]]:
        return {split: list(jobs) for split, jobs in itertools.groupby(self.jobs, lambda job: job.split)}


def make(
    rows: Sequence[Row],
    labels: Sequence[str],
    out: str | os.PathLike,
    policy: ClipPolicy,
    shards: int | None,
    notes: Sequence[str] = (),
    *,
    reading: Reading = USUAL,
    most_bytes: float = MOST_BYTES,
) -> Plan:
    """Checks the rows and deals those of every split to its shards, in an order that is stable and as if shuffled.

    Raises:
      PrepareError: a mistake in the rows, the labels or the number of shards.
    """
    check_rows(rows, labels)
    if shards is not None and shards < 1:
        raise PrepareError(f"the number of shards must be at least 1, got {shards}")
    dealt = deal(rows, shards)
    facts: dict[str, Any] = {f"policy {key}": value for key, value in dataclasses.asdict(policy).items()}
    facts |= facts_of_list(rows, labels, dealt)
    facts |= {f"reading {key}": value for key, value in unusual(reading).items()}
    ids, key = {name: i for i, name in enumerate(labels)}, atomic.hash_of(facts)
    jobs = [
        Job(
            os.fspath(out), schema.shard_name("clips", split, k, len(mine)), part, ids, policy, key, reading, most_bytes
        )
        for split, mine in dealt.items()
        for k, part in enumerate(mine)
    ]
    return Plan(os.fspath(out), tuple(labels), policy, tuple(jobs), facts, (*notes, *_said(reading)))


def shards_of(videos: int) -> int:
    """How many shards a split of so many videos gets: a matter of the list alone, never of the machine."""
    return min(max(SHARDS, min(-(-videos // VIDEOS), MOST_SHARDS)), videos)


def check_rows(rows: Sequence[Row], labels: Sequence[str]) -> None:
    """Raises PrepareError unless the rows have ids, splits and labels that can be written."""
    if not rows:
        raise PrepareError("there are no videos to prepare")
    if len(set(labels)) != len(labels):
        raise PrepareError("a class name stands twice in the list of labels")
    seen, known = set(), set(labels)
    for row in rows:
        if not re.fullmatch(r"[A-Za-z0-9_]+", row.split):
            raise PrepareError(f"split {row.split!r} of {row.video_id!r}: use letters, digits and underscores")
        if not row.video_id or row.video_id in seen:
            raise PrepareError(f"video id {row.video_id!r} is empty or stands twice in the list")
        if odd := next((x for x in (row.video_id, *row.labels) if not _has_bytes(x, str.encode)), None):
            raise PrepareError(f"{odd!r:.80} of video {row.video_id!r:.80} is no text that can be written as UTF-8")
        if not _has_bytes(row.path, os.fsencode):
            raise PrepareError(f"{row.path!r:.80} of video {row.video_id!r:.80} is no name that a file can have")
        if not row.problem and (unknown := set(row.labels) - known):
            raise PrepareError(f"{row.video_id!r} has label {min(unknown)!r}, which is not in the list of labels")
        seen.add(row.video_id)


def _has_bytes(text: str, encode: Callable[[str], bytes]) -> bool:
    try:
        return b"\0" not in encode(text)
    except UnicodeEncodeError:
        return False


def deal(
    rows: Sequence[Row], shards: int | None, name: Callable[[Row], str] = lambda row: row.video_id
) -> dict[str, list[tuple[Row, ...]]]:
    """The rows of each shard, by split; their order follows from what `name` calls them."""
    dealt = {}
    for split in sorted({row.split for row in rows}):
        mine = sorted((r for r in rows if r.split == split), key=lambda r: stable_key(name(r)))
        total = min(shards or shards_of(len(mine)), len(mine))
        dealt[split] = [tuple(mine[k::total]) for k in range(total)]
    return dealt


def facts_of_list(
    rows: Sequence[Row], labels: Sequence[str], dealt: dict[str, list[tuple[Row, ...]]]
) -> dict[str, Any]:
    """What of the list must be the same for a directory to be continued."""
    facts: dict[str, Any] = {"number of classes": len(labels)}
    for split, mine in dealt.items():
        facts[f"videos of split {split}"] = sum(map(len, mine))
        facts[f"shards of split {split}"] = len(mine)
    facts["hash of the class names"] = atomic.hash_of(list(labels))
    # The id stands for the stretch: a video that is there at last may be one that is cut already.
    listed = sorted([r.video_id, r.split, list(r.labels)] for r in rows)
    facts["hash of the list of videos"] = atomic.hash_of(listed)
    return facts


def _said(reading: Reading) -> Iterator[str]:
    """What the index says of it."""
    if reading.audio_track is not None:
        yield f"of every video the sound track number {reading.audio_track} is read (--audio_track)"
    if not reading.trust_length:
        yield "a file may end before the length that its header says (--trust_length=no)"


def is_recorded(plan: Plan) -> bool:
    """Whether the directory was begun by this plan; False if nothing was begun in it.

    Raises:
      PrepareError: another plan was begun there.
    """
    recorded = storage.read(storage.join(plan.out, ACCOUNTS, "plan.json"))
    if recorded is None:
        if any(".tfrecord-" in name and name[0] != "." for name in storage.names(plan.out)):
            raise PrepareError(f"{plan.out} holds shards that this command did not write; choose another --out")
        return False
    there = _facts_in(recorded)
    keys = [key for key in {**plan.facts, **there} if there.get(key) != plan.facts.get(key)]
    if keys:
        differences = "; ".join(f"{key}: {there.get(key)} there, {plan.facts.get(key)} asked" for key in keys[:LISTED])
        raise PrepareError(
            f"{plan.out} was begun with other settings ({differences}); choose another --out, delete {plan.out}, "
            f"or ask for the same again{_flags(there, plan.facts)}"
        )
    return True


def _facts_in(recorded: bytes) -> dict[str, Any]:
    """What a plan's file says; nothing if it is damaged."""
    try:
        facts = json.loads(recorded)["facts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    told = lambda x: isinstance(x, str | int | float | None) and str(x).isprintable() and len(str(x)) < 200
    counts = lambda key, fact: " of split " not in key or (isinstance(fact, int) and fact >= 0)
    fits = isinstance(facts, dict) and all(
        told(key) and told(fact) and counts(key, fact) for key, fact in facts.items()
    )
    return facts if fits else {}


def _flags(there: dict[str, Any], asked: dict[str, Any]) -> str:
    """The flags that ask for the splits and shards of an earlier plan, where these can be told."""
    numbers = lambda facts, what: {k.split()[-1]: n for k, n in facts.items() if k.startswith(f"{what} of split ")}
    videos, now = numbers(there, "videos"), numbers(asked, "videos")
    flags = ["--test=0"] if "test" in now.keys() - videos and sum(videos.values()) == sum(now.values()) else []
    shards = numbers(there, "shards")
    most = max(shards.values(), default=0)
    at_most = lambda counts: {split: min(most, n) for split, n in counts.items()}
    by_hand = at_most(videos) == shards != {split: shards_of(n) for split, n in videos.items()}
    if by_hand and (flags or at_most(now) != numbers(asked, "shards")):
        flags.append(f"--shards={most}")
    return f" ({' '.join(flags)})" if flags else ""


@contextlib.contextmanager
def claimed(plan: Plan, first: int, stop: int) -> Iterator[None]:
    """Makes the directory, records the plan in it, and keeps other preparers out of its shards `first` to `stop`.

    Removes what a killed preparer of these shards left half-written. An object store has no locks: there, no two
    preparers may be given the same shards.

    Raises:
      PrepareError: the directory cannot be written to, holds another plan, or another process is at these shards.
    """
    accounts = storage.join(plan.out, ACCOUNTS)
    try:
        storage.make_folder(accounts)
        with contextlib.nullcontext() if storage.is_remote(plan.out) else locked(plan.out, first, stop):
            if not is_recorded(plan):
                with storage.staged(accounts) as folder:
                    atomic.write_json(folder / "plan.json", {"hash": atomic.hash_of(plan.facts), "facts": plan.facts})
            _sweep(plan, first, stop)
            try:
                yield
            finally:
                _sweep(plan, first, stop)
    except OSError as error:
        raise PrepareError(f"cannot write to {plan.out}: {error.strerror or error}") from error


def _sweep(plan: Plan, first: int, stop: int) -> None:
    """Removes half-written files of these shards, and of the directory where they are all of its shards."""
    own = [f".{job.file}." for job in plan.jobs[first:stop]]
    if len(own) == len(plan.jobs):
        own.append(".")
    for folder in (plan.out, storage.join(plan.out, ACCOUNTS)):
        for name in [] if storage.is_remote(folder) else os.listdir(folder):
            if name.endswith(".tmp") and name.startswith(tuple(own)):
                storage.remove(storage.join(folder, name))
