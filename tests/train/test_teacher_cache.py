"""Cached distillation: the same losses as uncached on a fixed view, answers of nothing else, and no work done twice."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from data_prep import verify
from l2l.core import sharding
from l2l.data import loader, schema, teacher_outputs
from l2l.data.batching import split_host
from l2l.data.clips import parse
from l2l.data.dataset import SideBySide, source_of
from l2l.data.loader import tf
from l2l.evaluate import predict
from l2l.media.picture import jpeg
from l2l.runs import dependencies, run_folder
from l2l.tasks.classify import Classify
from l2l.train import loop, setup, teacher_cache
from tests.helpers import shards, small, xla

ROOT = Path(__file__).parents[2]
SPLITS = {"train": 24, "val": 6}
FIXED = {"data__crop": 16, "data__resize": 16, "data__flip": False}  # of square images: a view without a choice
RANDOM = {"data__crop": 10, "data__resize": 16, "data__scale": 0.8}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Square images."""
    encode = jpeg.encode_jpeg
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jpeg, "encode_jpeg", lambda x, quality: encode(np.ascontiguousarray(x[:, :16]), quality))
        return shards.clip_directory(tmp_path_factory.mktemp("data") / "clips", videos=SPLITS, clips=2)


@pytest.fixture(scope="module")
def teacher(clips):
    return small.untrained(small.config("teacher", clips.parent / "teacher", clips, **FIXED))


@pytest.fixture(scope="module")
def looking_closer(clips):
    """A teacher for RANDOM: it looks at 10 pixels."""
    return small.untrained(small.config("teacher", clips.parent / "closer", clips, **RANDOM))


def student(run, clips, teacher, **changes):
    """A distill config with the teacher's answers beside the shards."""
    given = {"teacher": str(teacher), "cache_teacher": True, "epochs": 2.0, "best": "", "data__draw": "clip"}
    given |= {"data__val": "val", "data__test": "val"}
    given |= {"model__modality": "image", "model__stages": (1,)}  # quick to compile
    return small.config("distill", run, clips, **(given | FIXED | changes))


def prepared(config) -> setup.Job:
    return setup.prepare(config, dependencies.ensure(config))


def asked(config) -> SideBySide:
    """The clips of a distill config with all answers, as `train.prepare` comes by them."""
    source, run = source_of(config, config.data.dir), run_folder.load_run(config.teacher)
    return teacher_cache.cache_of(config, source, run).complete(sharding.make_mesh((-1, 1)), batch=8)


