"""A whole directory passes; every kind of damage is named in one line."""

import dataclasses
import struct

import numpy as np
import pytest

from data_prep import verify
from data_prep.datasets.rows import Row
from data_prep.shards import records
from data_prep.shards import shard as shards
from data_prep.shards.prepare import write_dataset
from l2l.core import atomic
from l2l.data import features, schema
from l2l.media.policy import ClipPolicy
from tests.helpers.videos import write_video
from tests.hostile.shards import replaced, restored

POLICY = ClipPolicy(frames=4, short_side=32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    rows = [Row(str(write_video(folder / f"{i}.mp4", seconds=0.5)), ("a",), "train", video_id=str(i)) for i in range(3)]
    write_dataset(rows, ["a", "b"], folder / "out", POLICY, shards=2)
    return folder / "out"


@pytest.fixture
def directory(made, tmp_path):
    return restored(made, tmp_path / "out")


def first_shard(directory):
    return next(iter(schema.load_index(directory).splits["train"]))


def said(directory, capsys):
    status = verify.main([str(directory), "--workers=1"])
    return status, capsys.readouterr().out.strip().splitlines()


def rewrite(directory, change, kind="clips"):
    """Changes every record of the first shard by `change`, with an index that fits the new bytes."""
    import tensorflow as tf

    shard = first_shard(directory)
    path = directory / shard.file
    old = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(path)) as writer:
        for raw in old:
            values, _ = records.parse(raw, schema.RECORDS[kind])
            example = tf.train.Example.FromString(shards.encode(change(values), schema.RECORDS[kind]))
            writer.write(example.SerializeToString())
    fresh = dataclasses.replace(shard, bytes=path.stat().st_size, sha256=shards.sha256_of(path))
    index = schema.load_index(directory)
    splits = {"train": (fresh, *index.splits["train"][1:])}
    schema.save_index(directory, dataclasses.replace(index, splits=splits))


def test_whole(directory, capsys):
    status, lines = said(directory, capsys)
    assert status == 0
    hash_ = atomic.hash_of(["a", "b"])
    assert lines == ["train: 3 videos, 6 records", f"{directory} is whole: 2 labels of hash {hash_}"]


def test_no_index(tmp_path, capsys):
    status, lines = said(tmp_path, capsys)
    assert status == 1
    assert "holds no finished shards" in lines[0]


def test_side_by_side(directory, capsys):
    """Processes find what one process finds, and what no shard shows alone."""
    first, second = schema.load_index(directory).splits["train"]
    (directory / second.file).write_bytes((directory / first.file).read_bytes())
    runs = [(verify.main([str(directory), f"--workers={n}"]), capsys.readouterr().out) for n in (1, 2)]
    assert runs[0] == runs[1]
    assert runs[0][0] == 1
    assert f"is in {directory / first.file} too" in runs[0][1]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "bytes, the index says"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200] + b"\0" * 200), "sha256 is not the index's"),
    ],
)
def test_damaged_shard(directory, capsys, damage, says):
    shard = first_shard(directory)
    damage(directory / shard.file)
    status, lines = said(directory, capsys)
    assert status == 1
    assert says in lines[0]
    assert all(shard.file in line for line in lines)


def test_damage_is_found_by_the_records_own_checksum(directory, capsys):
    """Even where the index was made to fit the damaged bytes."""
    path = directory / first_shard(directory).file
    path.write_bytes(path.read_bytes()[:-200] + b"\0" * 200)
    index = schema.load_index(directory)
    fresh = dataclasses.replace(index.splits["train"][0], sha256=shards.sha256_of(path))
    splits = {"train": (fresh, *index.splits["train"][1:])}
    schema.save_index(directory, dataclasses.replace(index, splits=splits))
    status, lines = said(directory, capsys)
    assert status == 1
    assert "cannot be read past record" in lines[0]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("labels", [2], "label id 2 is outside the 2 labels"),
        ("audio", [b"short"], "5 bytes of sound"),
        ("audio_valid", [5, 2], "audio_valid is [5, 2)"),
        ("audio_valid", [5], "'audio_valid' has 1 values, not 2"),
        ("frames", [b"no jpeg"] * 4, "does not decode"),
        ("frames_valid", [9], "4 frames of which 9 are valid"),
        ("video_id", [b"same"], "clip 0 where clip"),
        ("clips", [7], "of 7 clips"),
    ],
)
def test_wrong_values(directory, capsys, field, value, says):
    rewrite(directory, lambda values: values | {field: value})
    status, lines = said(directory, capsys)
    assert status == 1
    assert any(says in line for line in lines), lines
    assert all(first_shard(directory).file in line for line in lines)


