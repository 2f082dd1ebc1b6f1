"""The two comparisons that there are: every arm has settings to choose, every difference names what is there."""

import dataclasses

import numpy as np
import pytest

from benchmarks import real_features
from l2l.compare import __main__ as compare
from l2l.compare import costs, sample
from l2l.compare.choice import family_of
from l2l.compare.study import LOOKS
from l2l.models.student import Fusion
from l2l.runs.config import load_config, plain
from tests.compare.made import made


@pytest.mark.parametrize("study_of", [sample.study_of, real_features.study_of])
def test_nothing_is_missing(study_of, tmp_path):
    study = study_of(tmp_path)
    names = [arm.name for arm in study.arms]
    assert len(set(names)) == len(names)
    families = {family_of(arm) for arm in study.arms if arm.kind != "scores"}
    assert families == study.grids.keys()
    for difference in study.differences:
        for side in (difference.ours, difference.theirs):
            arm, _, way = side.rpartition(", ")
            assert arm in (*names, "best LSTM"), side
            assert way in ("all", "best", "soft", "hard") or int(way.removeprefix("T=")) in LOOKS
    assert {*study.lstm, study.exits} <= {*names}


def test_uniform_positions_by_the_preview_cost_no_less_than_a_listener():
    config = load_config("configs/preview.py")
    config.model.preview = 10  # as configs/sweep_listen.py has it
    features = dataclasses.replace(made(), config=plain(config), fusion=Fusion(64))
    videos = {"valid": np.ones((1, 31), bool), "has_audio": np.ones(1, bool)}
    arms = {arm.name: arm for arm in sample.arms()}
    for looks, count in zip(LOOKS, sample.COUNTS, strict=True):
        listener = costs.gmacs(arms["glance, preview"], features, videos, looks)
        rival = arms[f"uniform {count} by preview, judge"]
        fewer, enough = (costs.gmacs(rival, features, videos, n) for n in (count - 1, count))
        assert fewer < listener <= enough


@pytest.mark.parametrize("what", ["choose", "measure"])
def test_without_students_it_says_what_makes_them(what, tmp_path, capsys):
    assert compare.main([what, str(tmp_path / "none")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert not (tmp_path / "none").exists()
    assert "none holds no features of students (extract/0): make them with python -m l2l.sweep --sweep=listen" in line


def test_students_are_folders_of_runs_and_not_what_lies_beside_them(tmp_path):
    for name in ("10", "2"):
        (tmp_path / "extract" / name).mkdir(parents=True)
    (tmp_path / "extract" / "2.log").write_text("what `l2l sweep --jobs=2` writes")
    assert sample.students_of(tmp_path) == [2, 10]
