"""What release 0.1.0 wrote is read, and says what it said: tests/release, which its make.py made at that release."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import l2l
from data_prep import verify, write_shards
from l2l.data import schema

HERE = Path(__file__).parent / "release"
ANSWERS = json.loads((HERE / "answers.json").read_text())


def same(before, now) -> None:
    """All that was said is said now; numbers but for their rounding."""
    if isinstance(before, dict):
        for key, value in before.items():
            same(value, now[key])
    elif isinstance(before, list):
        assert len(before) == len(now)
        for one, other in zip(before, now, strict=True):
            same(one, other)
    elif isinstance(before, float):
        np.testing.assert_allclose(now, before, rtol=1e-4, atol=1e-6)
    else:
        assert before == now


@pytest.mark.parametrize("name", ANSWERS)
def test_a_run_and_an_export_answer_as_they_did(name):
    answer = l2l.load(HERE / name).classify(HERE / "film.mp4").to_json()
    same(ANSWERS[name] | {"path": str(HERE / "film.mp4")}, answer)


def test_shards_are_whole_and_left_alone(tmp_path, capsys):
    """The command that made them finds nothing to do but to note where the video is."""
    shutil.copytree(HERE, tmp_path / "here")
    before = {path.name: path.read_bytes() for path in (HERE / "clips").iterdir() if path.is_file()}
    out = tmp_path / "here/clips"
    flags = ["--frames=2", "--hop=0.5", "--short_side=16", "--workers=1"]
    assert write_shards.main([f"--videos={tmp_path / 'here/list.csv'}", f"--out={out}", *flags]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before | {
        schema.VIDEOS: b'{\n "film.mp4": "../film.mp4"\n}\n'
    }
    assert verify.main([str(out), "--workers=1"]) == 0
    assert "is whole" in capsys.readouterr().out
