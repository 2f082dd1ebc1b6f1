"""Shards from real videos: by value, the same bytes again, and the command with its mistakes and its interruptions."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from data_prep import write_shards
from data_prep.datasets.rows import PrepareError, Row
from data_prep.shards import estimate, plan, shard
from data_prep.shards.prepare import write_dataset
from l2l.data import schema
from l2l.media import video as media
from l2l.media.policy import ClipPolicy
from tests.helpers.prepared import LABELS, POLICY, alive, command, content, flags, records, rows_of, wait_until
from tests.helpers.videos import touch, write_video


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return rows_of(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def whole(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return out, write_dataset(rows, LABELS, out, POLICY, shards=2, made_by="me")


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


def test_a_split_that_is_not_there(whole):
    says = (
        r"has no split 'test'; it has train, val: name one of these \(--config.data.test=NAME, or --split=NAME\), or "
    )
    with pytest.raises(schema.ShardError, match=says + r"prepare it again .* \(of a folder with --test=0.2\)$"):
        schema.shard_paths(*whole, "test")


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


def found_by(out):
    """What videos.json says, with paths as they can be opened."""
    entries = json.loads((out / schema.VIDEOS).read_text())
    return {
        name: (os.path.normpath(out / (x if isinstance(x, str) else x["path"])), x if isinstance(x, dict) else None)
        for name, x in entries.items()
    }


def test_where_the_videos_are(rows, whole, tmp_path):
    """Relative, so that both can move together; not of what was set aside; a stretch with its times."""
    entries = json.loads((whole[0] / schema.VIDEOS).read_text())
    assert list(entries) == sorted(row.video_id for row in rows)
    assert {name: path for name, (path, _) in found_by(whole[0]).items()} == {row.video_id: row.path for row in rows}
    assert entries["a"] == os.path.relpath(rows[0].path, whole[0])
    assert entries["d@0.5-1.5"] == {"path": os.path.relpath(rows[2].path, whole[0]), "start": 0.5, "end": 1.5}
    (tmp_path / "link").symlink_to(tmp_path)
    odd, gone = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"), str(tmp_path / "gone.mp4")
    os.link(rows[0].path, odd)
    listed = [Row(odd, ("run",), "train", None, 0.5, "odd"), Row(gone, ("run",), "train", video_id="gone")]
    for out, path in ((tmp_path / "out", f"../{os.path.basename(odd)}"), (tmp_path / "link" / "far", odd)):
        write_dataset(listed, LABELS, out, POLICY)
        assert json.loads((out / schema.VIDEOS).read_text()) == {"odd": {"path": path, "start": None, "end": 0.5}}
    (tmp_path / "out" / schema.VIDEOS).unlink()  # as an earlier release left it
    write_dataset(listed, LABELS, tmp_path / "out", POLICY)
    assert set(found_by(tmp_path / "out")) == {"odd"}


def test_same_bytes_in_any_order_and_with_any_workers(rows, whole, tmp_path):
    index = write_dataset(rows[::-1], LABELS, tmp_path / "again", POLICY, shards=2, workers=2)
    theirs, mine = content(tmp_path / "again"), content(whole[0])
    assert all(theirs[name] == mine[name] for name in mine if name != schema.INDEX)
    assert index.hash == whole[1].hash


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"policy": ClipPolicy(frames=5, short_side=32, hop=0.5)}, "policy frames: 4 there, 5 asked"),
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


@pytest.fixture(scope="module")
def listed(rows, tmp_path_factory):
    """A folder of class folders with a file that is no video."""
    folder = tmp_path_factory.mktemp("listed")
    for i, row in enumerate([*rows, *rows]):
        target = folder / ("run" if i % 2 else "jump") / f"{i} 'x'.mp4"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(row.path, target)
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
    assert sum(index.videos(split) for split in index.splits) == 10
    assert len(index.failed) == 1
    assert index.notes == ("split test has no video of 1 of 2 classes: run",)  # text.mp4 was to be it
    assert index.notes[0] in said.out.splitlines()


def test_dry_run(listed, tmp_path, capsys):
    """Says what would come out and leaves no trace; what it says of the size is about true."""
    assert write_shards.main(flags(listed, tmp_path / "out", "--dry_run", "--shards=3")) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "test: 2 videos in 2 shards, number 0 to 1",
        "train: 7 videos in 3 shards, number 2 to 4",
        "val: 2 videos in 2 shards, number 5 to 6",
    ]
    assert re.fullmatch(r"about 0:\d\d of film, \d+ clips, \d MB, 0:0\d with 1 workers .told from \d videos.", said[3])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("videos", "shards"),
    [(1, 1), (7, 7), (8, 8), (800, 8), (801, 9), (2000, 20), (102_400, 1024), (300_000, 1024)],
)
def test_number_of_shards(videos, shards):
    assert plan.shards_of(videos) == shards


def test_what_an_earlier_release_began_is_continued_by_flags(tmp_path):
    """It made eight shards whatever the size, and no test split: the error names the flags that ask for the same."""
    touch(tmp_path / "videos", [f"{label}/{i}.mp4" for label in "ab" for i in range(600)])
    where = tmp_path / "videos", tmp_path / "out"
    asked = lambda *more: write_shards.asked_for(write_shards.parse(flags(*where, *more)))
    earlier = asked("--test=0", "--shards=8")
    assert [len(jobs) for jobs in earlier.splits.values()] == [8, 8]
    with plan.claimed(earlier, 0, len(earlier.jobs)):
        pass
    for more, cure in (([], "--test=0 --shards=8"), (["--test=0"], "--shards=8")):
        with pytest.raises(PrepareError, match=rf"or ask for the same again \({cure}\)$"):
            plan.is_recorded(asked(*more))
    assert plan.is_recorded(asked("--test=0", "--shards=8"))
    with pytest.raises(PrepareError, match="policy frames: 4 there, 5 asked.*or ask for the same again$"):
        plan.is_recorded(asked("--test=0", "--shards=8", "--frames=5"))


def test_what_is_said_before_work_starts(tmp_path, capsys):
    """Decisions about the splits, and what they lack, long before the videos are read."""
    touch(tmp_path / "videos", ["b/0.mp4", *(f"a/{i}.mp4" for i in range(30))])
    assert write_shards.main(flags(tmp_path / "videos", tmp_path / "out", "--dry_run")) == 0
    assert capsys.readouterr().out.splitlines() == [
        "too small for a validation split (class b has 1 video): trainings keep their last step; "
        "--val=0.2 makes one all the same, of the larger classes",
        "test: 6 videos in 6 shards, number 0 to 5",
        "train: 25 videos in 8 shards, number 6 to 13",
        "split test has no video of 1 of 2 classes: b",
        "no estimate: none of the videos that were tried can be used",
    ]


@pytest.mark.parametrize("clips", [0, 2])
def test_estimate(tmp_path, clips):
    """Told from videos of which a third is missing."""
    films = [
        Row(write_video(tmp_path / f"{i}.mp4", seconds=6 + 2 * i), ("run",), "a", video_id=str(i)) for i in range(2)
    ]
    listed = [*films, Row("gone.mp4", ("run",), "a", video_id="gone")] * 2
    policy = dataclasses.replace(POLICY, clips=clips)
    guess = estimate.estimate(listed, policy, 60)
    cut = [clip for row in [*films, *films] for clip in media.read_clips(row.path, policy)]
    size = sum(len(jpeg) for clip in cut for jpeg in clip.jpegs) + len(cut) * (32_000 + estimate.RECORD)
    assert guess.film == pytest.approx(28, rel=0.02)
    assert guess.clips == pytest.approx(len(cut), rel=0.05)
    assert guess.bytes == pytest.approx(size, rel=0.1)
    assert 0 < guess.work < 60
    assert guess.videos == 4
    assert estimate.estimate(listed[2:3], policy, 60) is None


def test_command_line_with_a_mistake(listed, tmp_path, capsys):
    mistakes = {
        "--frames=0": "frames per clip",
        "--videos=nowhere": "does not exist",
        "--time_limit=0": "--time_limit must be positive",
        "--workers=0": "--workers must be positive",
    }
    for flag, says in mistakes.items():
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
    video = write_video(folder / "v.mp4", seconds=4, size=(320, 240), options={"preset": "ultrafast"})
    for i in range(10):
        target = folder / "class" / f"{i}.mp4"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(video, target)
    return folder


def test_interrupted_and_continued(many, tmp_path):
    """By Ctrl-C; `test_prepare_kill.py` has what nobody can catch."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(many, out, "--workers=2"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    accounts = out / shard.ACCOUNTS
    wait_until(lambda: list(accounts.glob("clips*")))
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the decoders too
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.replace("\r", "\n").strip().splitlines()[-1].startswith("interrupted")
    assert not (out / schema.INDEX).exists()
    assert not list(out.glob(".*.tmp"))
    kept = {p.name: p.stat().st_mtime_ns for p in accounts.glob("clips*")}
    assert kept
    wait_until(lambda: not alive(process.pid))
    assert write_shards.main(flags(many, out)) == 0
    assert all((accounts / name).stat().st_mtime_ns == at for name, at in kept.items())
    assert json.loads((out / schema.INDEX).read_text())["hash"] == schema.load_index(out).hash
    assert not list(out.glob(".*.tmp"))
