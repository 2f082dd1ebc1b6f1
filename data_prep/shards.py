"""One shard: a pure function of its rows and the policy, written under a temporary name and renamed when whole."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.rows import PrepareError, Row
from l2l.data import schema
from l2l.data.media import Clip, MediaError, read_clips

ACCOUNTS = ".accounts"  # folder with one account per finished shard, and the plan
CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Job:
    """What one shard is made of; `label_ids` maps a class name to its place in the label list."""

    out: Path
    file: str
    rows: tuple[Row, ...]
    label_ids: dict[str, int]
    policy: schema.ClipPolicy

    @property
    def account(self) -> Path:
        return self.out / ACCOUNTS / f"{self.file}.json"

    def content(self) -> str:
        """Hash of the rows and of their files' sizes: another one means that the shard is to be written again."""
        rows = [[r.video_id, r.labels, r.start, r.end, _size(r.path)] for r in self.rows]
        return schema.hash_of(rows)


@dataclasses.dataclass(frozen=True)
class Account:
    """What became of a shard: the shard itself, and the rows that were set aside."""

    content: str
    shard: schema.Shard
    failed: tuple[dict[str, str], ...]


def write_shard(job: Job, done: Callable[[], None]) -> Account:
    """Writes a shard and its account; calls `done` after every row.

    Raises:
      PrepareError: the output cannot be written. What is there then is as it was before.
    """
    tf = tensorflow()
    temporary, piece = (job.out / f".{job.file}.{kind}.tmp" for kind in ("shard", "video"))
    content = job.content()
    try:
        with open(temporary, "wb") as shard:
            digest, records, failed = hashlib.sha256(), [], []
            for row in job.rows:
                try:
                    records.append(_write_video(tf, piece, row, job))
                except MediaError as error:
                    failed.append(_failure(row, error))
                else:
                    _append(shard, digest, piece)
                done()
            shard.flush()
            os.fsync(shard.fileno())
            size = shard.tell()
        os.replace(temporary, job.out / job.file)
        done_shard = schema.Shard(job.file, sum(records), len(records), size, digest.hexdigest())
        account = Account(content, done_shard, tuple(failed))
        schema.write_json(job.account, dataclasses.asdict(account))
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PrepareError(
            f"cannot write {job.out / job.file}: {reason}; finished shards are kept: "
            "make room or mend it, then run the same command again"
        ) from error
    finally:
        for path in (temporary, piece):
            path.unlink(missing_ok=True)
    return account


def read_account(job: Job) -> Account | None:
    """The account of a shard that is there, whole and made of the same rows; else None."""
    try:
        value = json.loads(job.account.read_text(encoding="utf-8"))
        account = Account(value["content"], schema.Shard(**value["shard"]), tuple(value["failed"]))
        path = job.out / job.file
        same = account.content == job.content() and path.stat().st_size == account.shard.bytes
        return account if same and sha256_of(path) == account.shard.sha256 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sha256_of(path: Path) -> str:
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


def tensorflow() -> Any:
    """TensorFlow, imported where it is needed first: it takes seconds. Quiet, and without devices."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # or it says on stderr that they are on
    import tensorflow as tf

    return tf


def _write_video(tf: Any, piece: Path, row: Row, job: Job) -> int:
    """Writes one row's clips to a file of their own, so that a video which fails half-way leaves nothing behind."""
    if row.problem:
        raise MediaError(row.problem[0], row.path, row.problem[1])
    count = 0
    with tf.io.TFRecordWriter(str(piece)) as writer:
        for clip in read_clips(row.path, job.policy, row.start, row.end):
            writer.write(encode(clip_record(row, clip, job.label_ids), schema.CLIP_RECORD))
            count += 1
    return count


def _append(shard: Any, digest: Any, piece: Path) -> None:
    with open(piece, "rb") as file:
        while chunk := file.read(CHUNK):
            shard.write(chunk)
            digest.update(chunk)


def _failure(row: Row, error: MediaError) -> dict[str, str]:
    path = os.fsencode(row.path).decode("utf-8", "backslashreplace")
    return {"path": path, "split": row.split, "status": error.status, "reason": error.reason}


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return -1
