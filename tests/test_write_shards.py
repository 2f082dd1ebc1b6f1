"""Shards from real videos: by value, the same bytes again, and what every kind of interruption leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_prep import shards, write_shards
from data_prep.rows import PrepareError, Row
from data_prep.write_shards import write_dataset
from l2l.data import media, schema
from tests.videos import write_video

POLICY = schema.ClipPolicy(frames=4, short_side=32, hop=0.5)
LABELS = ["jump", "run"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Five videos in two splits: one without sound, one for both labels, one stretch."""
    folder = tmp_path_factory.mktemp("videos")
    path = lambda name, **how: str(write_video(folder / name, **how))
    return [
        Row(path("a.mp4", clicks=[0.3]), ("run",), "train", video_id="a"),
        Row(path("b c.mp4", audio=False), ("jump",), "train", video_id="b c"),
        Row(path("d.mp4", seconds=2), ("run", "jump"), "train", 0.5, 1.5, video_id="d@0.5-1.5"),
        Row(path("e.mp4", fps=10, size=(72, 96)), ("jump",), "val", video_id="e"),
        Row(path("f\n'\".mp4", rate=16_000, layout="mono"), ("run",), "val", video_id="f"),
    ]


@pytest.fixture(scope="module")
def whole(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return out, write_dataset(rows, LABELS, out, POLICY, shards=2, made_by="me")


def content(out):
    return {p.name: p.read_bytes() for p in out.glob("clips-*")}


def records(out, index, split):
    import tensorflow as tf

    for path in schema.shard_paths(out, index, split):
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield tf.train.Example.FromString(raw).features.feature


def test_index(whole):
    out, index = whole
    assert index == schema.load_index(out, kind="clips")
    assert (index.labels, index.made_by, index.multi_label) == (tuple(LABELS), "me", True)
    assert (index.videos("train"), index.videos("val")) == (3, 2)
    assert (index.records("train"), index.records("val")) == (6, 4)
    assert [s.file for s in index.splits["val"]] == [
        f"clips-val.tfrecord-{i:05d}-of-00002" for i in range(2)
    ]  # fmt: skip
    assert index.policy == {**index.policy, "frames": 4, "short_side": 32, "hop": 0.5}
    assert not list(out.glob(".*.tmp"))


def test_records_hold_what_the_decoder_gives(rows, whole):
    found = {}
    for split in ("train", "val"):
        for record in records(*whole, split):
            key = record["video_id"].bytes_list.value[0].decode(), record["clip"].int64_list.value[0]
            found[key] = record
    for row in rows:
        clips = list(media.read_clips(row.path, POLICY, row.start, row.end))
        for clip in clips:
            record = found.pop((row.video_id, clip.index))
            assert list(record["frames"].bytes_list.value) == clip.jpegs
            wave = np.frombuffer(record["audio"].bytes_list.value[0], "<i2")
            assert (wave == clip.audio).all()
            assert tuple(record["audio_valid"].int64_list.value) == clip.audio_valid
            assert record["start"].float_list.value[0] == np.float32(clip.start)
            assert record["duration"].float_list.value[0] == np.float32(clip.duration)
            assert [LABELS[i] for i in record["labels"].int64_list.value] == sorted(row.labels)
            numbers = [record[k].int64_list.value[0] for k in ("clips", "frames_valid", "has_audio")]
            assert numbers == [len(clips), clip.frames_valid, int(row.video_id != "b c")]
    assert not found


def test_tfds_reads_it(whole):
    import tensorflow_datasets as tfds

    out, index = whole
    builder = tfds.builder_from_directory(out)
    assert sorted(builder.info.splits) == ["train", "val"]
    for split in index.splits:
        # Without shuffling, in the order of the shards.
        read = list(builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator())
        mine = list(records(out, index, split))
        assert len(read) == len(mine) == builder.info.splits[split].num_examples
        key = lambda video, clip: (video, int(clip))
        by_key = {key(r["video_id"], r["clip"]): r for r in read}
        for record in mine:
            got = by_key[key(record["video_id"].bytes_list.value[0], record["clip"].int64_list.value[0])]
            assert sorted(got) == sorted(schema.CLIP_RECORD)
            for name, field in schema.CLIP_RECORD.items():
                kind = {schema.BYTES: "bytes_list", schema.INT: "int64_list", schema.FLOAT: "float_list"}[field.kind]
                values = list(getattr(record[name], kind).value)
                assert (got[name].tolist() if np.ndim(got[name]) else [got[name]]) == values, name


def test_same_bytes_in_any_order_and_with_any_workers(rows, whole, tmp_path):
    index = write_dataset(rows[::-1], LABELS, tmp_path / "again", POLICY, shards=2, workers=2)
    assert content(tmp_path / "again") == content(whole[0])
    assert index.hash == whole[1].hash


def test_second_call_does_only_what_is_missing(rows, tmp_path, monkeypatch):
    first = write_dataset(rows, LABELS, tmp_path, POLICY, shards=2)
    before = content(tmp_path)
    written = []
    monkeypatch.setattr(write_shards, "write_shard", lambda job, done: written.append(job.file) or real(job, done))
    real = shards.write_shard
    assert write_dataset(rows, LABELS, tmp_path, POLICY, shards=2) == first
    assert written == []
    files = sorted(before)
    (tmp_path / files[0]).unlink()
    (tmp_path / files[1]).write_bytes(before[files[1]][:1000])
    flipped = bytearray(before[files[2]])
    flipped[500] ^= 1
    (tmp_path / files[2]).write_bytes(flipped)
    (tmp_path / schema.INDEX).unlink()
    assert write_dataset(rows, LABELS, tmp_path, POLICY, shards=2) == first
    assert sorted(written) == files[:3]
    assert content(tmp_path) == before


def test_a_mended_video_is_taken_in(rows, tmp_path):
    late = tmp_path / "late.mp4"
    listed = [*rows, Row(str(late), ("run",), "train", video_id="late")]
    index = write_dataset(listed, LABELS, tmp_path / "out", POLICY)
    assert [(x["path"], x["status"]) for x in index.failed] == [(str(late), "missing")]
    late.write_bytes(Path(rows[0].path).read_bytes())
    index = write_dataset(listed, LABELS, tmp_path / "out", POLICY)
    assert index.failed == ()
    assert index.videos("train") == 4


def test_unreadable_videos_are_set_aside(rows, tmp_path, capsys):
    for name, data in {"empty.mp4": b"", "text\n.mp4": b"hello", "gone.mp4": None}.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
    half = write_video(tmp_path / "half.mp4", seconds=4)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    names = ["empty.mp4", "text\n.mp4", "gone.mp4", "half.mp4"]
    bad = [Row(str(tmp_path / name), ("run",), "train", video_id=name) for name in names]
    index = write_dataset([*rows, *bad], LABELS, tmp_path / "out", POLICY, shards=1)
    assert {x["path"] for x in index.failed} == {row.path for row in bad}
    assert (index.videos("train"), index.videos("val")) == (3, 2)
    said = capsys.readouterr().out
    assert [line.split() for line in said.splitlines()[:3]] == [
        ["split", "stored", "missing", "undecodable"],
        ["train", "3", "1", "3"],
        ["val", "2", "0", "0"],
    ]
    assert sum(line.startswith("set aside") for line in said.splitlines()) == 4


def test_a_video_that_fails_half_way_leaves_no_records(rows, whole, tmp_path, monkeypatch):
    """Its first clips come out before the damage is met."""
    broken = write_video(tmp_path / "broken.mp4", seconds=4, audio=False)

    def reading(path, *how):
        for clip in media.read_clips(path, *how):
            if path == str(broken) and clip.index == 3:
                raise media.MediaError("undecodable", path, "damaged")
            yield clip

    monkeypatch.setattr(shards, "read_clips", reading)
    train = [row for row in rows if row.split == "train"]
    bad = Row(str(broken), ("run",), "train", video_id="broken")
    index = write_dataset([*train, bad], LABELS, tmp_path / "out", POLICY, shards=1)
    assert {r["video_id"].bytes_list.value[0] for r in records(tmp_path / "out", index, "train")} == {
        r.video_id.encode() for r in train
    }
    assert index.records("train") == 6


def test_no_usable_video_in_a_split(rows, tmp_path):
    bad = Row(str(tmp_path / "gone.mp4"), ("run",), "test", video_id="gone")
    with pytest.raises(PrepareError, match="none of the 1 videos of split test can be used"):
        write_dataset([*rows, bad], LABELS, tmp_path / "out", POLICY)
    assert not (tmp_path / "out" / schema.INDEX).exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"policy": schema.ClipPolicy(frames=5, short_side=32, hop=0.5)}, "policy frames: 4 there, 5 asked"),
        ({"labels": ["run", "jump"]}, "hash of the class names"),
        ({"shards": 1}, "shards of split train: 2 there, 1 asked"),
        ({"drop": 1}, "videos of split val: 2 there, 1 asked"),
    ],
)
def test_another_plan_is_refused(rows, whole, change, says):
    out, index = whole
    args = {"policy": POLICY, "labels": LABELS, "shards": 2, "drop": 0} | change
    with pytest.raises(PrepareError, match=says) as caught:
        write_dataset(rows[: len(rows) - args["drop"]], args["labels"], out, args["policy"], shards=args["shards"])
    assert f"delete {out}" in str(caught.value)
    assert schema.load_index(out) == index


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (Row("x", ("swim",), "train", video_id="x"), "'swim', which is not in the list"),
        (Row("x", ("run",), "train", video_id="a"), "'a' is empty or stands twice"),
        (Row("x", ("run",), "my split", video_id="x"), "use letters, digits and underscores"),
    ],
)
def test_mistakes_in_rows(rows, tmp_path, row, says):
    with pytest.raises(PrepareError, match=says):
        write_dataset([*rows, row], LABELS, tmp_path, POLICY)


