"""One shard: a pure function of its rows and the policy, written under a temporary name and renamed when whole."""

import contextlib
import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from l2l.core import atomic
from l2l.core.rules import TEXT, each, maybe, pair, problem, whole
from l2l.data import schema
from l2l.data.index_rules import FAILED, FRAMING, NOTES, SHARD
from l2l.media.decoding.decoder import Decoder
from l2l.media.policy import USUAL, ClipPolicy, Reading
from l2l.media.video import Clip, MediaError

from .. import storage
from ..datasets.rows import PrepareError, Row, shown
from ..storage import tensorflow
from .locks import ACCOUNTS

MOST_BYTES = 8e9  # stored of one video: the defaults make them of 7 hours
CHUNK = 1 << 20
# What the account of a shard holds, see `Account`; LATER: what older ones have not.
_EXTENT = pair(whole(0), whole(0))
ACCOUNT = {"plan": TEXT, "shard": SHARD, "videos": each(maybe(_EXTENT)), "failed": FAILED}
LATER = {"notes": each(NOTES)}


@dataclasses.dataclass(frozen=True)
class Job:
    """What one shard is made of.

    Attributes:
      out: the directory of the shards, here or in an object store.
      file: name of the shard.
      rows: its videos, in order, all of one split.
      label_ids: class name -> place in the label list.
      policy: how clips are cut.
      plan: hash of the plan that it is a part of.
      reading: which parts of every file are read.
      most_bytes: of one video that may be stored.
    """

    out: str
    file: str
    rows: tuple[Row, ...]
    label_ids: dict[str, int]
    policy: ClipPolicy
    plan: str
    reading: Reading = USUAL
    most_bytes: float = MOST_BYTES

    @property
    def split(self) -> str:
        return self.rows[0].split

    @property
    def path(self) -> str:
        return storage.join(self.out, self.file)


@dataclasses.dataclass(frozen=True)
class Account:
    """What became of a shard.

    Attributes:
      plan: hash of the plan it was made by.
      shard: the file.
      videos: records and bytes of every row's clips, in order; None for a row that was set aside.
      failed: what the index says of the rows that were set aside, in order.
      notes: what has to be known of every row, in order, a line each.
    """

    plan: str
    shard: schema.Shard
    videos: tuple[tuple[int, int] | None, ...]
    failed: tuple[dict[str, str], ...]
    notes: tuple[tuple[str, ...], ...]


def write_shard(job: Job, decoder: Decoder, done: Callable[[], None] = lambda: None) -> Account:
    """Writes a shard and its account; calls `done` after every row.

    Where the shard is there, whole and of the same plan, its records are taken over and only the rows that were set
    aside are tried again. The bytes are the same either way.

    Raises:
      PrepareError: the output cannot be written. What is there then is as it was before.
    """
    return write_rows(job, lambda piece, row: _write_video(piece, row, job, decoder), done)


def write_rows(job: Job, write: Callable[[Path, Row], "Extent"], done: Callable[[], None] = lambda: None) -> Account:
    """As `write_shard`, whatever the records are.

    Args:
      job: the shard.
      write: writes the records of a row to a file of their own; raises MediaError for a row that is to be set aside.
      done: called after every row.
    """
    try:
        with storage.os_errors():
            with storage.staged(job.out) as folder, _kept(job) as kept:
                account = _write(job, folder, kept, write, done)
            with storage.staged(storage.join(job.out, ACCOUNTS)) as folder:
                atomic.write_json(folder / f"{job.file}.json", dataclasses.asdict(account))
    except OSError as error:
        raise PrepareError(
            f"cannot write {job.path}: {error.strerror or error}; finished shards are kept: "
            "make room or mend it, then run the same command again"
        ) from error
    return account


def read_account(job: Job) -> Account | None:
    """The account of a shard that is there, has the bytes it should have, and is of the same plan; else None."""
    try:
        value = json.loads(storage.read(storage.join(job.out, ACCOUNTS, f"{job.file}.json")) or b"")
    except (ValueError, RecursionError):
        return None
    if problem(value, ACCOUNT, LATER):
        return None
    videos = tuple(video and tuple(video) for video in value["videos"])
    notes = tuple(map(tuple, value.get("notes", [()] * len(videos))))
    account = Account(value["plan"], schema.Shard(**value["shard"]), videos, tuple(value["failed"]), notes)
    shard, stored = account.shard, [video for video in videos if video]
    fits = (shard.file, shard.videos, len(notes)) == (job.file, len(stored), len(videos))
    fits = fits and (shard.records, shard.bytes) == tuple(map(sum, zip((0, 0), *stored, strict=True)))
    return account if fits and account.plan == job.plan and storage.size(job.path) == shard.bytes else None


