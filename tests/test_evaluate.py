"""Measuring a finished run on other shards."""

import json

import pytest

from l2l import evaluate, runs
from tests import shards, small


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    where = tmp_path_factory.mktemp("evaluate")
    data = shards.clip_directory(where / "clips", videos={"train": 16, "val": 5})
    return small.run(small.config("teacher", where / "teacher", data, epochs=1.0))


def test_a_finished_run_on_other_shards(teacher, tmp_path, capsys):
    other = shards.clip_directory(tmp_path / "other", videos={"test": 11})
    assert evaluate.main([str(teacher), f"--data={other}", "--split=test", "--batch=8"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["examples"] == 11
    assert 0 <= found["top1"] <= found["top5"] <= 1
    assert found["run"] == runs.load_run(teacher).hash


def test_the_same_shards_give_the_recorded_numbers(teacher, capsys):
    data = teacher.parent / "clips"
    assert evaluate.main([str(teacher), f"--data={data}", "--split=val", "--batch=8"]) == 0
    found = json.loads(capsys.readouterr().out)
    recorded = runs.read_json(teacher / "done.json")["metrics"]
    assert {key: found[key] for key in recorded} == pytest.approx(recorded)


def test_other_labels_are_refused_in_one_line(teacher, tmp_path, capsys):
    other = shards.clip_directory(tmp_path / "other", videos={"test": 4}, classes=2)
    assert evaluate.main([str(teacher), f"--data={other}", "--split=test"]) == 1
    said = capsys.readouterr().err
    assert "knows 3 labels" in said
    assert said.count("\n") == 1


def test_not_a_run(tmp_path, capsys):
    assert evaluate.main([str(tmp_path), f"--data={tmp_path}"]) == 1
    assert "is not a run folder" in capsys.readouterr().err
