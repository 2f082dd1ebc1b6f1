"""Every video is accounted for: what a second call does, what is tried again, and what hangs, dies or lies."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from data_prep.datasets.rows import PrepareError, Row
from data_prep.shards import prepare, shard
from data_prep.shards.prepare import write_dataset
from l2l.data import schema
from l2l.media import video
from l2l.media.decoding.decoder import Decoder
from tests.helpers.prepared import LABELS, POLICY, Cutting, children, content, hanging, rows_of, stored
from tests.helpers.videos import write_video


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return rows_of(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def written(monkeypatch):
    """Names of the shards that are written."""
    names = []
    real = shard.write_shard
    monkeypatch.setattr(prepare, "write_shard", lambda job, *how: names.append(job.file) or real(job, *how))
    return names


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that are decoded."""
    names = []
    real = Decoder.run
    spy = lambda self, operation, path, **how: names.append(Path(path).name) or real(self, operation, path, **how)
    monkeypatch.setattr(Decoder, "run", spy)
    return names


def test_second_call_does_only_what_is_missing(rows, tmp_path, written):
    first = write_dataset(rows, LABELS, tmp_path, POLICY, shards=2)
    before, files = content(tmp_path), sorted(written)
    written.clear()
    assert write_dataset(rows, LABELS, tmp_path, POLICY, shards=2) == first
    assert written == []
    (tmp_path / files[0]).unlink()
    (tmp_path / files[1]).write_bytes(before[files[1]][:1000])
    (tmp_path / shard.ACCOUNTS / f"{files[2]}.json").write_text("{")
    assert write_dataset(rows, LABELS, tmp_path, POLICY, shards=2) == first
    assert sorted(written) == files[:3]
    assert content(tmp_path) == before


def test_set_aside_by_status(rows, tmp_path, capsys):
    for name, data in {"empty.mp4": b"", "text\n.mp4": b"hello"}.items():
        (tmp_path / name).write_bytes(data)
    half = write_video(tmp_path / "half.mp4", seconds=4)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    names = ["empty.mp4", "text\n.mp4", "gone.mp4", "half.mp4"]
    bad = [Row(str(tmp_path / name), ("run",), "train", video_id=name) for name in names]
    ruled_out = Row("x.mp4", ("swim",), "val", video_id="x", problem=("wrong_label", "there is no class 'swim'"))
    late = Row(rows[0].path, ("run",), "val", 60.0, video_id="late")
    index = write_dataset([*rows, *bad, ruled_out, late], LABELS, tmp_path / "out", POLICY, shards=1)
    assert {x["path"] for x in index.failed} == {row.path for row in (*bad, ruled_out, late)}
    assert index.table == {
        "train": {"done": 3, "missing": 1, "undecodable": 3},
        "val": {"done": 2, "too_short": 1, "wrong_label": 1},
    }
    assert json.loads((tmp_path / "out" / schema.INDEX).read_text())["table"] == index.table
    lines = capsys.readouterr().out.splitlines()
    columns = ["done", "missing", "too_short", "undecodable", "wrong_label"]
    assert lines[0].split() == ["split", "listed", *columns, "clips", "MB"]
    assert lines[1].split()[:8] == ["train", "7", "3", "1", "0", "3", "0", "6"]
    assert lines[2].split()[:8] == ["val", "4", "2", "0", "1", "0", "1", "4"]
    assert sum(line.startswith("set aside") for line in lines) == 6


def kill_whoever_reads(path, over):
    while not over.wait(0.02):
        for child in children():
            with contextlib.suppress(OSError):  # it is ending
                if path in [os.readlink(file) for file in Path(f"/proc/{child}/fd").iterdir()]:
                    os.kill(child, signal.SIGSEGV)


def test_a_decoder_that_hangs_or_dies_costs_its_video_alone(rows, tmp_path):
    hangs, crashes = (hanging(tmp_path / name) for name in ("hangs.avi", "crashes.avi"))
    over = threading.Event()
    killer = threading.Thread(target=kill_whoever_reads, args=(crashes, over))
    killer.start()
    bad = [Row(path, ("run",), "train", video_id=path) for path in (hangs, crashes)]
    try:
        index = write_dataset([*rows, *bad], LABELS, tmp_path / "out", POLICY, shards=1, workers=2, time_limit=3)
    finally:
        over.set()
        killer.join()
    assert {(x["path"], x["status"]) for x in index.failed} == {(hangs, "timed_out"), (crashes, "crashed")}
    assert "longer than 3 s" in next(x["reason"] for x in index.failed if x["path"] == hangs)
    assert "SIGSEGV" in next(x["reason"] for x in index.failed if x["path"] == crashes)
    write_dataset(rows, LABELS, tmp_path / "without", POLICY, shards=1)
    names = [schema.shard_name("clips", split, 0, 1) for split in ("train", "val")]
    assert all((tmp_path / "out" / x).read_bytes() == (tmp_path / "without" / x).read_bytes() for x in names)


