"""The loop: one compiled step, any number of devices, exact resume, and errors before work starts."""

import datetime
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l import main
from l2l.core import sharding
from l2l.evaluate import evaluation
from l2l.runs import dependencies, run_folder
from l2l.runs.config import plain
from l2l.train import loop, optim, setup
from l2l.train.state import merge
from tests.helpers import shards, small

CLIPS = {"train": 24, "val": 5, "test": 4}
SMALL = {"model__stages": (1, 1), "epochs": 2.0, "optim__schedule": "constant"}
SEES = {"model__stages": (1, 1), "model__feature": 4, "model__modality": "image"}  # a student of that teacher


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return shards.clip_directory(tmp_path_factory.mktemp("data") / "clips", videos=CLIPS)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, clips) -> Path:
    return small.run(small.config("teacher", tmp_path_factory.mktemp("runs") / "teacher", clips, **SMALL))


def test_a_finished_run_has_everything(teacher):
    names = {path.name for path in teacher.iterdir()}
    assert {"config.json", "metrics.jsonl", "checkpoints", "predictions.npz", "variables.npz", "done.json"} <= names
    steps = [line["step"] for line in small.lines(teacher) if "train/loss" in line]
    assert steps == list(range(1, 7))
    assert sum("val/top1" in line for line in small.lines(teacher)) == 2
    with np.load(teacher / "predictions.npz") as saved:
        assert sorted(saved["video_id"]) == [f"test{i}" for i in range(4)]
        assert saved["logits"].shape == (4, 3)


def test_the_step_is_compiled_once(clips, tmp_path):
    config = small.config("teacher", tmp_path / "run", clips, **SMALL)
    job = setup.prepare(config, dependencies.ensure(config))
    step = loop.make_step(job.task, job.optimizer, job.mesh)
    state, key = setup.init_state(job), jax.random.key(0)
    batches = job.source.train("train", draw="clip", batch=8, streams=4, seed=0, first_step=0, shuffle=8)
    for _ in range(4):
        state, _ = step(state, job.frozen, sharding.put_batch(job.mesh, next(batches)), key)
    assert step._cache_size() == 1
    assert int(state.step) == 4


def test_interrupted_and_resumed_equals_straight(clips, teacher, tmp_path, monkeypatch, capsys):
    config = small.config("teacher", tmp_path / "teacher", clips, **SMALL)
    with monkeypatch.context() as patched:
        small.stop_at(patched, 3)
        with pytest.raises(loop.Stopped, match="step 3 of 6"):
            small.run(config)
    assert not run_folder.is_finished(tmp_path / "teacher")
    resumed = small.run(config)
    assert small.lines(resumed) == small.lines(teacher)
    for name in ("variables.npz", "predictions.npz", "best.npz"):
        assert small.same_arrays(resumed / name, teacher / name)
    assert run_folder.load_run(resumed).hash == run_folder.load_run(teacher).hash
    tells_of_itself(resumed, capsys.readouterr().err)


def tells_of_itself(run: Path, said: str) -> None:
    """On the terminal every step has its own loss, and the end says what was kept; the folder says the same."""
    done, lines = run_folder.read_json(run / "done.json"), small.lines(run)
    told = dict(re.findall(r"^teacher +(\d)/6 .*  loss (\S+)", said, re.MULTILINE))
    assert told == {str(line["step"]): f"{line['train/loss']:.4g}" for line in lines if "train/loss" in line}
    assert "teacher: compiling the training step ..." in said
    assert f"{run}: the step with the best top1 on val is kept; test is measured at the end" in said
    seen = {line["step"]: line["val/top1"] for line in lines if "val/top1" in line}
    best = max(seen, key=seen.get)
    assert done["kept"] == {
        "step": best,
        "why": "the best top1 on val",
        "split": "val",
        "metric": "top1",
        "value": seen[best],
    }
    assert f"{run} finished: test top1 {100 * done['metrics']['top1']:.1f} %\n" in said
    assert f"{run} keeps step {best} of 6: the best top1 on val\n" in said
    assert datetime.datetime.fromisoformat(done["finished"]).tzinfo == datetime.UTC