def test_features(tmp_path, capsys):
    import tensorflow as tf

    name = schema.shard_name("features", "test", 0, 1)
    bank = np.zeros((3, 4), np.float16).tobytes()
    video = {
        "video_id": [b"x"],
        "labels": [0],
        "times": [0.5, 1.5, 2.5],
        "image": [bank],
        "audio": [bank],
        "has_audio": [1],
    }
    for index, (values, problem) in enumerate([(video, None), (video | {"image": [bank[:5]]}, "5 bytes of image")]):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            writer.write(shards.encode(values, schema.FEATURE_RECORD))
        path = tmp_path / name
        shard = schema.Shard(name, 1, 1, path.stat().st_size, shards.sha256_of(path))
        schema.save_index(tmp_path, schema.Index("features", ("a",), {"test": (shard,)}, {}))
        status, lines = said(tmp_path, capsys)
        assert status == index
        assert problem is None or problem in lines[0]


@pytest.mark.parametrize("size", [(13_000, 13_000), (65_000, 65_000), (64, 32_000), (31, 31), (0, 0)])
def test_images_of_another_size_are_not_decoded(directory, monkeypatch, size):
    """A head of a JPEG that claims any number of pixels in a few bytes."""

    def claiming(values):
        data = values["frames"][0]
        at = data.index(b"\xff\xc0") + 5
        return values | {
            "frames": [data[:at] + struct.pack(">2H", *size[::-1]) + data[at + 4 :], *values["frames"][1:]]
        }

    rewrite(directory, claiming)
    path = directory / first_shard(directory).file
    check = verify.checks_of(str(directory), schema.load_index(directory))[0]
    decoded = []
    monkeypatch.setattr(records, "decode_jpeg", decoded.append)
    found = records.read_again(check, lambda: None)
    assert not decoded  # half a gigabyte for the first of these sizes
    assert len(found.problems) == check.shard.records
    assert all(line.startswith(f"{path}, record ") for line in found.problems)
    assert all("first frame does not decode" in line for line in found.problems)


def test_images_of_a_given_width(tmp_path, capsys):
    row = Row(str(write_video(tmp_path / "a.mp4", seconds=0.5)), ("a",), "train", video_id="a")
    policy = dataclasses.replace(POLICY, short_side=24, width=40)
    write_dataset([row], ["a"], tmp_path / "out", policy, shards=1)
    assert said(tmp_path / "out", capsys)[0] == 0


def index_of(directory, **changes):
    schema.save_index(directory, dataclasses.replace(schema.load_index(directory), **changes))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("start", [float("nan")], "start is nan, not a number of seconds"),
        ("duration", [float("inf")], "duration is inf, not a number of seconds"),
        ("video_id", [b""], "video_id is b'', it must be a text in UTF-8 that is not empty"),
        ("video_id", [b"\xff"], r"video_id is b'\xff', it must be a text"),
        ("video_id", [b"a\0b"], r"video_id is b'a\x00b', it must be a text"),
        ("labels", [10**18], f"label id {10**18} is outside the 2 labels"),
        ("labels", [-1], "label id -1 is outside the 2 labels"),
        ("has_audio", [2], "has_audio is 2, not 0 or 1"),
        ("frames", [], "0 frames of which 4 are valid, the index says 4"),
        ("frames", [b"\xff\xd8\xff" + bytes(20), *[b"no"] * 3], "first frame does not decode"),
        ("frames", [b"\xff\xd8\xff" + bytes(20), *[b"no"] * 3], "frame 1 is no JPEG"),
        ("clips", [10**18], f"of {10**18} clips"),
        ("clip", [-5], "clip -5 where clip 0 of"),
        ("audio", [b"x" * 10**6, b"y"], "'audio' has 2 values, not 1"),
    ],
)
def test_more_wrong_values(directory, field, value, says):
    rewrite(directory, lambda values: values | {field: value})
    shard = first_shard(directory)
    lines = records.read_again(verify.checks_of(str(directory), schema.load_index(directory))[0], lambda: None).problems
    assert any(says in line for line in lines), lines
    assert all(line.startswith(f"{directory / shard.file}") and "\n" not in line for line in lines)


def test_lines_of_a_shard_are_bounded(directory):
    """However many records are wrong, and however long what they say is."""
    import tensorflow as tf

    path = directory / first_shard(directory).file
    odd = tf.train.Example(
        features=tf.train.Features(feature={"x" * 10_000: tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))})
    )
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(300):
            writer.write(odd.SerializeToString())
    check = verify.checks_of(str(directory), schema.load_index(directory))[0]
    lines = records.read_again(check, lambda: None).problems
    assert len(lines) == records.LISTED + 1
    assert lines[-1].endswith("problems more")
    assert max(map(len, lines)) < 400 + len(str(path))


