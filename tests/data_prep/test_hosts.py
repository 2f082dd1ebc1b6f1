"""Many machines, one directory: ranges of shards, Beam and object stores give the bytes of one run."""

import dataclasses
import importlib.util
import json
import multiprocessing
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from data_prep import storage, verify, write_shards
from data_prep.datasets import folder, lists, unlabelled
from data_prep.datasets.rows import PrepareError, Row
from data_prep.shards import plan
from data_prep.shards.prepare import write_dataset
from l2l.data import schema
from l2l.media import policy
from tests.helpers.prepared import LABELS, POLICY, command, content, flags, rows_of

needs_beam = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None, reason="apache-beam is not installed (pip install apache-beam)"
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return rows_of(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def listed(rows, tmp_path_factory):
    """A list of ten videos, one of which is not there."""
    path = tmp_path_factory.mktemp("list") / "list.csv"
    videos = Path(rows[0].path).parent
    for i in range(9):
        shutil.copy(rows[i % 3].path, videos / f"{i}.mp4")
    lines = [f"{videos / f'{i}.mp4'},{LABELS[i % 2]},{'val' if i % 3 else 'train'}" for i in range(10)]
    path.write_text("\n".join(["path,label,split", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def whole(listed, tmp_path_factory):
    """What one process makes of the list."""
    out = tmp_path_factory.mktemp("one")
    assert write_shards.main(flags(listed, out)) == 0
    return content(out)


def test_ranges_at_the_same_time_and_finalize_equal_one(listed, whole, tmp_path, capsys):
    total = sum(name.startswith("clips") for name in whole)
    other = subprocess.Popen(command(listed, tmp_path, "--shard_range=4:7"), stderr=subprocess.DEVNULL)
    for part in ("0:4", f"7:{total}"):
        assert write_shards.main(flags(listed, tmp_path, f"--shard_range={part}")) == 0
    assert other.wait(timeout=120) == 0
    assert not (tmp_path / schema.INDEX).exists()
    assert write_shards.main(flags(listed, tmp_path, "--finalize")) == 0
    assert "missing" in capsys.readouterr().out
    assert content(tmp_path) == whole
    assert len(json.loads((tmp_path / schema.VIDEOS).read_text())) == 9


def test_finalize_names_what_is_missing(listed, tmp_path, capsys):
    assert write_shards.main(flags(listed, tmp_path, "--shard_range=:3")) == 0
    assert "shards 0:3 are written" in capsys.readouterr().out
    assert write_shards.main(flags(listed, tmp_path, "--finalize")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "7 of 10 shards are not written yet: number 3, 4, 5, 6, 7, 8, 9; write them with --shard_range=3:10" in line
    assert not (tmp_path / schema.INDEX).exists()


@pytest.mark.parametrize("part", ["3", "5:2", "0:11", "a:b", "4:4"])
def test_wrong_ranges(listed, tmp_path, part, capsys):
    assert write_shards.main(flags(listed, tmp_path / "out", f"--shard_range={part}")) == 1
    assert "0 <= A < B <= 10, which is the number of shards" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def hold(rows, out, first, stop, ready):
    with plan.claimed(plan.make(rows, LABELS, out, POLICY, 2), first, stop):
        ready.set()
        time.sleep(600)


def test_shards_that_others_write_are_left_alone(rows, tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, out = context.Event(), tmp_path / "out"
    holder = context.Process(target=hold, args=(rows, out, 1, 3, ready), daemon=True)
    holder.start()
    asked = plan.make(rows, LABELS, out, POLICY, 2)
    try:
        assert ready.wait(60)
        half = out / f".{asked.jobs[1].file}.0.shard.tmp"
        half.write_bytes(b"theirs")
        for first, stop in ((0, 4), (2, 4), (1, 2)):
            with pytest.raises(PrepareError, match="another process is writing"), plan.claimed(asked, first, stop):
                pass
        for first, stop in ((0, 1), (3, 4)):
            with plan.claimed(asked, first, stop):
                pass
        assert half.exists()
    finally:
        holder.kill()
        holder.join()
    with plan.claimed(asked, 0, 2):
        assert not half.exists()


def test_in_an_object_store(rows, tmp_path):
    """TensorFlow's own store in memory stands for gs://: videos are read from it and shards written to it."""
    store, tf = f"ram://{tmp_path.name}", storage.tensorflow()
    listed = [*rows, Row(str(tmp_path / "gone.mp4"), ("run",), "val", video_id="gone")]
    write_dataset(listed, LABELS, tmp_path / "out", POLICY, shards=2)
    tf.io.gfile.makedirs(storage.join(store, "videos"))
    there = [dataclasses.replace(row, path=storage.join(store, "videos", Path(row.path).name)) for row in listed]
    for here, row in zip(rows, there, strict=False):
        tf.io.gfile.copy(here.path, row.path)
    index = write_dataset(there, LABELS, storage.join(store, "out"), POLICY, shards=2, workers=2)
    assert [(x["path"], x["status"]) for x in index.failed] == [(there[-1].path, "missing")]
    for name in content(tmp_path / "out"):
        if name != schema.INDEX:
            assert storage.read(storage.join(store, "out", name)) == (tmp_path / "out" / name).read_bytes()
    assert not any(name.endswith(".tmp") for name in storage.names(storage.join(store, "out")))
    assert json.loads(storage.read(storage.join(store, "out", schema.VIDEOS))) == {
        row.video_id: row.path if row.start is None else {"path": row.path, "start": row.start, "end": row.end}
        for row in there[:-1]
    }
    assert list(verify.problems(storage.join(store, "out"))) == []
    assert write_dataset(there, LABELS, storage.join(store, "out"), POLICY, shards=2) == index
    storage.remove(storage.join(store, "out", index.splits["val"][0].file))
    assert "val" in next(verify.problems(storage.join(store, "out")))
    tf.io.gfile.copy(rows[0].path, there[-1].path)
    index = write_dataset(there, LABELS, storage.join(store, "out"), POLICY, shards=2, retry_failed=True)
    assert index.failed == ()


def test_lists_of_what_lies_in_an_object_store(tmp_path):
    store, tf = f"ram://{tmp_path.name}", storage.tensorflow()
    for name in ("run/a.mp4", "run/deep/b.avi", "jump/c.mp4", "jump/notes.txt"):
        place = storage.join(store, name)
        tf.io.gfile.makedirs(place.rpartition("/")[0])
        with tf.io.gfile.GFile(place, "w") as file:
            file.write("x")
    found, labels = folder.read(store, val=0)
    assert labels == ["jump", "run"]
    assert {row.video_id: row.path for row in found} == {
        name: storage.join(store, name) for name in ("run/a.mp4", "run/deep/b.avi", "jump/c.mp4")
    }
    assert len(unlabelled.read(store)[0]) == 3
    assert lists.videos_by_name(store)["b"] == storage.join(store, "run/deep/b.avi")
    table = tmp_path / "list.csv"
    table.write_text(f"path,label,split\n{store}/run/a.mp4,run,train\nb.mp4,run,train\n")
    assert [row.path for row in folder.read(table)[0]] == [f"{store}/run/a.mp4", str(tmp_path / "b.mp4")]


@needs_beam
def test_beam_equals_the_pool(listed, whole, tmp_path, capsys):
    """In this process, by Beam's own runner; the same command continues, and only finished shards are kept."""
    from data_prep import beam

    runner = ["--", "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"]
    out = tmp_path / "out"
    assert write_shards.main(flags(listed, out, "--shard_range=2:4")) == 0
    kept = {path: path.stat().st_mtime_ns for path in out.glob("clips-*")}
    assert len(kept) == 2
    assert beam.main([*flags(listed, out), *runner]) == 0
    assert "8 of 10 shards are to be written" in capsys.readouterr().out
    assert content(out) == whole
    assert len(json.loads((out / schema.VIDEOS).read_text())) == 9
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert beam.main([*flags(listed, out, "--short_side=48"), *runner]) == 1
    assert "policy short_side: 32 there, 48 asked" in capsys.readouterr().err
    for wrong, says in (([], "name Beam's runner"), (["--finalize", *runner], "are for data_prep.write_shards")):
        assert beam.main([*flags(listed, out), *wrong]) == 1
        assert says in capsys.readouterr().err


@needs_beam
def test_machines_are_told_all_that_the_plan_says(tmp_path):
    from data_prep import beam

    rows = [Row(f"{i}.mp4", ("run",), "train", 0.5, None, str(i), None, ((1.0, 2.5),)) for i in range(3)]
    how = {"reading": policy.Reading(2, False), "most_bytes": 1e6}
    asked = plan.make(rows, ["jump", "run"], tmp_path, POLICY, 2, **how)
    (tmp_path / ".accounts").mkdir()
    assert beam.load_jobs(beam.save_jobs(asked)) == list(asked.jobs)