def flags(videos, out, *more):
    return [f"--videos={videos}", f"--out={out}", "--frames=4", "--short_side=32", "--workers=1", *more]


def command(*arguments):
    return [sys.executable, "-m", "data_prep.write_shards", *flags(*arguments)]


@pytest.fixture(scope="module")
def listed(rows, tmp_path_factory):
    """A folder of class folders with a file that is no video."""
    folder = tmp_path_factory.mktemp("listed")
    for i, row in enumerate([*rows, *rows]):
        target = folder / ("run" if i % 2 else "jump") / f"{i} 'x'.mp4"
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(row.path)
    (folder / "run" / "text.mp4").write_text("hello")
    return folder


def one_line(result):
    return result.stderr.replace("\r", "\n").strip().splitlines()[-1]


def test_command_line(listed, tmp_path, capsys):
    assert write_shards.main(flags(listed, tmp_path)) == 0
    said = capsys.readouterr()
    assert "videos/s" in said.err
    assert "set aside" in said.out
    index = schema.load_index(tmp_path)
    assert index.videos("train") + index.videos("val") == 10
    assert len(index.failed) == 1


def test_command_line_with_a_mistake(listed, tmp_path, capsys):
    for flag, says in (("--frames=0", "frames per clip"), ("--videos=nowhere", "does not exist")):
        assert write_shards.main(flags(listed, tmp_path, flag)) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line