def test_a_small_image_that_says_it_is_large_is_not_decoded(directory, monkeypatch):
    """Also where the index says so too."""

    def claiming(values):
        data = values["frames"][0]
        at = data.index(b"\xff\xc0") + 5
        return values | {"frames": [data[:at] + struct.pack(">2H", 13_000, 13_000) + data[at + 4 :]] * 4}

    rewrite(directory, claiming)
    index_of(directory, policy=dataclasses.asdict(dataclasses.replace(POLICY, short_side=13_000)))
    decoded = []
    monkeypatch.setattr(records, "decode_jpeg", decoded.append)
    check = verify.checks_of(str(directory), schema.load_index(directory))[0]
    (line, *_) = records.read_again(check, lambda: None).problems
    assert "it says that it has 13,000 x 13,000 pixels, in " in line
    assert not decoded


@pytest.mark.parametrize("how", ["pipe", "folder", "link", "device", "empty", "gone"])
def test_what_lies_in_place_of_a_file(directory, capsys, how):
    shard = first_shard(directory)
    replaced(directory / shard.file, how)
    status, lines = said(directory, capsys)
    assert status == 1
    assert any(shard.file in line for line in lines)
    replaced(directory / schema.INDEX, how)
    status, lines = said(directory, capsys)
    assert status == 1
    assert len(lines) == 1
    assert str(directory) in lines[0]


def test_a_shard_that_the_index_does_not_name(directory, capsys):
    (directory / "clips-train.tfrecord-00002-of-00003").write_bytes(b"")
    (directory / ".clips-train.tfrecord-00000-of-00002.x.tmp").write_bytes(b"")  # still being written
    status, lines = said(directory, capsys)
    assert (status, lines) == (1, [f"{directory}/clips-train.tfrecord-00002-of-00003: is not in the index"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"0": [[0, 0.25], [0.3, 0.4]], "2": []}', ""),
        ('{"0": [[0, 0.25]], "7": []}', "video '7' is in no shard"),
        ('{"1": [[0.25, 0.25]]}', "video '1' has a stretch that does not end after its start"),
        ('{"1": [[0, NaN]]}', "is damaged, it must be a dictionary of"),
        ('{"1": ', "is damaged, it must be a dictionary of"),
    ],
)
def test_labelled_stretches(directory, capsys, text, says):
    (directory / schema.ACTIONS).write_text(text)
    status, lines = said(directory, capsys)
    assert (status, len(lines)) == (bool(says), 1 if says else 2)
    assert not says or lines[0].startswith(f"{directory}/actions.json: {says}")


@pytest.mark.parametrize("workers", ["0", "-1", "nan", "inf", "1e400", "text", "1000000000000000000"])
def test_a_number_of_processes_that_there_cannot_be(workers, capsys):
    with pytest.raises(SystemExit) as caught:
        verify.main(["nowhere", f"--workers={workers}"])
    assert caught.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"argument --workers: must be a whole number from 1 to 4096, got '{workers}'" in line


def test_features_of_one_width_and_with_regions(tmp_path, capsys):
    """A model that does not hear has sound of no width; features for looking closer have two fields more."""
    bank = np.ones((3, 4), np.float16)
    video = {"video_id": b"x", "labels": [0], "times": [0.5, 1.5, 2.5], "image": bank, "audio": bank[:, :0]}
    video |= {"has_audio": False, "cells": np.ones((3, 8), np.float16), "regions": np.ones((3, 16), np.float16)}
    path = tmp_path / schema.shard_name("features", "test", 0, 1)
    widths = {"widths": {"image": 4, "audio": 0}, "glances": {"cells": 8, "regions": 16}}

    def checked(video, policy):
        features.write_shard(path, [video])
        shard = features.describe_shard(path)
        schema.save_index(tmp_path, schema.Index("features", ("a",), {"test": (shard,)}, policy))
        return said(tmp_path, capsys)

    assert checked(video, widths)[0] == 0
    for name, says in (("image", "16 bytes"), ("cells", "not all finite"), ("times", "not all finite")):
        wrong = {"image": bank[:, :2], "cells": video["cells"] * np.nan, "times": [0.5, np.nan, 2.5]}
        status, lines = checked(video | {name: wrong[name]}, widths)
        assert status == 1
        assert name in lines[0]
        assert says in lines[0] or name == "image"
