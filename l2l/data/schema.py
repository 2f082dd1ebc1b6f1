"""The one definition of what a directory of shards holds.

A directory has TFRecord shards named `<kind>-<split>.tfrecord-00000-of-00008` and, beside them, `index.json`. Three
kinds of record exist: `clips` (frames and sound of one clip), `features` (descriptors of one whole video) and `teacher`
(what a teacher says of one clip, in the order of the clip shards). This file knows neither TensorFlow nor JAX: writers
and readers walk the tables below.
"""

import collections
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l2l.core.atomic import hash_of, read_json, write_json
from l2l.data.index_rules import wrong
from l2l.media.policy import ClipPolicy

VERSION = 1
PIXELS = 400  # of an image for each byte of its JPEG, at most: even of one colour they take more than that
INDEX = "index.json"
VIDEOS = "videos.json"  # where the videos are, see data_prep/shards/finish.py
ACTIONS = "actions.json"  # {video id: [[start, stop], ...]}, seconds: labelled stretches, of the videos that have them


BYTES, INT, FLOAT = "bytes", "int64", "float32"


@dataclasses.dataclass(frozen=True)
class Field:
    """One feature of a `tf.train.Example`: its kind, its fixed length (None: a list of any length), what it means."""

    kind: str
    length: int | None
    meaning: str


CLIP_RECORD = {
    "video_id": Field(BYTES, 1, "stable id of the video, UTF-8"),
    "clip": Field(INT, 1, "index of this clip within its video, from 0"),
    "clips": Field(INT, 1, "number of clips of the video that are stored"),
    "start": Field(FLOAT, 1, "presentation time of the clip's first frame, seconds"),
    "duration": Field(FLOAT, 1, "length of the clip, seconds"),
    "labels": Field(INT, None, "label ids; several for a multi-label video"),
    "frames": Field(BYTES, None, "1..64 JPEG images, RGB, in time order"),
    "frames_valid": Field(INT, 1, "how many of them lie inside the video; the rest repeat the last real one"),
    "audio": Field(BYTES, 1, "1 s of mono 16 kHz little-endian int16 around the clip's centre: 32,000 bytes"),
    "audio_valid": Field(INT, 2, "[first, stop) samples that are real; the rest is silence"),
    "has_audio": Field(INT, 1, "1 if the video has an audio stream, else 0"),
}

FEATURE_RECORD = {
    "video_id": Field(BYTES, 1, "stable id of the video, UTF-8"),
    "labels": Field(INT, None, "label ids"),
    "times": Field(FLOAT, None, "centre of each position, seconds: n values"),
    "image": Field(BYTES, 1, "(n, d) little-endian float16 image descriptors; of a model of whole clips, its feature"),
    "audio": Field(BYTES, 1, "(n, d) little-endian float16 audio descriptors; d is 0 of a model that does not hear"),
    "has_audio": Field(INT, 1, "1 if the video has an audio stream, else 0"),
}

# Of features whose index has "glances" in its policy; a picture has r regions, see l2l/models/regions.py.
GLANCES = {
    "cells": Field(BYTES, 1, "(n, r * c) little-endian float16: what a first glance says of a picture's regions"),
    "regions": Field(BYTES, 1, "(n, r * d) little-endian float16 image descriptors of the regions, seen closer"),
}

TEACHER_RECORD = {
    "video_id": Field(BYTES, 1, "stable id of the video, UTF-8"),
    "clip": Field(INT, 1, "index of this clip within its video, from 0"),
    "clips": Field(INT, 1, "number of clips of the video that are stored"),
    "feature": Field(BYTES, 1, "(d,) little-endian float16, the teacher's feature"),
    "logits": Field(BYTES, 1, "(k,) little-endian float16, the teacher's scores of its labels before the softmax"),
}

RECORDS = {"clips": CLIP_RECORD, "features": FEATURE_RECORD, "teacher": TEACHER_RECORD}


