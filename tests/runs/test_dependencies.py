"""What a run builds on: made when missing, checked when there, and one clear line when neither works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from l2l.core import atomic
from l2l.runs import dependencies, run_folder
from l2l.runs.config import plain
from l2l.train import setup
from tests.helpers import shards, small, xla

ROOT = Path(__file__).parents[2]
MAKER = """
import sys
from pathlib import Path
from tests.helpers import shards
out = Path(next(a.removeprefix("--out=") for a in sys.argv if a.startswith("--out=")))
if "--fail" in sys.argv:
    sys.exit(3)
shards.clip_directory(out, videos={"train": 16, "val": 4}, made_by=" ".join(["made_for_test", *sys.argv[2:]]))
"""


@pytest.fixture
def maker(tmp_path, monkeypatch):
    """A preparation command of its own, `python -m made_for_test --out=DIR ...`."""
    (tmp_path / "made_for_test.py").write_text(MAKER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    return tmp_path / "clips"


def test_what_is_missing_is_made_and_then_found(maker, tmp_path):
    config = small.config("teacher", tmp_path / "run", maker)
    config.makers = ((str(maker), f"made_for_test --out={maker} --seed=0"),)
    first = dependencies.ensure(config)
    made = (maker / "index.json").stat().st_mtime_ns
    assert dependencies.ensure(config) == first
    assert (maker / "index.json").stat().st_mtime_ns == made
    config.makers = ((str(maker), f"made_for_test --out={maker} --seed=1"),)
    with pytest.raises(
        run_folder.RunError, match=r"made by `made_for_test --seed=0`.*asks for `made_for_test --seed=1`.*delete"
    ):
        dependencies.ensure(config)


def test_missing_without_a_maker_names_the_path_and_the_command(tmp_path):
    config = small.config("teacher", tmp_path / "run", tmp_path / "nothing")
    with pytest.raises(run_folder.RunError, match=r"nothing \(config.data.dir\) is missing.*data_prep.write_shards"):
        dependencies.ensure(config)


def test_a_maker_that_fails_or_makes_something_else(maker, tmp_path):
    config = small.config("teacher", tmp_path / "run", maker)
    config.makers = ((str(maker), f"made_for_test --out={maker} --fail"),)
    with pytest.raises(run_folder.RunError, match="ended with code 3"):
        dependencies.ensure(config)
    config.makers = ((str(maker), f"made_for_test --out={tmp_path / 'elsewhere'}"),)
    with pytest.raises(run_folder.RunError, match="did not make"):
        dependencies.ensure(config)


def test_an_input_made_from_other_data_is_named(maker, tmp_path):
    """The run that a maker made is checked against the config that would make it now, and against its own inputs."""
    data = shards.clip_directory(tmp_path / "data", videos={"train": 16, "val": 4})
    config = small.config("teacher", tmp_path / "run", data)
    run = setup.prepare(config, dependencies.ensure(config)).run
    now = {"config": plain(config), "inputs": dependencies.ensure(config)}
    run_folder.check_same(run, now)
    now["inputs"]["data"]["hash"] = "0" * 16
    now["config"]["seed"] = 7
    with pytest.raises(
        run_folder.RunError,
        match=r"(?s)config.seed: it has 0, asked for 7.*input data .*made from .* there is now 0000",
    ):
        run_folder.check_same(run, now)


def test_a_run_of_the_release_before_streams_were_found(tmp_path):
    """Finished, it is left alone, whatever its order of examples was; unfinished, it cannot go on in another one."""
    data = shards.clip_directory(tmp_path / "data", videos={"train": 16, "val": 4})
    config = small.config("teacher", tmp_path / "run", data, data__streams=0)
    now = {"config": plain(config), "inputs": dependencies.ensure(config), "order": 2}
    run = setup.prepare(config, dependencies.ensure(config)).run
    record = run_folder.read_json(run / "config.json")
    assert (record["order"], record["config"]["data"]["streams"]) == (2, 8)
    run_folder.start(run, now)
    del record["order"], record["config"]["data"]["draw"]
    record["config"]["data"] |= {"streams": 4, "shuffle": 256}
    atomic.write_json(run / "config.json", record)
    with pytest.raises(run_folder.RunError, match=f"another order.*delete {run} to begin it again"):
        run_folder.start(run, now)
    (run / "done.json").write_text("{}")
    run_folder.start(run, now)
    now["config"]["seed"] = 7
    with pytest.raises(run_folder.RunError, match="config.seed: it has 0, asked for 7\nDelete"):
        run_folder.check_same(run, now)


def main(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "l2l.main", *arguments]
    environment = os.environ | {"XLA_FLAGS": xla.flags(1)}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config=configs/teacher.py", "--config.optim.learning_rate=1"], "learning_rate"),
        (["--config=configs/teacher.py:nope"], "choose from sample"),
        (["--config=configs/nope.py"], "nope.py"),
        (
            ["--config=configs/teacher.py", "--config.data.dir=/nowhere", "--config.run=/tmp/none"],
            "/nowhere (config.data.dir) is missing",
        ),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(arguments, words):
    done = main(*arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