def test_more_epochs_continue_a_finished_run(clips, teacher, tmp_path):
    """And end as if there had been as many from the beginning; until they do, the folder holds the shorter run."""
    make = lambda epochs: small.config("teacher", tmp_path / "longer", clips, **SMALL | {"epochs": epochs})
    longer = small.run(make(1.0))
    first = run_folder.load_run(longer)
    job = setup.prepare(make(2.0), dependencies.ensure(make(2.0)))
    assert (job.plan.total, run_folder.load_run(longer).hash) == (6, first.hash)
    main.run(make(2.0))
    assert small.lines(longer) == small.lines(teacher)
    assert small.same_arrays(longer / "variables.npz", teacher / "variables.npz")
    done, wanted = (run_folder.read_json(run / run_folder.DONE) for run in (longer, teacher))
    assert (done["hash"], done["kept"], done["step"]) == (wanted["hash"], wanted["kept"], 6)
    assert run_folder.load_run(longer).config["epochs"] == 2.0
    shutil.rmtree(longer / "checkpoints")
    with pytest.raises(
        run_folder.RunError, match=r"has no checkpoint from which config.epochs=3 could go on: start another"
    ):
        main.run(make(3.0))


def test_which_training_can_be_made_longer(tmp_path):
    """One that is not finished yet, too, whose config.json then says for how long; never a shorter one."""
    record = lambda **changes: {
        "config": plain(small.config("teacher", tmp_path, tmp_path, **changes)),
        "inputs": {},
        "labels": [],
        "policy": {},
        "student": None,
    }
    run_folder.start(tmp_path / "drops", record(optim__schedule="milestones", epochs=4.0))
    run_folder.start(tmp_path / "drops", record(optim__schedule="milestones", epochs=6.0))
    assert run_folder.read_json(tmp_path / "drops" / run_folder.CONFIG)["config"]["epochs"] == 6.0
    for other in ({"epochs": 5.0}, {"epochs": 7.0, "seed": 1}):
        with pytest.raises(run_folder.RunError, match="config.epochs: it has 6.0, asked for"):
            run_folder.start(tmp_path / "drops", record(optim__schedule="milestones", **other))
    run_folder.start(tmp_path / "cosine", record(epochs=2.0))
    with pytest.raises(
        run_folder.RunError, match=r"started for config.epochs=2, .* 3 epochs along a cosine .*--config.init="
    ):
        run_folder.start(tmp_path / "cosine", record(epochs=3.0))


HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "ab")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_that_another_process_works_in(clips, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    words = [sys.executable, "-c", HOLDER, str(run / run_folder.LOCK)]
    config = small.config("teacher", run, clips, **SMALL)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(run_folder.RunError, match=f"another process is working in {run}: wait for it to end"):
            setup.prepare(config, dependencies.ensure(config))
        assert [path.name for path in run.iterdir()] == [run_folder.LOCK]
        holder.kill()
    with run_folder.claimed(run):
        assert not (run / run_folder.CONFIG).exists()


def test_a_stop_during_evaluation_saves_at_once_and_evaluates_later(clips, teacher, tmp_path, monkeypatch):
    predicted = evaluation.predict_batches

    def stop_in_evaluation(*args):
        for number, batch in enumerate(predicted(*args)):
            if number == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch
            assert number == 0, "the evaluation went on"

    config = small.config("teacher", tmp_path / "teacher", clips, **SMALL)
    config.data.val = "train"  # three batches
    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "predict_batches", stop_in_evaluation)
        for _ in range(2):  # the second time in the evaluation that the first one left to it
            with pytest.raises(loop.Stopped, match="step 3 of 6"):
                small.run(config)
    assert [line["step"] for line in small.lines(small.run(config)) if "val/top1" in line] == [3, 6]


def test_a_full_disk_keeps_the_last_checkpoint(clips, teacher, tmp_path, monkeypatch):
    free = iter([2**40] + [0] * 9)
    usage = lambda path: shutil._ntuple_diskusage(2**40, 0, next(free))
    config = small.config("teacher", tmp_path / "teacher", clips, **SMALL)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", usage)
        with pytest.raises(OSError, match="No space left"):
            small.run(config)
    resumed = small.run(config)
    assert small.same_arrays(resumed / "variables.npz", teacher / "variables.npz")


def test_distil_then_finetune_start_from_what_they_name(clips, teacher, tmp_path):
    config = small.config("distill", tmp_path / "distill", clips, teacher=str(teacher), epochs=1.0, **SEES)
    distilled = small.run(config)
    assert {"train/l1", "train/soft"} <= small.lines(distilled)[0].keys()
    config = small.config("finetune", tmp_path / "tuned", clips, init=str(distilled), **SEES)
    job = setup.prepare(config, dependencies.ensure(config))
    chex.assert_trees_all_equal(jax.device_get(job.variables), run_folder.load_run(distilled).variables["model"])