FULL = "import resource as r, sys; r.setrlimit(r.RLIMIT_FSIZE, (30_000, 30_000));"
RUN = "from data_prep.write_shards import main; sys.exit(main(sys.argv[1:]))"


def test_full_disk(listed, tmp_path):
    """The kernel refuses to let a file grow, as it does on a full disk."""
    limited = [sys.executable, "-c", FULL + RUN, *flags(listed, tmp_path)]
    result = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "cannot write" in one_line(result)
    assert "finished shards are kept" in one_line(result)
    assert not (tmp_path / schema.INDEX).exists()
    assert not list(tmp_path.glob(".*.tmp"))
    assert write_shards.main(flags(listed, tmp_path)) == 0


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Enough work to be stopped in: ten times the same video under ten names."""
    folder = tmp_path_factory.mktemp("many")
    video = write_video(folder / "v.mp4", seconds=20, size=(320, 240), options={"preset": "ultrafast"})
    for i in range(10):
        target = folder / "class" / f"{i}.mp4"
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(video)
    return folder


def wait_until(condition):
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(group):
    """Whether any process of a group is left, a worker for instance."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_interrupted_and_continued(many, tmp_path, stop):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(many, out, "--workers=2"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    accounts = out / shards.ACCOUNTS
    wait_until(lambda: list(accounts.glob("clips*")))
    if stop == signal.SIGINT:
        os.killpg(process.pid, stop)  # a terminal sends it to the workers too
    else:
        process.kill()
    _, said = process.communicate(timeout=30)
    assert process.returncode == (130 if stop == signal.SIGINT else -stop)
    assert "Traceback" not in said
    assert not (out / schema.INDEX).exists()
    if stop == signal.SIGINT:
        assert said.replace("\r", "\n").strip().splitlines()[-1].startswith("interrupted")
        assert not list(out.glob(".*.tmp"))
    kept = {p.name: p.stat().st_mtime_ns for p in accounts.glob("clips*")}
    assert kept
    wait_until(lambda: not alive(process.pid))
    assert write_shards.main(flags(many, out)) == 0
    assert all((accounts / name).stat().st_mtime_ns == at for name, at in kept.items())
    assert json.loads((out / schema.INDEX).read_text())["hash"] == schema.load_index(out).hash
    assert not list(out.glob(".*.tmp"))