HOLDER = """
import fcntl, sys
with open(sys.argv[1], "ab") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_program_that_asks_the_same_teacher(clips, teacher, tmp_path):
    """Two that ask at the same time would write the same files; what is whole is read whoever works in the folder."""
    folder = tmp_path / "answers"
    config = student(tmp_path / "run", clips, teacher, cache_teacher=str(folder))
    folder.mkdir()
    words = [sys.executable, "-c", HOLDER, str(folder / run_folder.LOCK)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(run_folder.RunError) as caught:
            asked(config)
        cure = "wait for it to end, or write elsewhere with --config.cache_teacher=FOLDER"
        assert str(caught.value) == f"another process is working in {folder}: {cure}"
        assert not list(folder.glob("teacher-*"))
        holder.communicate()
    found = asked(config)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert asked(config).beside_index == found.beside_index
        holder.communicate()


def lines(run: Path) -> list[dict]:
    """metrics.jsonl without the timings."""
    text = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if not k.startswith("time/")} for x in text]


@pytest.fixture(scope="module")
def distilled(clips, teacher):
    """A student that found no answers and asked for them."""
    return small.run(student(clips.parent / "distilled", clips, teacher))


@pytest.fixture(scope="module")
def answers(distilled, clips):
    """The folder that it made."""
    return next(path for path in clips.iterdir() if path.is_dir())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != run_folder.LOCK}


def test_the_same_as_uncached_on_a_fixed_view(clips, teacher, distilled, tmp_path):
    uncached = small.run(student(tmp_path / "uncached", clips, teacher, cache_teacher=False))
    with_cache, without = lines(distilled), lines(uncached)
    assert [line.keys() for line in with_cache] == [line.keys() for line in without]
    assert len(without) == 14  # two epochs of 48 clips, and two validations
    for ours, theirs in zip(with_cache, without, strict=True):
        losses = {name: value for name, value in theirs.items() if name in ("train/loss", "train/l1", "train/soft")}
        assert {name: ours[name] for name in losses} == pytest.approx(losses, rel=2e-3)
    with np.load(distilled / "predictions.npz") as ours, np.load(uncached / "predictions.npz") as theirs:
        np.testing.assert_allclose(ours["logits_teacher"], theirs["logits_teacher"], rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(ours["video_id"], theirs["video_id"])


def test_a_later_student_never_runs_the_teacher(clips, teacher, answers, tmp_path, monkeypatch):
    ran, forward = [], Classify.forward

    def count(self, *args, **kwargs):
        ran.append(type(self.model).__name__)
        return forward(self, *args, **kwargs)

    before = {path.name: path.stat().st_mtime_ns for path in answers.iterdir()}
    monkeypatch.setattr(Classify, "forward", count)
    job = prepared(student(tmp_path / "later", clips, teacher, seed=1))
    assert job.frozen == {}
    batch, _ = split_host(next(job.source.eval("val", batch=8)))
    params, stats = job.variables["params"], job.variables["batch_stats"]
    jax.eval_shape(job.task.loss, params, stats, job.frozen, batch, jax.random.key(0))
    assert "logits_teacher" in jax.eval_shape(job.task.predict, job.variables, job.frozen, batch)
    assert ran == ["Student", "Student"]
    assert {path.name: path.stat().st_mtime_ns for path in answers.iterdir()} == before


def test_the_student_is_augmented_and_the_answers_are_fixed(clips, looking_closer, tmp_path):
    how = {"draw": "clip", "batch": 8, "streams": 4, "seed": 0, "first_step": 0, "shuffle": 8}
    take = lambda source: list(itertools.islice(source.train("train", **how), 18))  # three epochs
    config = student(tmp_path / "run", clips, looking_closer, **RANDOM)
    cached, plain = take(asked(config)), take(source_of(config, config.data.dir))
    seen: dict[bytes, list[dict]] = {}
    for ours, theirs in zip(cached, plain, strict=True):
        np.testing.assert_array_equal(ours["audio"], theirs["audio"])  # the same clips in the same order
        np.testing.assert_array_equal(ours["frames"], theirs["frames"][:, :1])  # in the same views, one frame of each
        for i in range(8):
            seen.setdefault(ours["audio"][i].tobytes(), []).append({name: ours[name][i] for name in ours})
    assert {len(views) for views in seen.values()} == {3}
    for views in seen.values():
        for name in ("teacher_feature", "teacher_logits"):
            assert all(np.array_equal(view[name], views[0][name]) for view in views)
    assert sum(len({view["frames"].tobytes() for view in views}) for views in seen.values()) > 2 * len(seen)


def test_every_answer_is_to_its_own_clip(clips, teacher, distilled, tmp_path):
    """By value: the teacher asked about the centre of the clip that an answer came with."""
    config, mesh = student(tmp_path / "run", clips, teacher), sharding.make_mesh((-1, 1))
    task, variables, frozen = predict.predictor(run_folder.load_run(teacher))
    plain = source_of(config, config.data.dir).eval("val", batch=8)
    rows = predict.predict_batches(predict.jit_predict(task, mesh), variables, frozen, plain, mesh)
    for batch, (outputs, clip) in zip(asked(config).eval("val", batch=8), rows, strict=True):
        real = int(batch["mask"].sum())
        assert [x.decode() for x in batch["video_id"]] == [x.decode() for x in clip["video_id"]]
        assert batch["teacher_feature"].dtype == np.float16
        for name in ("feature", "logits"):
            np.testing.assert_allclose(batch[f"teacher_{name}"][:real], outputs[name], rtol=1e-3, atol=1e-4)


def test_interrupted_and_resumed_equals_straight(clips, teacher, distilled, tmp_path, monkeypatch):
    config = student(tmp_path / "run", clips, teacher)
    with monkeypatch.context() as patched:
        small.stop_at(patched, 7)
        with pytest.raises(loop.Stopped, match="step 7 of 12"):
            small.run(config)
    resumed = small.run(config)
    assert lines(resumed) == lines(distilled)
    for name in ("variables.npz", "predictions.npz"):
        assert small.same_arrays(resumed / name, distilled / name)


def test_answers_of_another_teacher_other_clips_or_another_view(clips, teacher, looking_closer, tmp_path):
    folder = str(tmp_path / "answers")
    run = lambda clips, teacher, **more: student(tmp_path / "wrong", clips, teacher, cache_teacher=folder, **more)
    assert asked(run(clips, teacher)).beside == Path(folder)
    heavier = small.untrained(small.config("teacher", tmp_path / "heavier", clips, **FIXED), scale=1.01)
    others = shards.clip_directory(tmp_path / "others", videos=SPLITS)
    for config, names in (
        (run(clips, heavier), {"teacher"}),
        (run(others, teacher), {"clips"}),
        (run(clips, looking_closer, **RANDOM), {"view.crop", "view.side"}),
    ):
        with pytest.raises(schema.ShardError, match=r"to something else:(?s:.*)Delete it to ask") as error:
            prepared(config)
        told = str(error.value).splitlines()[1:-1]
        assert {line.split(":")[0].strip() for line in told} == names
        assert not (tmp_path / "wrong").exists()
    own = asked(student(tmp_path / "right", clips, heavier)).beside
    assert own.parent == clips
    assert own != asked(student(tmp_path / "right", clips, teacher)).beside


@pytest.fixture
def copied(answers, tmp_path):
    """A copy of the answers, and a config that reads it."""
    folder = tmp_path / "answers"
    folder.mkdir()
    for name, data in content(answers).items():
        (folder / name).write_bytes(data)
    return folder


def test_damage_stops_before_work_starts(clips, teacher, copied, tmp_path):
    config = student(tmp_path / "run", clips, teacher, cache_teacher=str(copied))
    shard = copied / "teacher-train.tfrecord-00001-of-00004"
    whole = shard.read_bytes()
    for damaged in (whole[:-9], whole[:100] + b"\0" + whole[101:]):
        shard.write_bytes(damaged)
        with pytest.raises(schema.ShardError, match=rf"{shard.name} is damaged.*delete it, and the same command"):
            prepared(config)
    assert not (tmp_path / "run").exists()
    shard.unlink()
    asked(config)
    assert shard.read_bytes() == whole
    index = copied / "index.json"
    index.write_text(index.read_text().replace('"side": 16', '"side": 17'))
    with pytest.raises(schema.ShardError, match="was edited"):
        prepared(config)


def test_answers_that_lie_beside_other_clips_are_not_read(clips, teacher, copied, tmp_path):
    """Should the two files of a pair ever fall apart, training stops."""
    path = copied / "teacher-train.tfrecord-00000-of-00004"
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    shards.write_shard(path, records[::-1], 6)
    source = asked(student(tmp_path / "run", clips, teacher))
    wrong = SideBySide(source.directory, source.index, source.reader, beside=copied, beside_index=source.beside_index)
    with pytest.raises(schema.ShardError, match=r"record 0 cannot be used: .*answer is to another clip"):
        next(wrong.eval("train", batch=8))


CHILD = """
import sys, time
from l2l.data import teacher_outputs
encode = teacher_outputs.encode
def slowly(answer):
    time.sleep(0.1)
    return encode(answer)