def sha256_of(path: str | os.PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clip_record(row: Row, clip: Clip, label_ids: dict[str, int]) -> dict[str, Any]:
    """The values of a clip record, by field."""
    return {
        "video_id": [row.video_id.encode()],
        "clip": [clip.index],
        "clips": [clip.clips],
        "start": [clip.start],
        "duration": [clip.duration],
        "labels": sorted(label_ids[name] for name in row.labels),
        "frames": clip.jpegs,
        "frames_valid": [clip.frames_valid],
        "audio": [clip.audio.astype("<i2").tobytes()],
        "audio_valid": list(clip.audio_valid),
        "has_audio": [int(clip.has_audio)],
    }


def encode(values: dict[str, Any], table: dict[str, schema.Field]) -> bytes:
    """Lists by field -> a serialised `tf.train.Example`, the same bytes for the same values."""
    train = tensorflow().train
    make = {
        schema.BYTES: lambda x: train.Feature(bytes_list=train.BytesList(value=x)),
        schema.INT: lambda x: train.Feature(int64_list=train.Int64List(value=x)),
        schema.FLOAT: lambda x: train.Feature(float_list=train.FloatList(value=x)),
    }
    feature = {name: make[field.kind](values[name]) for name, field in table.items()}
    return train.Example(features=train.Features(feature=feature)).SerializeToString(deterministic=True)


@dataclasses.dataclass(frozen=True)
class Extent:
    """A video's clips as they lie in a file, and what has to be known of the video."""

    path: str | os.PathLike
    first: int
    bytes: int
    records: int
    notes: tuple[str, ...] = ()


def _write(
    job: Job,
    folder: Path,
    kept: list["Extent | None"],
    write: Callable[[Path, Row], "Extent"],
    done: Callable[[], None],
) -> Account:
    temporary, piece = (folder / f".{job.file}.{uuid.uuid4().hex}.{kind}.tmp" for kind in ("shard", "video"))
    digest, failed = hashlib.sha256(), []
    videos: list[tuple[int, int] | None] = []
    notes: list[tuple[str, ...]] = []
    try:
        with open(temporary, "wb") as file:
            for row, there in zip(job.rows, kept, strict=True):
                try:
                    extent = there or write(piece, row)
                except MediaError as error:
                    failed.append(_failure(row, error))
                    videos.append(None)
                    notes.append(())
                else:
                    _append(file, digest, extent)
                    videos.append((extent.records, extent.bytes))
                    notes.append(extent.notes)
                done()
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        os.replace(temporary, folder / job.file)
    finally:
        for path in (temporary, piece):
            path.unlink(missing_ok=True)
    stored = [video for video in videos if video]
    records = sum(records for records, _ in stored)
    shard = schema.Shard(job.file, records, len(stored), size, digest.hexdigest())
    return Account(job.plan, shard, tuple(videos), tuple(failed), tuple(notes))


def _write_video(piece: Path, row: Row, job: Job, decoder: Decoder) -> Extent:
    """Writes one row's clips to a file of their own, so that a video which fails half-way leaves nothing behind."""
    if row.problem:
        raise MediaError(row.problem[0], row.path, row.problem[1])
    count = size = 0
    with _fetched(row) as path, tensorflow().io.TFRecordWriter(str(piece)) as writer:
        cutting = decoder.clips(path, job.policy, row.start, row.end, job.reading)
        for clip in cutting:
            record = encode(clip_record(row, clip, job.label_ids), schema.CLIP_RECORD)
            size += len(record) + FRAMING
            if size > job.most_bytes:
                raise MediaError("too_large", row.path, _too_large(job, count, clip))
            writer.write(record)
            count += 1
    return Extent(piece, 0, piece.stat().st_size, count, tuple(cutting.notes))


def _too_large(job: Job, count: int, clip: Clip) -> str:
    room = f"the {job.most_bytes:,.0f} bytes of --most_bytes"
    return (
        f"the clips of its first {clip.start:,.0f} s, {count:,} of {clip.clips:,}, fill {room}: "
        "allow more, or store fewer with --hop or --clips"
    )


@contextlib.contextmanager
def _fetched(row: Row) -> Iterator[str]:
    """The row's video on this machine; one that cannot be had from its store is missing."""
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(storage.local_copy(row.path))
        except FileNotFoundError as error:
            raise MediaError("missing", row.path, "there is no such file") from error
        except OSError as error:
            raise MediaError("missing", row.path, error.strerror or str(error)) from error
        yield path


@contextlib.contextmanager
def _kept(job: Job) -> Iterator[list[Extent | None]]:
    """For every row, where in the shard as it is now its clips lie; None for those to write."""
    account = read_account(job)
    if account is None or len(account.videos) != len(job.rows):
        yield [None] * len(job.rows)
        return
    with storage.local_copy(job.path) as path:
        whole = sha256_of(path) == account.shard.sha256
        yield list(_extents(path, account)) if whole else [None] * len(job.rows)


def _extents(path: str, account: Account) -> Iterator[Extent | None]:
    first = 0
    for video, notes in zip(account.videos, account.notes, strict=True):
        yield video and Extent(path, first, video[1], video[0], notes)
        first += video[1] if video else 0


def _append(shard: BinaryIO, digest: Any, extent: Extent) -> None:
    with open(extent.path, "rb") as file:
        file.seek(extent.first)
        left = extent.bytes
        while left:
            chunk = file.read(min(CHUNK, left))
            shard.write(chunk)
            digest.update(chunk)
            left -= len(chunk)


def _failure(row: Row, error: MediaError) -> dict[str, str]:
    return {"path": shown(row.path), "split": row.split, "status": error.status, "reason": error.reason}
