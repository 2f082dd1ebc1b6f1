"""What a sweep counts as done: the runs and the measurements it asks for, and no others."""

import json
import os
from pathlib import Path

import pytest

from l2l import sweep
from l2l.data import schema
from l2l.runs import run_folder
from tests.helpers import tables_runs


def entry(path: Path, **overrides) -> dict:
    return {"name": "a", "config": "configs/teacher.py", "seed": 0, "overrides": overrides | {"run": str(path)}}


@pytest.fixture
def finished(tmp_path) -> Path:
    return tables_runs.finished(tmp_path / "a", "teacher.py", {"top1": 0.5}, seed=0)


def test_a_finished_run_as_asked_for_is_done(finished, tmp_path):
    assert sweep.is_done(entry(finished))
    assert not sweep.is_done(entry(tmp_path / "b"))
    assert sweep.tabulate([entry(finished)])["a"]["top1"]["values"] == [0.5]


def test_a_run_of_another_config_is_refused(finished, tmp_path, capsys):
    with pytest.raises(run_folder.RunError, match=r"(?s)config.optim.lr: it has 0.004, asked for 0.5.*Delete"):
        sweep.is_done(entry(finished, **{"optim.lr": 0.5}))
    file = tmp_path / "sweep.py"
    file.write_text(f"get_runs = lambda out: [{entry(finished, epochs=1.0)!r}]")
    assert sweep.main([f"--sweep={file}", f"--out={tmp_path}"]) == 1
    assert "config.epochs: it has 12.0, asked for 1.0" in capsys.readouterr().err
    assert not (tmp_path / "sweep.json").exists()


def test_a_run_of_other_data_is_refused(finished, tmp_path):
    """Only data that is there can differ: what was deleted meanwhile says nothing."""
    data = {"data.dir": str(tmp_path / "data")}
    run = tables_runs.finished(tmp_path / "b", "teacher.py", {}, seed=0, data__dir=data["data.dir"])
    assert sweep.is_done(entry(run, **data))
    (tmp_path / "data").mkdir()
    schema.save_index(tmp_path / "data", schema.Index("clips", ("a",), {}, {}))
    with pytest.raises(run_folder.RunError, match=r"input data \(.*/data\): made from d, there is now "):
        sweep.is_done(entry(run, **data))


def test_more_epochs_are_not_done(tmp_path):
    changes = {"seed": 0, "optim__schedule": "constant"}
    run = tables_runs.finished(tmp_path / "a", "teacher.py", {}, **changes)
    (run / "checkpoints" / "7").mkdir(parents=True)
    assert sweep.is_done(entry(run, **{"optim.schedule": "constant"}))
    assert not sweep.is_done(entry(run, **{"optim.schedule": "constant", "epochs": 13.0}))


def test_a_measurement_of_the_run_as_it_was_is_made_again(finished):
    step = {"command": ["l2l.curves", str(finished)], "makes": str(finished / "curves.json")}
    assert not sweep.is_done(step)
    measured = {"split": "test", "examples": 1, "mAP_classes": 1, "positions": 1.0, "points": [], "selections": []}
    for of, done in ((run_folder.hash_at(finished), True), ("0" * 16, False)):
        (finished / "curves.json").write_text(json.dumps(measured | {"run": of}))
        assert sweep.is_done(step) == done


def test_what_may_be_made_at_a_time(tmp_path):
    data = tmp_path / "data"
    first, second = (entry(tmp_path / name, **{"data.dir": str(data)}) for name in ("a", "b"))
    third = entry(tmp_path / "c", **{"data.dir": str(data), "init": str(tmp_path / "a")})
    measured = {"command": ["l2l.curves", str(tmp_path / "c")], "makes": str(tmp_path / "c" / "curves.json")}
    runs = [first, second, third, measured]
    assert sweep.at_once(runs) == [first]  # the data are not there: one alone makes them
    data.mkdir()
    schema.save_index(data, schema.Index("clips", ("a",), {}, {}))
    assert sweep.at_once(runs) == [first, second]
    tables_runs.finished(tmp_path / "a", "teacher.py", {}, seed=0)
    assert sweep.at_once(runs[1:]) == [second, third]
    assert sweep.at_once([third, measured]) == [third]


def test_several_at_a_time(finished, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "is_done", lambda run: False)
    names = [f"{n}.json" for n in range(3)]
    runs = [{"command": ["tests.helpers.writes", str(finished), name], "makes": str(finished / name)} for name in names]
    sweep.sweep(runs, jobs=2)
    assert os.getpid() not in {int((finished / name).read_text()) for name in names}
    for name in names:
        assert (finished / f"{name}.log").read_text() == f"this is {name}\n"
    said = capsys.readouterr().err
    assert "[1-3/3] 3 entries, 2 at a time" in said
    assert all(f"{finished / name} is there; what it said: {finished / name}.log" in said for name in names)
