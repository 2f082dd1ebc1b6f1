"""Measuring a finished run on other shards."""

import json
from pathlib import Path

import numpy as np
import pytest

from l2l.core import atomic, trees
from l2l.evaluate import __main__ as evaluate
from l2l.evaluate import evaluation, metrics
from l2l.runs import run_folder
from tests.helpers import shards, small


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    where = tmp_path_factory.mktemp("evaluate")
    data = shards.clip_directory(where / "clips", videos={"train": 16, "val": 5})
    return small.run(small.config("teacher", where / "teacher", data, epochs=0.0, model__stages=(1, 1)))


def test_a_finished_run_on_other_shards(teacher, tmp_path, capsys):
    other = shards.clip_directory(tmp_path / "other", videos={"test": 11})
    assert evaluate.main([str(teacher), f"--data={other}", "--split=test", "--batch=8"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["examples"] == 11
    assert 0 <= found["top1"] <= found["top5"] <= 1
    assert found["run"] == run_folder.load_run(teacher).hash
    assert evaluate.main([str(teacher), f"--data={other}", "--batch=8"]) == 0
    assert json.loads(capsys.readouterr().out) == found  # the split that there is to report


def test_clips_of_a_video_are_measured_together(teacher, tmp_path, capsys):
    run = run_folder.load_run(teacher)
    long = shards.clip_directory(tmp_path / "long", videos={"val": 6}, clips=3)
    assert evaluate.main([str(teacher), f"--data={long}", "--batch=8", "--by_video"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["examples"], found["clips"], found["split"]) == (6, 18, "val")
    clips = evaluation.predictions(run, evaluation.open_for(run, str(long), ""), "val", 8)
    scores = metrics.probabilities(clips["logits"].astype(np.float64), False).reshape(6, 3, 3).mean(axis=1)
    labels = clips["labels"][::3]
    assert found["top1"] == metrics.top_k(scores, labels, 1)
    assert found["mAP"] == pytest.approx(np.mean(metrics.average_precisions(scores, labels)))


@pytest.mark.parametrize("multi_label", [False, True])
def test_scores_of_a_video_are_the_mean_of_its_clips(multi_label):
    """In any order of clips, of any number a video."""
    rng = np.random.default_rng(0)
    names = np.array([b"b", b"a", b"b", b"c", b"a", b"b"])
    arrays = {"logits": 4 * rng.normal(size=(6, 3)), "video_id": names, "has_audio": names != b"c", "times": names}
    arrays["labels"] = np.eye(3)[[{b"a": 0, b"b": 1, b"c": 2}[name] for name in names]]
    found = evaluation.by_video(arrays, multi_label)
    assert found["video_id"].tolist() == [b"b", b"a", b"c"]
    assert found["labels"].argmax(axis=1).tolist() == [1, 0, 2]
    assert found["has_audio"].tolist() == [True, True, False]
    each = metrics.probabilities(arrays["logits"], multi_label)
    expected = [each[names == name].mean(axis=0) for name in found["video_id"]]
    np.testing.assert_allclose(metrics.probabilities(found["logits"], multi_label), expected, rtol=1e-6)


def test_sound_and_silence_are_measured_apart():
    """Every number with its own count; mAP over the classes of its own examples."""
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(20, 7)), np.eye(7)[np.arange(20) % 7]
    heard = np.arange(20) < 5
    found = evaluation.measure({"logits": logits, "labels": labels, "has_audio": heard})
    for kind, rows in (("with", heard), ("without", ~heard)):
        own = metrics.classification(logits[rows].astype(np.float32), labels[rows])
        parts = {key: found[f"{kind}_audio_{key}"] for key in ("top1", "top5", "mAP", "mAP_classes", "examples")}
        assert parts == {key: own[key] for key in parts}
    assert (found["with_audio_examples"], found["without_audio_examples"], found["examples"]) == (5, 15, 20)
    assert (found["with_audio_mAP_classes"], found["without_audio_mAP_classes"]) == (5, 7)


def test_a_split_without_examples(teacher, tmp_path, capsys):
    shards.clip_directory(tmp_path / "other", videos={"val": 0, "far": 3})
    for split, what in (("val", "has no examples"), ("tset", "is not there")):
        assert evaluate.main([str(teacher), f"--data={tmp_path / 'other'}", f"--split={split}", "--batch=8"]) == 1
        said = capsys.readouterr().err
        assert f"its split {split!r} {what}; set --split to one of far" in said
        assert said.count("\n") == 1


def test_descriptors_of_clips_are_not_kept(teacher):
    run, data = run_folder.load_run(teacher), teacher.parent / "clips"
    arrays = evaluation.predictions(run, evaluation.open_for(run, str(data), ""), "val", 8)
    assert arrays.keys() == {"logits", "labels", "has_audio", "video_id", "times"}


def test_weights_that_are_not_finite(teacher, tmp_path):
    """Neither is such a run finished, nor one that was is loaded."""
    variables = trees.load_arrays(teacher / run_folder.VARIABLES)
    variables["model"]["params"]["classifier"]["bias"][1] = np.nan
    run = tmp_path / "run"
    run_folder.start(run, run_folder.read_json(teacher / run_folder.CONFIG))
    with pytest.raises(run_folder.RunError, match="run is not finished: model/params/classifier/bias is not finite"):
        run_folder.finish(run, variables, {}, 1)
    assert not run_folder.is_finished(run)
    trees.save_arrays(run / run_folder.VARIABLES, variables)
    atomic.write_json(run / run_folder.DONE, {"hash": "0", "step": 1, "metrics": {}, "code": ""})
    with pytest.raises(
        run_folder.RunError, match="run cannot be used: in its variables.npz, model/params/classifier/bias is"
    ):
        run_folder.load_run(run)


def test_the_same_shards_give_the_recorded_numbers(teacher, capsys):
    data = teacher.parent / "clips"
    assert evaluate.main([str(teacher), f"--data={data}", "--split=val", "--batch=8"]) == 0
    found = json.loads(capsys.readouterr().out)
    recorded = run_folder.read_json(teacher / "done.json")["metrics"]
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


def test_looks_inside_labelled_stretches():
    """By hand: positions of 1 s whose middles lie at 0.5, 1.5, ...; a stretch holds its start, not its stop."""
    times = np.array([[0.5, 1.5, 2.5, 3.5], [0.5, 1.5, 0, 0], [0.5, 1.5, 2.5, 3.5]], np.float32)
    actions = {"a": [[0.6, 1.6], [2.5, 3.5]], "b": [[1.5, 9.0]]}  # inside: 1 and 2 of four; 1 of two
    arrays = {"video_id": np.array([b"a", b"b", b"c"]), "times": times}
    arrays["counted"] = np.array([[True, True, True], [True, True, False], [True, True, True]])
    arrays["picked"] = np.array([[2, 0, 1], [1, 0, 1], [0, 1, 2]])
    expected = {"inside": 3 / 5, "inside_chance": (3 * 1 / 2 + 2 * 1 / 2) / 5, "inside_examples": 2}
    assert evaluation.inside(arrays, actions) == pytest.approx(expected)
    both = {key: arrays[key] for key in ("video_id", "times", "counted")} | {"picked_image": arrays["picked"]}
    both["picked_audio"] = np.array([[0, 0, 3], [0, 0, 1], [1, 1, 1]])  # none inside
    assert evaluation.inside(both, actions) == pytest.approx(expected | {"inside": 3 / 10})
    early = times - np.float32(0.5)  # the first position's middle is at 0, which alone would be filling
    shifted = {name: [[a - 0.5, b - 0.5] for a, b in spans] for name, spans in actions.items()}
    told = arrays | {"times": np.maximum(early, 0), "positions": np.array([4, 2, 4], np.int32)}
    assert evaluation.inside(told, shifted) == pytest.approx(expected)
    for none in (None, {}, {"other": [[0, 1]]}):
        assert evaluation.inside(arrays, none) == {"inside_examples": 0}
    assert evaluation.inside({"video_id": arrays["video_id"], "times": times}, actions) == {}
    assert evaluation.said_inside(expected, Path("f")) == (
        "inside the labelled stretches of 2 videos: 60.0 % of the looks, by chance 50.0 %"
    )
    assert evaluation.said_inside({"inside_examples": 0}, Path("f")).startswith("f has no actions.json, so nothing")
