"""The curves of a finished skim run: every point by value, and the file that holds them."""

import json

import numpy as np
import pytest

from l2l.core import trees
from l2l.data import schema
from l2l.evaluate import __main__ as evaluate
from l2l.evaluate import curves, metrics, model_macs
from l2l.evaluate.video_macs import looked_at, mean_gmacs, selection_gmacs
from l2l.runs import run_folder
from l2l.tasks.selections import SELECTIONS
from tests.helpers import shards, small

VIDEOS = {"train": 16, "val": 9}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A student and a skim run over features of 5 to 20 positions a video."""
    work = tmp_path_factory.mktemp("curves")
    clips = shards.clip_directory(work / "clips", videos=VIDEOS)
    small.untrained(small.config("finetune", work / "student", clips))
    shards.feature_directory(work / "features", videos=VIDEOS, width=16)
    numbers = {"student": str(work / "student"), "epochs": 1.0, "data__test": "val", "best": ""}
    small.run(small.config("skim", work / "skim", work / "features", **numbers))
    return work


@pytest.fixture(scope="module")
def found(work):
    with pytest.MonkeyPatch.context() as patch:  # every stride costs a compile
        patch.setattr(curves, "STRIDES", (1, 5, 30))
        assert curves.main([str(work / "skim")]) == 0
    return json.loads((work / "skim" / "curves.json").read_text())


def test_what_was_measured_on_what(work, found):
    index = schema.load_index(work / "features")
    run = run_folder.load_run(work / "skim")
    assert {k: found[k] for k in ("run", "data", "labels")} == {
        "run": run.hash,
        "data": index.hash,
        "labels": index.label_hash,
    }
    assert (found["examples"], found["split"], found["metrics"]) == (9, "val", ["top1", "mAP"])
    assert found["config"] == run.config
    places = [(p["stride"], p["steps"], p["way"]) for p in found["points"]]
    assert places == [(s, t, way) for s in (1, 5) for t in (1, 2, 3) for way in ("hard", "soft")]
    counts = {name: (1, 2, 3) if name in ("uniform", "confident") else (3,) for name in SELECTIONS}
    assert [(p["way"], p["steps"]) for p in found["selections"]] == [(name, t) for name in counts for t in counts[name]]


def test_the_dense_points_are_those_of_the_run(work, found):
    arrays = trees.load_arrays(work / "skim" / "predictions.npz")
    values = run_folder.read_json(work / "skim" / "done.json")["metrics"]
    for t in (1, 2, 3):
        point = next(p for p in found["points"] if (p["way"], p["stride"], p["steps"]) == ("hard", 1, t))
        expected = metrics.classification(arrays["step_logits"][:, t - 1], arrays["labels"])
        assert point["top1"] == expected["top1"]
        assert point["mAP"] == pytest.approx(expected["mAP"])
    soft = next(p for p in found["points"] if (p["way"], p["stride"], p["steps"]) == ("soft", 1, 3))
    assert soft["top1"] == values["soft_top1"]
    for point in (p for p in found["selections"] if p["steps"] == 3):
        assert point["top1"] == values[f"{point['way']}_top1"]
        assert point["mAP"] == pytest.approx(values[f"{point['way']}_mAP"])


def test_fewer_positions_are_chosen_as_of_a_model_with_fewer_looks(work, found, tmp_path):
    numbers = {"student": str(work / "student"), "epochs": 0.0, "data__test": "val", "best": "", "model__steps": 2}
    run = small.run(small.config("skim", tmp_path / "two", work / "features", **numbers))
    values = run_folder.read_json(run / "done.json")["metrics"]
    for name in curves.FEWER:
        point = next(p for p in found["selections"] if (p["way"], p["steps"]) == (name, 2))
        assert point["top1"] == values[f"{name}_top1"]
        assert point["mAP"] == pytest.approx(values[f"{name}_mAP"])
    cost = lambda name, t: next(p for p in found["selections"] if (p["way"], p["steps"]) == (name, t))["gmacs"]
    assert cost("uniform", 1) == pytest.approx(cost("uniform", 3) / 3)
    assert cost("confident", 1) == cost("confident", 3)


def test_a_sparse_point_is_what_the_run_says_of_the_taken_positions_alone(work, found, tmp_path, monkeypatch):
    video = shards.feature_video

    def taken(rng, name, label, width):
        whole = video(rng, name, label, width)
        return whole | {key: whole[key][::5] for key in ("image", "audio", "times")}

    monkeypatch.setattr(shards, "feature_video", taken)
    sparse = shards.feature_directory(tmp_path / "sparse", videos=VIDEOS, width=16)
    values = evaluate.evaluate_run(str(work / "skim"), str(sparse), "val", 8)
    point = next(p for p in found["points"] if (p["way"], p["stride"], p["steps"]) == ("hard", 5, 3))
    assert point["top1"] == values["top1"]
    assert point["mAP"] == pytest.approx(values["mAP"])


def test_costs_are_means_over_the_videos(work, found):
    run = run_folder.load_run(work / "skim")
    arrays = trees.load_arrays(work / "skim" / "predictions.npz")
    count = (arrays["times"] > 0).sum(1)
    for stride in (1, 5):
        config = run.config | {"model": run.config["model"] | {"stride": stride}}
        for t, way in ((1, "hard"), (3, "soft")):
            point = next(p for p in found["points"] if (p["way"], p["stride"], p["steps"]) == (way, stride, t))
            each = []
            for n in count:
                steps = min(t, -(-n // stride))
                numbers = {"positions": int(n), "steps": int(steps), "looks": int(steps), "soft": way == "soft"}
                each.append(model_macs.video_macs(config, run.student, 3, **numbers))
            for part in ("indexing", "skimming", "recognition"):
                assert point[part] == pytest.approx(np.mean([x[part] for x in each]) / 1e9)
            assert point["gmacs"] == pytest.approx(sum(point[p] for p in ("indexing", "skimming", "recognition")))
    first, fifth = (next(p for p in found["points"] if p["stride"] == s) for s in (1, 5))
    assert fifth["indexing"] == pytest.approx(first["indexing"] * np.mean(-(-count // 5)) / count.mean())


def test_costs_of_selections(work):
    student = run_folder.load_run(work / "student").config
    clip, numbers = model_macs.clip_macs(student, 3) / 1e9, {"positions": np.array([4, 20]), "count": 10}
    cost = lambda name, **more: selection_gmacs(name, student, 3, **numbers, **more)
    for name in ("random", "uniform", "front", "centre", "end"):
        assert cost(name) == {"indexing": 0, "skimming": 0, "recognition": pytest.approx(7 * clip)}
    for name in ("dense", "oracle"):
        assert cost(name)["recognition"] == pytest.approx(12 * clip)
    assert cost("confident") == {"indexing": pytest.approx(12 * clip), "skimming": 0, "recognition": 0}
    large = {"model": {"name": "r2plus1d", "width": 8}, "dtype": "float32", "data": {"crop": 32, "frames": 8}}
    other = model_macs.clip_macs(large, 3) / 1e9
    assert cost("confident", recogniser=large)["indexing"] == pytest.approx(12 * clip)
    assert cost("confident", recogniser=large)["recognition"] == pytest.approx(7 * other)
    assert cost("uniform", recogniser=large)["recognition"] == pytest.approx(7 * other)


def test_looks_are_counted_once():
    arrays = {
        "picked_image": np.array([[3, 1, 4], [0, 0, 0], [2, 2, 5]]),
        "picked_audio": np.array([[3, 3, 1], [0, 1, 0], [2, 7, 9]]),
        "counted": np.array([[True, True, True], [True, False, False], [True, True, False]]),
    }
    both = [looked_at(arrays, ("image", "audio"), t).tolist() for t in (0, 1, 2, 3)]
    assert both == [[0, 0, 0], [1, 1, 1], [2, 1, 2], [3, 1, 2]]
    assert looked_at(arrays, ("image",), 3).tolist() == [3, 1, 1]


def test_means_weigh_every_video(work):
    run = run_folder.load_run(work / "skim")
    numbers = {name: np.array(x) for name, x in {"positions": [5, 9, 5], "steps": [3] * 3, "looks": [3, 4, 2]}.items()}
    numbers["has_audio"] = np.array([True, False, True])
    found = mean_gmacs(run.config, run.student, 3, **numbers)
    rows = [dict(zip(numbers, map(int, row), strict=True)) for row in zip(*numbers.values(), strict=True)]
    each = [model_macs.video_macs(run.config, run.student, 3, **row) for row in rows]
    assert found == {part: pytest.approx(np.mean([x[part] for x in each]) / 1e9) for part in each[0]}


def test_other_runs(work, capsys):
    assert curves.main([str(work / "student")]) == 1
    assert "is no skim run" in capsys.readouterr().err
    assert curves.main([str(work / "skim"), f"--data={work / 'clips'}"]) == 1
    assert "holds clips, not features" in capsys.readouterr().err