@dataclasses.dataclass(frozen=True)
class Shard:
    """One shard file: its name, how many records and videos it holds, its size in bytes and their sha256."""

    file: str
    records: int
    videos: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Index:
    """What `index.json` says of a directory of shards.

    Attributes:
      kind: "clips", "features" or "teacher".
      labels: class names; a label id is a position in this list. None: the videos have no labels.
      splits: split name -> its shards, in order.
      policy: how the records were made (a ClipPolicy as a dict; for features also the hash of the run that made them;
        for a teacher's answers everything that they depend on).
      made_by: the command that made the directory, or "" where a person chose the arguments.
      failed: one {"path", "split", "status", "reason"} per video that was set aside.
      multi_label: whether any video has more than one label.
      version: of this schema.
      notes: one line for each thing that was decided on the way, or that a split lacks.
      noted: one {"path", "split", "notes"} per video that is stored and of which something has to be known.
    """

    kind: str
    labels: tuple[str, ...]
    splits: dict[str, tuple[Shard, ...]]
    policy: dict[str, Any]
    made_by: str = ""
    failed: tuple[dict[str, str], ...] = ()
    multi_label: bool = False
    version: int = VERSION
    notes: tuple[str, ...] = ()
    noted: tuple[dict[str, Any], ...] = ()

    @property
    def label_hash(self) -> str:
        return hash_of(list(self.labels))

    @property
    def hash(self) -> str:
        """Identifies the directory's content: same records, labels and policy, same hash."""
        splits = {s: [(x.file, x.records, x.sha256) for x in shards] for s, shards in self.splits.items()}
        return hash_of([self.kind, self.version, list(self.labels), splits, self.policy])

    @property
    def table(self) -> dict[str, dict[str, int]]:
        """Split -> status -> how many of its videos: "done" for those that are stored."""
        failed = collections.Counter((x["split"], x["status"]) for x in self.failed)
        return {
            split: {"done": self.videos(split)} | {status: n for (s, status), n in sorted(failed.items()) if s == split}
            for split in self.splits
        }

    def records(self, split: str) -> int:
        return sum(shard.records for shard in self.splits[split])

    def videos(self, split: str) -> int:
        return sum(shard.videos for shard in self.splits[split])


class ShardError(ValueError):
    """A directory of shards that is absent, unfinished or damaged; the message says which file and what to do."""


def record_of(index: Index) -> dict[str, Field]:
    """The fields of the records of a directory."""
    near = GLANCES if index.kind == "features" and index.policy.get("glances") else {}
    return RECORDS[index.kind] | near


def shard_name(kind: str, split: str, number: int, total: int) -> str:
    return f"{kind}-{split}.tfrecord-{number:05d}-of-{total:05d}"


def save_index(directory: str | os.PathLike, index: Index) -> None:
    value = dataclasses.asdict(index) | {"label_hash": index.label_hash, "hash": index.hash, "table": index.table}
    for key in ("notes", "noted"):
        if not value[key]:  # as directories were written before there were any
            del value[key]
    write_json(Path(directory) / INDEX, value)


def load_index(directory: str | os.PathLike, *, kind: str | None = None) -> Index:
    """Reads `index.json`.

    Raises:
      ShardError: no index that can be read, not JSON, another schema version or kind, or hashes that do not fit.
    """
    path = Path(directory) / INDEX
    try:
        if not path.is_file():
            raise ShardError(f"{path} does not exist: the directory holds no finished shards")
        value = read_json(path.read_text(encoding="utf-8"))
        version = value.get("version") if isinstance(value, dict) else None
        if type(version) is int and version != VERSION:
            raise ShardError(f"{path} has schema version {version}, this code reads {VERSION}; prepare it again")
        if problem := wrong(value, tuple(RECORDS)):
            raise ValueError(problem)
        said = {key: value.pop(key) for key in ("label_hash", "hash")}
        value.pop("table", None)
        splits = {s: tuple(Shard(**x) for x in shards) for s, shards in value.pop("splits").items()}
        lists: dict[str, Any] = {key: tuple(value.pop(key)) for key in ("labels", "failed")}
        lists |= {key: tuple(value.pop(key, ())) for key in ("notes", "noted")}
        index = Index(splits=splits, **lists, **value)
        if index.kind == "clips":
            ClipPolicy(**index.policy)
    except ShardError:
        raise
    except OSError as error:
        raise ShardError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{path} is damaged ({error}); prepare the directory again") from error
    if kind is not None and index.kind != kind:
        raise ShardError(f"{path} holds {index.kind}, not {kind}")
    if said != {"label_hash": index.label_hash, "hash": index.hash}:
        raise ShardError(f"{path} was edited: its hashes do not fit its content; prepare the directory again")
    return index


def cure_for(split: str, index: Index) -> str:
    """What to do about a split that a directory does not have."""
    flag = f" (of a folder with --{split}=0.2)" if split in ("val", "test") else ""
    keys = f"--config.data.{split}=NAME, or " if split in ("train", "val", "test") else ""
    there = ", ".join(sorted(index.splits))
    return f"it has {there}: name one of these ({keys}--split=NAME), or prepare it again with such a split{flag}"


def shard_paths(directory: str | os.PathLike, index: Index, split: str) -> Sequence[Path]:
    """The shard files of a split, in order.

    Raises:
      ShardError: the split is unknown, or a file is missing or of another size than the index says.
    """
    if split not in index.splits:
        raise ShardError(f"{directory} has no split {split!r}; {cure_for(split, index)}")
    paths = [Path(directory) / shard.file for shard in index.splits[split]]
    missing = [str(p) for p in paths if not p.is_file()]
    if missing:
        raise ShardError(f"{missing[0]} is missing ({len(missing)} of {len(paths)} shards); prepare it again")
    for path, shard in zip(paths, index.splits[split], strict=True):
        if path.stat().st_size != shard.bytes:
            raise ShardError(
                f"{path} is damaged: {path.stat().st_size:,} bytes, the index says {shard.bytes:,}; "
                "delete it and prepare the directory again"
            )
    return paths