def test_retry_failed(rows, tmp_path, written, decoded):
    """Only shards with something to try again are touched, and only those videos are decoded."""
    late, never = tmp_path / "late.mp4", tmp_path / "never.mp4"
    listed = [*rows, *(Row(str(path), ("run",), "train", video_id=path.stem) for path in (late, never))]
    index = write_dataset(listed, LABELS, tmp_path / "out", POLICY, shards=1)
    assert [x["status"] for x in index.failed] == ["missing", "missing"]
    shutil.copy(rows[0].path, late)
    written.clear()
    assert write_dataset(listed, LABELS, tmp_path / "out", POLICY, shards=1) == index
    assert written == []
    decoded.clear()
    index = write_dataset(listed, LABELS, tmp_path / "out", POLICY, shards=1, retry_failed=True)
    assert written == [schema.shard_name("clips", "train", 0, 1)]
    assert sorted(decoded) == ["late.mp4", "never.mp4"]
    assert [x["path"] for x in index.failed] == [str(never)]
    assert stored(tmp_path / "out", index, "train") == {"a", "b c", "d@0.5-1.5", "late"}
    assert write_dataset(listed, LABELS, tmp_path / "fresh", POLICY, shards=1) == index
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


def test_retry_takes_nothing_from_a_damaged_shard(rows, tmp_path):
    listed = [*rows, Row(str(tmp_path / "gone.mp4"), ("run",), "train", video_id="gone")]
    index = write_dataset(listed, LABELS, tmp_path / "out", POLICY, shards=1)
    before = content(tmp_path / "out")
    path = tmp_path / "out" / schema.shard_name("clips", "train", 0, 1)
    path.write_bytes(before[path.name][:500] + b"\0\0" + before[path.name][502:])
    assert write_dataset(listed, LABELS, tmp_path / "out", POLICY, shards=1, retry_failed=True) == index
    assert content(tmp_path / "out") == before


class Scripted:
    """A decoder that gives the clips of a video and then what is asked for."""

    def __init__(self, clips, error):
        self.content, self.error = clips, error

    def clips(self, path, *how):
        return Cutting(self._given(path))

    def _given(self, path):
        yield from self.content
        if self.error and path == self.error.path:
            raise self.error


def job(out, rows):
    (out / shard.ACCOUNTS).mkdir(parents=True)
    return shard.Job(str(out), schema.shard_name("clips", "train", 0, 1), tuple(rows), {"run": 0}, POLICY, "plan")


def test_a_video_that_fails_half_way_leaves_no_records(rows, tmp_path):
    clips = list(video.read_clips(rows[0].path, POLICY))
    good, bad = (Row(name, ("run",), "train", video_id=name) for name in ("good", "bad"))
    scripted = Scripted(clips, video.MediaError("undecodable", "bad", "damaged"))
    account = shard.write_shard(job(tmp_path, [bad, good, dataclasses.replace(bad, video_id="2")]), scripted)
    assert (account.shard.records, account.shard.videos) == (2, 1)
    assert account.videos == (None, (2, account.shard.bytes), None)
    index = schema.Index("clips", ("run",), {"train": (account.shard,)}, {})
    assert stored(tmp_path, index, "train") == {"good"}


def test_more_clips_than_a_video_has(rows):
    """What claims to go on for weeks is refused before a list of its clips is made."""
    policy = dataclasses.replace(POLICY, hop=1e-6)
    with pytest.raises(video.MediaError, match=r"it says that it lasts 1 s: \d{3},\d{3} clips"):
        next(video.read_clips(rows[0].path, policy))


def test_no_usable_video(rows, tmp_path, capsys):
    gone = Row(str(tmp_path / "gone.mp4"), ("run",), "test", video_id="gone")
    with pytest.raises(
        PrepareError, match=r"none of the 1 videos can be used; the first: .*gone.mp4: there is no such"
    ):
        write_dataset([gone], LABELS, tmp_path / "none", POLICY)
    assert not (tmp_path / "none" / schema.INDEX).exists()
    index = write_dataset([*rows, gone], LABELS, tmp_path / "out", POLICY)
    assert index.videos("test") == index.records("test") == 0
    assert "split test is empty" in capsys.readouterr().out


def test_hop_in_frames(rows, tmp_path):
    """At 15 frames a second, 5 frames are a third of a second; at 10, half a second."""
    policy = dataclasses.replace(POLICY, hop=None, hop_frames=5)
    for row, hop in ((rows[0], 1 / 3), (rows[3], 1 / 2)):
        starts = [clip.start for clip in video.read_clips(row.path, policy)]
        assert starts == pytest.approx([i * hop for i in range(round(1 / hop))])
    with pytest.raises(ValueError, match="hop is asked for twice"):
        dataclasses.replace(policy, hop=1.0)


def test_labelled_stretches_are_added_to_shards_that_are_there(tmp_path, capsys):
    """They change neither a shard nor a hash; without any nothing is written, nor taken away."""
    files = [str(write_video(tmp_path / f"{i}.mp4", seconds=0.5)) for i in range(3)]
    rows = [Row(file, ("run",), "train", video_id=str(i)) for i, file in enumerate(files)]
    policy, beside = POLICY, tmp_path / "out" / schema.ACTIONS
    index = prepare.write_dataset(rows, ["run"], tmp_path / "out", policy)
    assert not beside.exists()
    before = content(tmp_path / "out")
    known = [dataclasses.replace(rows[0], actions=((0.0, 0.2), (0.3, 0.4))), dataclasses.replace(rows[1], actions=())]
    capsys.readouterr()
    assert prepare.write_dataset([*known, rows[2]], ["run"], tmp_path / "out", policy) == index
    assert "actions.json: labelled stretches of 2 of 3 videos\n" in capsys.readouterr().out
    assert json.loads(beside.read_text()) == {"0": [[0.0, 0.2], [0.3, 0.4]], "1": []}
    assert content(tmp_path / "out") == before | {beside.name: beside.read_bytes()}
    prepare.write_dataset(rows, ["run"], tmp_path / "out", policy)
    assert beside.exists()
