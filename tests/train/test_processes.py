"""Real processes: a run that moves between numbers of devices and processes, and processes that do not meet."""

import json
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from l2l.data import loader, schema
from l2l.data.features import FeatureReader
from l2l.runs import dependencies, processes, run_folder
from l2l.runs.config import load_config
from l2l.train import extract, loop
from tests.helpers import shards, small
from tests.helpers.videos import write_video

STEPS = 45
LIMIT = 300  # seconds after which a process hangs


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("processes")
    shards.clip_directory(work / "clips", videos={"train": 24, "val": 13})
    shards.clip_directory(work / "long", videos={"train": 9, "val": 4}, clips=5)
    return work


def free_port() -> int:
    with socket.socket() as at:
        at.bind(("127.0.0.1", 0))
        return at.getsockname()[1]


def pair(words: list[str]) -> list:
    """Two processes of one device each as one program."""
    where = f"--config.distributed=127.0.0.1:{free_port()}"
    return [small.start([*words, f"{where},{index},2"]) for index in range(2)]


def ended(process) -> tuple[int, str]:
    """(exit code, what it said)."""
    said = process.communicate(timeout=LIMIT)[1]
    return process.returncode, said


def stop_after(run, process, count: int, asked) -> float:
    """Sends SIGTERM once the run has logged `count` more steps; returns when."""
    small.wait_until_written(run, process, count)
    assert process.poll() is None, f"it ended too early: {process.communicate()[1]}"
    asked.send_signal(signal.SIGTERM)
    return time.monotonic()


@pytest.fixture(scope="module")
def how():
    """The run of these tests: on eight devices its state lies spread over them."""
    return {"epochs": STEPS / 3, "eval_epochs": 2.0, "save_epochs": 0, "shard_min": 16, "model__modality": "image"}


@pytest.fixture(scope="module")
def straight(work, how):
    """The run from beginning to end on eight devices."""
    return small.run(small.config("finetune", work / "straight", work / "clips", data__shuffle=1024, **how))


@pytest.fixture(scope="module")
def moved(work, how):
    """(run, what each process said) of one that began on eight devices and went on on one, then in two processes.

    Every time it is asked to stop; of the two processes only one is asked.
    """
    config = small.config("finetune", work / "moved", work / "clips", data__shuffle=1024, **how)
    with pytest.MonkeyPatch.context() as patched:
        small.stop_at(patched, 4)
        with pytest.raises(loop.Stopped, match=f"step 4 of {STEPS}"):
            small.run(config)
    words = small.command(work / "moved", work / "clips", **how)
    alone = small.start(words)
    since = stop_after(work / "moved", alone, 4, alone)
    assert ended(alone)[0] == 75
    assert time.monotonic() - since < 60
    both = pair(words)
    stop_after(work / "moved", both[0], 4, both[1])
    both = [ended(process) for process in both]
    assert [code for code, _ in both] == [75, 75], both
    return work / "moved", [said for _, said in both]


def test_moving_a_run_changes_only_the_rounding(straight, moved):
    run, said = moved
    found, wanted = small.lines(run), small.lines(straight)
    assert len(found) > 12
    assert [line.keys() for line in found] == [line.keys() for line in wanted[: len(found)]]
    for a, b in zip(found, wanted, strict=False):
        assert a["step"] == b["step"]
        if "train/loss" in a:
            np.testing.assert_allclose(a["train/loss"], b["train/loss"], rtol=1e-5 if a["step"] == 1 else 1e-3)
    assert "continuing at step" in said[0]
    assert "examples/s" in said[0]
    assert "examples/s" not in said[1]


def test_a_run_of_eight_devices_serves_infer_on_one(work, straight):
    write_video(work / "film.mp4", seconds=3, clicks=(0.5, 1.7))
    words = [sys.executable, "-m", "l2l.infer", str(work / "film.mp4"), f"--run={straight}", "--json"]
    process = small.start(words, stdout=subprocess.PIPE)
    out, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, said
    assert len(json.loads(out)["top"]) == 3


def test_two_processes_extract_the_same(work, straight):
    c = load_config("configs/extract.py:sample")
    c.makers, c.data.dir, c.student, c.data.eval_batch = (), str(work / "long"), str(straight), 8
    c.run = str(work / "alone")
    extract.extract(c, dependencies.ensure(c))
    words = [sys.executable, "-m", "l2l.main", "--config=configs/extract.py", "--config.makers=()"]
    words += [f"--config.data.dir={c.data.dir}", f"--config.student={c.student}", "--config.data.eval_batch=8"]
    both = [ended(x) for x in pair([*words, f"--config.run={work / 'both'}"])]
    assert [code for code, _ in both] == [0, 0], both
    for split, count in (("train", 9), ("val", 4)):
        a, b = (features(work / name, split) for name in ("alone", "both"))
        assert [x["video_id"] for x in a] == [x["video_id"] for x in b]
        assert len(a) == count
        for x, y in zip(a, b, strict=True):
            assert len(x["times"]) == 5
            np.testing.assert_allclose(x["image"], y["image"], rtol=2e-3, atol=1e-5)


def features(directory, split: str) -> list[dict]:
    index = schema.load_index(directory, kind="features")
    reader = FeatureReader(16, 0, 3, (8,))
    return list(loader.eval_records(schema.shard_paths(directory, index, split), reader.eval, batch=8))


@pytest.mark.parametrize("index", [0, 1])
def test_processes_that_do_not_meet_say_so(work, index):
    """Process 0 waits for another that was never started, process 1 for a coordinator that does not answer."""
    words = small.command(work / "lonely", work / "clips", patience=2.0)
    switch = f"127.0.0.1:{free_port()},{index},2"
    code, said = ended(small.start([*words, f"--config.distributed={switch}"]))
    assert code == 1
    assert f"error: config.distributed={switch}: the processes did not meet within 2 s" in said
    assert "Traceback" not in said
    assert not (work / "lonely").exists()


@pytest.mark.parametrize("switch", ["yes", "10.0.0.1,0,2", "10.0.0.1:80,2,2", "10.0.0.1:80,0"])
def test_a_switch_that_is_not_understood(switch):
    with pytest.raises(ValueError, match=r"neither auto nor HOST:PORT,INDEX,COUNT, as in 10.0.0.1:1234,0,2"):
        processes.start(switch, 1.0)


def test_auto_needs_something_that_started_the_processes(work):
    words = small.command(work / "lonely", work / "clips", distributed="auto")
    code, said = ended(small.start(words))
    assert code == 1
    assert "error: config.distributed=auto" in said
    assert "HOST:PORT,INDEX,COUNT" in said
    assert "Traceback" not in said


def test_inputs_are_not_made_by_several_processes(monkeypatch, tmp_path):
    monkeypatch.setattr("jax.distributed.is_initialized", lambda: True)
    with pytest.raises(run_folder.RunError, match="first `python -m data_prep.sample`"):
        dependencies.make("data", str(tmp_path / "none"), "data_prep.sample")
