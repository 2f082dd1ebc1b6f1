"""What a run tells of itself: memory that stays flat, the step and the term that went wrong, a trace."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from l2l.core import terminal
from l2l.data.dataset import source_of
from l2l.runs import run_folder
from l2l.train import log
from tests.helpers import shards, small

STEPS = 5000
VIDEOS = {"train": 80, "val": 16}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A student of the sample's size, and features as it makes them."""
    work = tmp_path_factory.mktemp("watch")
    clips = shards.clip_directory(work / "clips", videos={"train": 8, "val": 4})
    size = {"model__stages": (1, 1, 1, 1), "model__feature": 64, "epochs": 0.0, "best": ""}
    small.run(small.config("finetune", work / "student", clips, **size))
    shards.feature_directory(work / "features", videos=VIDEOS, width=64)
    return work


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("L2L_SOAK"), reason="takes long: make soak")
def test_memory_is_flat(work, monkeypatch):
    """Peaks: nothing grows, neither in steps nor in evaluations and saves. On CPU a device's memory is the host's."""
    monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS")  # here the steps are the work, not the compiling
    numbers = {
        "run": work / "long",
        "makers": "()",
        "data.dir": work / "features",
        "data.test": "val",
        "student": work / "student",
        "data.batch": 16,
        "data.lengths": "(24,)",
        "epochs": STEPS * 16 / 80,
        "eval_epochs": 5,  # every 25 steps, as often as the sample does
        "save_epochs": 10,
        "log_every": 10,
    }
    flags = [f"--config.{key}={value}" for key, value in numbers.items()]
    process = small.start([sys.executable, "-m", "l2l.main", "--config=configs/skim.py", *flags])
    said = process.communicate(timeout=1200)[1]
    assert process.returncode == 0, said
    found = [json.loads(line) for line in (work / "long" / "metrics.jsonl").read_text().splitlines()]
    peaks = {line["step"]: line["time/memory_gib"] for line in found if "time/memory_gib" in line}
    assert max(peaks) == STEPS
    assert peaks[STEPS] - peaks[STEPS // 2] < 0.04, peaks  # the allocator needs a few hundred steps to settle


@pytest.fixture
def poisoned(work, tmp_path, monkeypatch):
    """A run over features of which one training video holds a NaN, and the step that meets it first."""
    video = shards.feature_video

    def feature_video(rng, name, label, width):
        made = video(rng, name, label, width)
        made["image"][0, 0] = np.nan if name == "train36" else made["image"][0, 0]
        return made

    monkeypatch.setattr(shards, "feature_video", feature_video)
    directory = shards.feature_directory(tmp_path / "features", videos=VIDEOS, width=64)
    config = small.config("skim", tmp_path / "run", directory, student=str(work / "student"), head=0.1, log_every=4)
    config.epochs, config.data.test, config.data.streams = 2.0, "val", 4
    numbers = {"batch": 8, "streams": 4, "seed": config.seed, "first_step": 0, "shuffle": config.data.shuffle}
    batches = source_of(config, str(directory)).train("train", draw="video", **numbers)
    step = next(i for i, batch in enumerate(batches, start=1) if np.isnan(batch["image"]).any())
    assert step % 4, "it must lie between two log lines"
    return config, step


@pytest.mark.parametrize("save_epochs", [0.0, 0.1])
def test_the_step_and_the_term_of_a_bad_loss(poisoned, save_epochs):
    """The term in which it began, not what it spoilt; and no checkpoint holds it."""
    config, step = poisoned
    config.eval_epochs, config.save_epochs = 0.0, save_epochs
    with pytest.raises(log.NotFinite, match=f"train/head became nan at step {step}: "):
        small.run(config)
    assert max((line["step"] for line in small.lines(Path(config.run))), default=0) < step
    saved = [int(path.name) for path in (Path(config.run) / "checkpoints").iterdir() if path.name.isdigit()]
    assert max(saved, default=0) == (step - 1 if save_epochs else 0)
    assert not run_folder.is_finished(Path(config.run))


def test_terms_come_before_the_loss_and_the_loss_before_the_norms():
    nan = float("nan")
    values = {"train/grad_norm": nan, "train/l1": 1.0, "train/loss": nan, "train/soft": nan}
    with pytest.raises(log.NotFinite, match="train/soft became nan at step 7"):
        log.check_finite(7, values)
    with pytest.raises(log.NotFinite, match="train/loss became nan"):
        log.check_finite(7, values | {"train/soft": 0.0})
    log.check_finite(7, {"train/loss": 1.0})


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; move it with clock.append(seconds)."""
    moments = [0.0]
    monkeypatch.setattr(log.time, "perf_counter", lambda: moments[-1])
    return moments


def test_a_line_of_a_step_is_its_own(clock, capsys):
    progress = log.Progress("run", first=0, total=200, batch=8)
    progress.begin(1)  # what came before was compiling
    values = {"train/loss": 0.1254, "train/top1": 0.636, "train/l1": 3.0, "train/grad_norm": 9.0}
    assert progress.report(1, values).keys() == {"time/memory_gib"}
    clock.append(10.0)
    progress.waited(2.5)
    times = progress.report(51, values)
    assert (times["time/examples_per_s"], times["time/data_wait"]) == (40.0, 0.25)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "run      1/200   0 %  loss 0.1254  top1 63.6 %"
    shown = (
        r"run     51/200  26 %  loss 0.1254  top1 63.6 %  40 examples/s  data wait 25 %  memory \d+.\d\d GiB  left 0:29"
    )
    assert re.fullmatch(shown, second)


def test_what_takes_long_is_told_where_there_is_no_terminal(clock, capsys):
    with terminal.Bar("extract mine", total=40, unit="video", keep=True) as bar:
        for second in range(1, 41):
            clock.append(second)
            bar.update()
    assert capsys.readouterr().err.splitlines() == [
        "extract mine 20/40 videos  50 %  1.0 videos/s  left 0:20",
        "extract mine 40/40 videos 100 %  1.0 videos/s  left 0:00",
        "extract mine: 40 videos in 0:40",
    ]


def test_a_trace_of_a_few_steps(work, tmp_path):
    directory = shards.feature_directory(tmp_path / "features", videos={"train": 16, "val": 8}, width=64)
    config = small.config("skim", tmp_path / "run", directory, student=str(work / "student"))
    config.epochs, config.data.test, config.best, config.profile = 6.0, "val", "", True
    small.run(config)
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))
    written = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    times = {key for line in written for key in line if key.startswith("time/")}
    assert times == {"time/examples_per_s", "time/data_wait", "time/memory_gib"}
    assert not any(key.startswith("val/") for line in written for key in line)  # there is no split to choose on
    kept = run_folder.read_json(tmp_path / "run" / run_folder.DONE)["kept"]
    assert kept == {
        "step": max(line["step"] for line in written),
        "why": "the last one, as there is no validation split",
    }
    assert all(line["time/memory_gib"] > 0.1 for line in written if "time/memory_gib" in line)


def test_tensorboard_where_it_is_installed(tmp_path, monkeypatch):
    """A stand-in with the package's names: the package itself is not among the requirements."""
    package = tmp_path / "path" / "tensorboard"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "summary.py").write_text(WRITER)
    monkeypatch.syspath_prepend(package.parent)
    for name in ("tensorboard", "tensorboard.summary"):
        monkeypatch.setitem(sys.modules, name, None)  # so that what is imported here is forgotten afterwards
        del sys.modules[name]
    board = log.MetricLog(tmp_path, lines=0, active=True)
    board.write(3, {"train/loss": 1.5, "val/top1": 0.25})
    board.close()
    written = (tmp_path / "tensorboard" / "scalars").read_text().splitlines()
    assert written == ["train/loss 1.5 3", "val/top1 0.25 3", "closed"]


WRITER = """
import pathlib

class Writer:
    def __init__(self, output):
        pathlib.Path(output).mkdir()
        self.file = open(pathlib.Path(output) / "scalars", "w")

    def add_scalar(self, tag, data, step):
        print(tag, data, step, file=self.file)

    def close(self):
        print("closed", file=self.file)
        self.file.close()
"""