def test_a_head_for_other_labels(teacher, tmp_path):
    other = shards.clip_directory(tmp_path / "clips", videos=CLIPS, classes=2)
    config = small.config("teacher", tmp_path / "run", other, init=str(teacher), **SMALL)
    with pytest.raises(run_folder.RunError, match=r"knows 3 labels .* has 2"):
        setup.prepare(config, dependencies.ensure(config))
    config.init_skip = (".*classifier/.*",)
    job = setup.prepare(config, dependencies.ensure(config))
    before = run_folder.load_run(teacher).variables["model"]
    np.testing.assert_array_equal(
        job.variables["params"]["stem"]["spatial"]["kernel"], before["params"]["stem"]["spatial"]["kernel"]
    )
    assert job.variables["params"]["classifier"]["kernel"].shape[-1] == 2


def test_merge_lists_everything_that_does_not_fit():
    fresh = {"a": np.zeros(2), "b": np.zeros(3), "c": np.zeros(1)}
    loaded = {"b": np.zeros(4), "c": np.zeros(1), "d": np.zeros(1)}
    with pytest.raises(ValueError, match="(?s)- a is missing.*[+] d of the weights.*! b is"):
        merge(fresh, loaded, ())
    merged = merge(fresh, {"a": np.ones(2), "b": np.zeros(4), "c": np.ones(1)}, ("b",))
    assert merged["a"].sum() == 2
    assert merged["b"].shape == (3,)
    with pytest.raises(ValueError, match="matches no parameter"):
        merge(fresh, fresh, ("x.*",))


def test_other_config_in_the_same_folder(teacher, clips):
    config = small.config("teacher", teacher, clips, **SMALL, optim__lr=0.5)
    with pytest.raises(run_folder.RunError, match=r"(?s)config.optim.lr: it has 0.004, asked for 0.5.*Delete"):
        setup.prepare(config, dependencies.ensure(config))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__batch": 12}, "multiple of 8"),
        ({"mesh": (3, 1)}, "does not fit 8 devices"),
        ({"optim__accumulate": 2}, "8 devices x optim.accumulate=2: use a multiple of 16"),
        ({"data__streams": 3}, "data.streams=3: leave --config.data.streams=0, or set 1"),
        ({"data__frames": 9}, "data.frames=2"),
        ({"data__crop": 40}, "--short_side"),
        ({"data__val": "nope"}, r"its split 'nope' is not there; set --config.data.val to one of test, train, val"),
        ({"data__val": "test"}, "config.data.val=test is also the split that is reported, so config.best=top1"),
        ({"epochs": 0.0}, "config.epochs=0.0: it must be a number above 0"),
        ({"optim__lr_scale": (("nope/.*", 0.0),)}, "matches no parameter"),
    ],
)
def test_what_does_not_fit_stops_before_work_starts(clips, tmp_path, changes, words):
    config = small.config("teacher", tmp_path / "run", clips, **changes)
    with pytest.raises(ValueError, match=words):
        loop.train(config, dependencies.ensure(config))
    assert not (tmp_path / "run").exists()


def test_a_cut_shard_stops_before_work_starts(tmp_path):
    directory = shards.clip_directory(tmp_path / "clips", videos=CLIPS)
    shard = sorted(directory.glob("clips-val*"))[1]
    shard.write_bytes(shard.read_bytes()[:-500])
    config = small.config("teacher", tmp_path / "run", directory)
    with pytest.raises(ValueError, match=f"{shard.name} is damaged"):
        setup.prepare(config, dependencies.ensure(config))


def test_freezing_and_scaled_rates(clips):
    params = {"trunk": {"kernel": jnp.ones((2, 2))}, "classifier": {"kernel": jnp.ones((2, 2))}}
    make = lambda scale: optim.make_optimizer(
        params,
        lambda _: 0.1,
        name="sgd",
        momentum=0.0,
        weight_decay=0.0,
        clip_norm=0.0,
        lr_scale=(("trunk/.*", 0.0), ("classifier/.*", scale)),
    )
    optimizer = make(0.5)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(updates["trunk"]["kernel"], 0)
    np.testing.assert_allclose(updates["classifier"]["kernel"], -0.05)


def test_schedules():
    drops = optim.make_schedule(lr=1.0, total=30, warmup=10, name="milestones", milestones=(20,), factor=0.1)
    assert float(drops(10)) == pytest.approx(1.0)
    assert float(drops(19)) == pytest.approx(1.0)
    assert float(drops(20)) == pytest.approx(0.1)
    cosine = optim.make_schedule(lr=1.0, total=30, warmup=10, name="cosine", milestones=(), factor=0.1)
    assert float(cosine(5)) == pytest.approx(0.55)
    assert float(cosine(30)) == pytest.approx(0.0, abs=1e-6)
    constant = optim.make_schedule(lr=0.5, total=30, warmup=10, name="constant", milestones=(), factor=0.1)
    assert [float(constant(step)) for step in (5, 10, 300)] == pytest.approx([0.275, 0.5, 0.5])
