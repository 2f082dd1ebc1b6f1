"""Hostile directories of shards, records in them, and lists of videos."""

import copy
import gzip
import hashlib
import itertools
import json
import math
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data_prep import verify
from data_prep.datasets import activitynet, folder, kinetics, lists, mini_sports1m, ucf101
from data_prep.datasets.rows import PrepareError, Row
from data_prep.shards import plan
from data_prep.shards import shard as shards
from l2l.core import atomic
from l2l.data import schema
from l2l.data.dataset import open_clips, open_features
from l2l.data.tensorflow import tf
from l2l.media import policy
from tests.helpers.shards import KINDS as FEATURES
from tests.helpers.shards import clip_directory, feature_directory
from tests.hostile import Kind

Case = tuple[str, Callable[[], object]]

DEEP = "@deep@"  # stands for lists within lists, deeper than any reader goes
NUMBERS = (-5, -1, 0, 1, 2**31, 2**40, 10**18, -(10**18))
VALUES = (*NUMBERS, 10**400, None, True, 0.5, math.nan, math.inf, "", "a\0b", "../../x", "\ud800", "x" * 5000, DEEP)
CONTAINERS: tuple[Any, ...] = ([], [-4], {}, {"": {}}, [[]] * 3)


def crc(data: bytes) -> int:
    """The masked CRC-32C that TFRecord files have."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def length_field(length: int) -> bytes:
    """The first 12 bytes of a record."""
    data = (length % 2**64).to_bytes(8, "little")
    return data + crc(data).to_bytes(4, "little")


def made(below: Path) -> list[Path]:
    """A directory of clips and one of features, a few records each."""
    clips = clip_directory(below / "clips", videos={"train": 4}, clips=2, shards=2)
    return [clips, feature_directory(below / "features", videos={"train": 8})]


def said(directory: Path) -> None:
    """What verify says, which never raises: every line is short, and names the directory."""
    for line in verify.problems(directory):
        assert "\n" not in line, line
        assert len(line) < 1000, line
        assert str(directory) in line, line


def opened(directory: Path) -> None:
    """Verifies a directory, evaluates every record and trains on a batch. Raises as the commands do."""
    said(directory)
    kind = schema.load_index(directory).kind
    look = {"frames": 2, "crop": 14, "resize": 16, "scale": 1.0, "flip": False}
    source = open_features(str(directory), lengths=(8,)) if kind == "features" else open_clips(str(directory), **look)
    for _ in source.eval("train", batch=2):
        pass
    rows = source.train("train", draw="video", batch=4, streams=1, seed=0, first_step=0, shuffle=2)
    for _ in itertools.islice(rows, 4):
        pass


def refitted(directory: Path, file: Path, records: int | None = None) -> None:
    """The index of a directory made to fit the bytes of a file of it, as somebody does who wants to be believed."""
    index, data = schema.load_index(directory), file.read_bytes()
    fresh = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    fresh |= {} if records is None else {"records": records}
    change = lambda x: schema.Shard(**{**x.__dict__, **fresh}) if x.file == file.name else x
    splits = {split: tuple(map(change, own)) for split, own in index.splits.items()}
    schema.save_index(directory, schema.Index(**{**index.__dict__, "splits": splits}))


def restored(good: Path, to: Path) -> Path:
    """A fresh copy of a directory, whatever stands in its place."""
    shutil.rmtree(to, ignore_errors=True)
    return shutil.copytree(good, to)


def text(value: Any) -> str:
    return json.dumps(value).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, own in inside:
        yield from places(own, (*at, key))


def mutated(value: Any, dice: random.Random) -> tuple[str, Any]:
    """A JSON value with something else in one place, and what was changed."""
    value, at = copy.deepcopy(value), dice.choice([*places(value)])
    other = dice.choice([*VALUES, *CONTAINERS])
    if not at:
        return f"{other!r:.40} instead of all", other
    inside = value
    for key in at[:-1]:
        inside = inside[key]
    if dice.random() < 0.15:
        del inside[at[-1]]
        return f"no {'/'.join(map(str, at))}", value
    inside[at[-1]] = other
    return f"{'/'.join(map(str, at))} is {other!r:.40}", value


def damaged(data: bytes, dice: random.Random) -> tuple[str, bytes]:
    """Bytes that were cut, changed or doubled somewhere."""
    at, how = dice.randrange(len(data) + 1), dice.choice(("cut", "changed", "longer", "zeros"))
    some = bytes(dice.randrange(256) for _ in range(dice.choice((1, 4, 12))))
    changes = {"cut": data[:at], "changed": data[:at] + some + data[at + len(some) :]}
    changes |= {"longer": data[:at] + some + data[at:], "zeros": data[:at] + bytes(len(data) - at)}
    return f"{how} at {at}", changes[how]


def replaced(path: Path, how: str) -> str:
    """Something else in the place of a file."""
    path.unlink()
    if how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "link":
        path.symlink_to(path.with_name("nowhere"))
    elif how == "device":
        path.symlink_to("/dev/zero")
    elif how == "empty":
        path.touch()
    return f"{path.name}: {how}"


PLACES = ("pipe", "folder", "link", "device", "empty", "gone")


def directories(below: Path, dice: random.Random) -> Iterator[Case]:
    goods = made(below / "good")
    while True:
        directory = restored(dice.choice(goods), below / "case")
        index, names = directory / schema.INDEX, sorted(x.name for x in directory.glob("*.tfrecord-*"))
        value, shard = json.loads(index.read_text()), directory / dice.choice(names)
        how = dice.choice(("field", "field", "believed", "believed", "index", "shard", "place", "swapped", "extra"))
        if how in ("field", "believed"):
            label, value = mutated(value, dice)
            index.write_text(text(hashed(value) if how == "believed" else value))
        elif how in ("index", "shard"):
            path = index if how == "index" else shard
            label, data = damaged(path.read_bytes(), dice)
            path.write_bytes(data)
        elif how == "place":
            label = replaced(dice.choice((index, shard)), dice.choice(PLACES))
        else:
            other = directory / (dice.choice(names) if how == "swapped" else "clips-train.tfrecord-00009-of-00010")
            shutil.copyfile(shard, label := other) if other != shard else shard.unlink()
            label = f"{other.name} is {shard.name}"
        yield f"{how}: {label}", lambda directory=directory: opened(directory)


def hashed(value: Any) -> Any:
    """An index with hashes that fit its content."""
    try:
        splits = {s: [(x["file"], x["records"], x["sha256"]) for x in own] for s, own in value["splits"].items()}
        own = {"label_hash": atomic.hash_of(value["labels"])}
        parts = [value["kind"], value["version"], value["labels"], splits, value["policy"]]
        return value | own | {"hash": atomic.hash_of(parts)}
    except (KeyError, TypeError, AttributeError, ValueError):
        return value


def lengths(below: Path, dice: random.Random) -> Iterator[Case]:
    """Shards whose records say other lengths than they have, in directories whose index fits their bytes."""
    goods = made(below / "good")
    while True:
        directory = restored(dice.choice(goods), below / "case")
        shard = dice.choice(sorted(directory.glob("*.tfrecord-*")))
        data, starts = shard.read_bytes(), [0]
        while (at := starts[-1] + 16 + int.from_bytes(data[starts[-1] : starts[-1] + 8], "little")) < len(data):
            starts.append(at)
        at = dice.choice(starts)
        true = int.from_bytes(data[at : at + 8], "little")
        how = dice.choice(("length", "length", "cut", "tail", "damage"))
        if how == "length":
            length = dice.choice(
                (*NUMBERS, 2**40 - 1, 2**63 - 1, 2**63, true + 1, true - 1, len(data), len(data) - at - 16)
            )
            label = f"record at {at} says {length}"
            head = length_field(length) if dice.random() < 0.8 else length_field(length)[:8] + data[at + 8 : at + 12]
            data = data[:at] + head + data[at + 12 :]
        elif how == "cut":
            data = data[: at + dice.randrange(true + 16)]
            label = f"cut to {len(data)}"
        elif how == "tail":
            data += length_field(dice.choice((1, 10**18, 2**40)))[: dice.randrange(13)]
            label = "more at the end"
        else:
            label, data = damaged(data, dice)
        shard.write_bytes(data)
        count = None if len(data) >= 64 else 0
        refitted(directory, shard, count)
        yield label, lambda directory=directory: opened(directory)


def jpeg(width: int, height: int, good: bytes) -> bytes:
    """A head of a JPEG that says another size."""
    at = good.index(b"\xff\xc0") + 5
    return good[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + good[at + 4 :]


def wrong_field(name: str, old: list[Any], kind: str, dice: random.Random) -> tuple[str, list[Any]]:
    """Other values of a field, perhaps of another type."""
    if kind == schema.BYTES:
        some = dice.choice(
            (b"", b"\0", b"\xff\xfe", b"x" * 100_000, old[0][:-1], old[0] * 2, b"\x7e\x7c" * (len(old[0]) // 2))
        )
        if name == "frames":
            sizes = ((13_000, 13_000), (65_500, 65_500), (17, 23), (0, 0), (1, 1), (65_500, 16))
            some = dice.choice((some, jpeg(*dice.choice(sizes), old[0]), old[0][: len(old[0]) // 2]))
        values = dice.choice(([some, *old[1:]], [*old[:-1], some], [], [*old, some], old * 40))
    else:
        odd = [x for x in NUMBERS if abs(x) < 2**63] if kind == schema.INT else [math.nan, math.inf, -1.0, 1e30, 0.0]
        values = dice.choice(([dice.choice(odd), *old[1:]], [], [*old, dice.choice(odd)], old * 1000))
    return f"{name}: {len(values)} values, {values[:1]!r:.60}", values


def records(below: Path, dice: random.Random) -> Iterator[Case]:
    """One field of a record made wrong, in directories whose index fits the bytes."""
    goods = made(below / "good")
    while True:
        good = dice.choice(goods)
        directory = restored(good, below / "case")
        table = schema.RECORDS["clips" if good.name == "clips" else "features"]
        shard = dice.choice(sorted(directory.glob("*.tfrecord-*")))
        raws = [*tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()]
        number, name = dice.randrange(len(raws)), dice.choice([*table])
        example = tf.train.Example.FromString(raws[number])
        features, kind = example.features.feature, table[name].kind
        old = list(getattr(features[name], features[name].WhichOneof("kind")).value)
        how = dice.choice(("value", "value", "value", "gone", "type", "unknown", "bytes"))
        label = f"{name}: {how}"
        if how == "value":
            label, values = wrong_field(name, old, kind, dice)
            features[name].CopyFrom(FEATURES[kind](values))
        elif how == "gone":
            del features[name]
        elif how == "type":
            other = dice.choice([x for x in FEATURES if x != kind])
            features[name].CopyFrom(FEATURES[other]([b"1"] if other == schema.BYTES else [1]))
        elif how == "unknown":
            features["x" * dice.choice((1, 5000))].CopyFrom(FEATURES[schema.INT]([1]))
        raws[number] = example.SerializeToString()
        if how == "bytes":
            label, raws[number] = damaged(raws[number], dice)
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for raw in raws:
                writer.write(raw)
        refitted(directory, shard)
        yield f"{good.name}, record {number}, {label}", lambda directory=directory: opened(directory)


CSV = b"path,label,split,start,end\na.mp4,x,train,0,1\nb.mp4,y|x,val,,\n"
KINETICS = b"label,youtube_id,time_start,time_end,split\nx,a,0,10,train\ny,b,5,15,val\n"
ENTRY = {"subset": "training", "annotations": [{"segment": [0.5, 2], "label": "x"}]}
ACTIVITYNET = {"version": "1.3", "database": {"a": ENTRY, "b": ENTRY | {"subset": "validation"}}}
SPORTS = b"https://www.youtube.com/watch?v=a 0\nhttps://www.youtube.com/watch?v=b 1,0\n"

BOMB = b"".join([gzip.compress(b"x\n" * 500_000, mtime=0)] * 80)


def list_files(below: Path, dice: random.Random) -> Iterator[Case]:
    """Lists of videos, and what a preparation keeps about its shards."""
    videos = below / "videos"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4", "v_c_g01_c01.avi"):
        (videos / name).write_bytes(b"no video")
    (below / "labels.txt").write_text("x\ny\n")
    (below / "classInd.txt").write_text("1 x\n2 y\n")
    (below / "testlist01.txt").write_text("x/v_d_g01_c01.avi\n")
    planned = lambda read: plan.make(*read, below / "out", policy.ClipPolicy(), None)
    how = {
        "list.csv": (CSV, lambda path: planned(folder.read(path))),
        "kinetics.csv": (KINETICS, lambda path: planned(kinetics.read(videos, [path]))),
        "activitynet.json": (ACTIVITYNET, lambda path: planned(activitynet.read(videos, path, unit="segment"))),
        "durations.json": ([{"id": "a", "duration": 200}], lambda path: mini_sports1m._listed([path])),
        "train_partition.txt": (SPORTS, lambda path: [mini_sports1m._video(*x, 2) for x in lists.lines(path)]),
        "trainlist01.txt": (b"x/v_c_g01_c01.avi 1\n", lambda path: planned(ucf101.read(videos, below))),
        "classes.txt.gz": (gzip.compress(b"x\ny\n", mtime=0), lambda path: [*lists.lines(path)]),
        **_kept(below),
    }
    for name, (good, _) in how.items():
        (below / name).parent.mkdir(parents=True, exist_ok=True)
        (below / name).write_bytes(good if isinstance(good, bytes) else json.dumps(good).encode())
    while True:
        name = dice.choice([*how])
        good, read = how[name]
        path, data = below / name, good if isinstance(good, bytes) else json.dumps(good).encode()
        label = odd = dice.choice(("damaged", "damaged", "place", "field", "field", "encoding", "bomb", "long", "NUL"))
        path.write_bytes(data)
        if odd == "place":
            label = replaced(path, dice.choice(PLACES))
        elif odd == "field" and not isinstance(good, bytes):
            label, value = mutated(good, dice)
            path.write_text(text(value))
        elif odd == "field" and not name.endswith(".gz"):
            words = dice.choice((b"1e400", b"nan", b"-1", b"9" * 5000, b"../../x", b"\xed\xa0\x80", b'"', b"\x1b[2J"))
            at = dice.choice([i for i, x in enumerate(data) if x in b",\n "])
            path.write_bytes(data[: at + 1] + words + data[at + 1 :])
        elif odd == "encoding":
            path.write_bytes(dice.choice((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xff")) + data)
        elif odd == "bomb":
            path.write_bytes(BOMB if name.endswith(".gz") else BOMB[:1000])
        elif odd == "long":
            line = b"x" * 3_000_000
            path.write_bytes(gzip.compress(line, mtime=0) if name.endswith(".gz") else data + line)
        elif odd == "NUL":
            at = dice.randrange(len(data))
            path.write_bytes(data[:at] + b"\0" + data[at:])
        else:
            label, data = damaged(data, dice)
            path.write_bytes(data)
        yield f"{name}: {label}", lambda path=path, read=read: _then_mended(path, read)


def _then_mended(path: Path, read: Callable[[Path], object]) -> None:
    """Reads a file; a folder in its place makes room for the next case."""
    try:
        read(path)
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)


def _kept(below: Path) -> dict[str, tuple[Any, Callable[[Path], object]]]:
    """What a preparation of one shard keeps about it, and what reads that."""
    out, kept = below / "out", ".accounts"
    (out / kept).mkdir(parents=True)
    asked = plan.make([Row("a.mp4", ("x",), "train", video_id="a")], ["x"], out, policy.ClipPolicy(), 1)
    job = asked.jobs[0]
    (out / job.file).write_bytes(bytes(100))
    shard = {"file": job.file, "records": 1, "videos": 1, "bytes": 100, "sha256": "0" * 64}
    account = {"plan": job.plan, "shard": shard, "videos": [[1, 100]], "failed": [], "notes": [[]]}
    return {
        f"out/{kept}/{job.file}.json": (account, lambda path: _used(job)),
        f"out/{kept}/plan.json": (
            {"hash": "", "facts": asked.facts},
            lambda path: plan.is_recorded(asked),
        ),
    }


def _used(job: shards.Job) -> None:
    with shards._kept(job) as kept:
        assert len(kept) == len(job.rows)


READ = (schema.ShardError, ValueError, OSError)
LISTS = (PrepareError, OSError)
KINDS = (
    Kind("shard directories", directories, READ, 400),
    Kind("TFRecord lengths", lengths, READ, 300),
    Kind("records", records, READ, 500),
    Kind("lists", list_files, LISTS, 2000),
)