teacher_outputs.encode = slowly
from tests.train.test_teacher_cache import asked, student
clips, teacher, run, folder = sys.argv[1:]
asked(student(run, clips, teacher, cache_teacher=folder))
"""


def test_killed_while_asking_goes_on_where_it_was(clips, teacher, answers, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "answers"
    command = [sys.executable, "-c", CHILD, *(str(x) for x in (clips, teacher, tmp_path / "run", folder))]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        second = folder / "teacher-train.tfrecord-00001-of-00004"
        while not second.exists() and process.poll() is None:
            time.sleep(0.01)
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    there = {path.name: path.stat().st_mtime_ns for path in folder.glob("teacher-*")}
    assert 2 <= len(there) < 8
    assert verify.main([str(folder), "--workers=1"]) == 1
    assert "still being made" in capsys.readouterr().out
    written, write = [], teacher_cache.write
    monkeypatch.setattr(teacher_cache, "write", lambda path, rows: (written.append(path.name), write(path, rows)))
    asked(student(tmp_path / "run", clips, teacher, cache_teacher=str(folder)))
    assert sorted([*there, *written]) == sorted(content(answers).keys() - {"index.json"})
    assert {name: (folder / name).stat().st_mtime_ns for name in there} == there
    assert content(folder) == content(answers)


PROCESS = """
import sys
import jax
address, number, clips, teacher, run, folder = sys.argv[1:]
jax.distributed.initialize(address, 2, int(number))
from tests.train.test_teacher_cache import asked, student
asked(student(run, clips, teacher, cache_teacher=folder))
"""


def test_two_processes_ask_together(clips, teacher, answers, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    where = [str(x) for x in (clips, teacher, tmp_path / "run", tmp_path / "answers")]
    environment = os.environ | {"XLA_FLAGS": xla.flags(2)}
    start = lambda n: subprocess.Popen([sys.executable, "-c", PROCESS, address, n, *where], cwd=ROOT, env=environment)
    processes = [start("0"), start("1")]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    ours, theirs = (schema.load_index(folder) for folder in (tmp_path / "answers", answers))
    assert ours.policy == theirs.policy
    for path in answers.glob("teacher-*"):
        read = lambda x: loader.eval_records([x], lambda raw, own: taught_record(raw), batch=1)
        records = [read(x) for x in (path, tmp_path / "answers" / path.name)]
        for one, two in zip(*records, strict=True):
            assert (one["video_id"], one["clip"]) == (two["video_id"], two["clip"])
            for name in ("feature", "logits"):
                np.testing.assert_allclose(*(np.frombuffer(x[name], "<f2") for x in (one, two)), rtol=1e-3, atol=1e-3)


def taught_record(raw):
    return parse(raw, schema.TEACHER_RECORD)


def test_another_split_is_added(clips, teacher, tmp_path):
    config = student(tmp_path / "run", clips, teacher, cache_teacher=str(tmp_path / "answers"))
    config.data.train = "val"
    assert set(asked(config).beside_index.splits) == {"val"}
    config.data.train = "train"
    assert set(asked(config).beside_index.splits) == {"train", "val"}


def test_verify_knows_answers(copied, capsys):
    assert verify.main([str(copied), "--workers=1"]) == 0
    assert "val: 6 videos, 12 records" in capsys.readouterr().out
    path = copied / "teacher-val.tfrecord-00000-of-00004"
    path.write_bytes(path.read_bytes()[:-9])
    assert verify.main([str(copied), "--workers=1"]) == 1


@pytest.mark.parametrize(("name", "value"), [("feature", np.nan), ("logits", 1e6)])
def test_an_answer_that_float16_cannot_hold(name, value):
    answer = {"video_id": b"v", "clip": 3, "clips": 4, "feature": np.zeros(2), "logits": np.zeros(3)}
    teacher_outputs.encode(answer)
    answer[name][1] = value
    with pytest.raises(ValueError, match=rf"{name} of clip 3 of v cannot be kept"):
        teacher_outputs.encode(answer)


def test_what_cannot_be(clips, teacher, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot be written .*--config.cache_teacher=FOLDER"):
        prepared(student(tmp_path / "run", clips, teacher, cache_teacher=str(tmp_path / "file" / "answers")))
    with pytest.raises(ValueError, match="either True, .*or the folder"):
        prepared(student(tmp_path / "run", clips, teacher, cache_teacher=2))
    with pytest.raises(ValueError, match="it is for distillation"):
        prepared(small.config("teacher", tmp_path / "other", clips, cache_teacher=True))
    with pytest.raises(schema.ShardError, match="holds clips, not teacher"):
        prepared(student(tmp_path / "run", clips, teacher, cache_teacher=str(clips)))
