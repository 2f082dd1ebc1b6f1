"""Stopping when sure: temperatures, thresholds and looks by value, and the command."""

import dataclasses
import json

import numpy as np
import pytest

from l2l.core import trees
from l2l.evaluate import fit_early_exit, measure_early_exit, metrics, model_macs
from l2l.inference import from_run
from l2l.runs import run_folder
from tests.helpers import shards, small

VIDEOS = {"train": 16, "val": 9, "test": 13}


def answers(n=400, steps=6, k=5, seed=0, hotter=3.0):
    """Predictions that get better with every look, overconfident by a factor of `hotter`."""
    rng = np.random.default_rng(seed)
    labels = np.eye(k)[rng.integers(k, size=n)]
    looks = rng.gamma(2.0, 0.7, (n, 1, 1)) * labels[:, None] + rng.normal(size=(n, steps, k))
    step_logits = (hotter * looks.cumsum(axis=1)).astype(np.float32)
    return {
        "labels": labels,
        "step_logits": step_logits,
        "logits": step_logits[:, -1],
        "looks": np.full(n, steps),
        "times": np.tile(np.arange(1, steps + 1), (n, 1)),
    }


@pytest.mark.parametrize("true", [0.3, 1.0, 2.5])
def test_the_temperature_of_known_odds_is_found(true):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 6)) * 3
    chances = metrics.probabilities(logits / true, False)
    drawn = (rng.random((len(logits), 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=5)
    assert fit_early_exit.temperature(logits, np.eye(6)[drawn]) == pytest.approx(true, rel=0.04)


def test_no_other_temperature_is_likelier():
    arrays = answers()
    logits, labels = arrays["step_logits"][:, 2], arrays["labels"]
    loss = lambda t: -np.log((metrics.probabilities(logits / t, False) * labels).sum(axis=1) + 1e-300).mean()
    found = fit_early_exit.temperature(logits, labels)
    assert all(loss(found) <= loss(found * factor) for factor in (0.8, 0.97, 1.03, 1.25))


def test_temperatures_stay_within_bounds_where_nothing_is_wrong():
    assert fit_early_exit.temperature(np.eye(3) * 5, np.eye(3)) == pytest.approx(fit_early_exit.COLDEST)
    assert fit_early_exit.temperature(np.eye(3) * 5, np.eye(3)[[1, 2, 0]]) == pytest.approx(fit_early_exit.HOTTEST)


def test_looks_by_value():
    confidences = np.array([[0.6, 0.9, 0.7], [0.95, 0.5, 0.5], [0.6, 0.7, 0.8], [0.6, 0.7, 0.8]])
    logit = np.log(confidences / (1 - confidences))
    arrays = {"step_logits": np.stack([2 * logit, 0 * logit], axis=-1), "looks": np.array([3, 3, 3, 2])}
    rule = fit_early_exit.Sure("step_logits", (2.0, 2.0, 2.0), 0.85)
    np.testing.assert_allclose(rule.confidence(arrays), confidences)
    assert rule.looks(arrays).tolist() == [2, 1, 3, 2]  # sure, sure at once, never, never and no more positions
    np.testing.assert_allclose(rule.logits(arrays)[:, 0], [logit[0, 1], logit[1, 0], logit[2, 2], logit[3, 1]])
    never = dataclasses.replace(rule, threshold=1.0)
    assert never.looks(arrays).tolist() == [3, 3, 3, 2]


def test_the_threshold_is_the_boldest_that_costs_nothing():
    held = answers()
    for tolerance in (0.0, 0.02):
        found = fit_early_exit.fit(held, tolerance)
        assert fit_early_exit.difference(found, held)[0] >= -tolerance
        tried = fit_early_exit.thresholds(found, held)
        at = tried.index(found.threshold)
        assert all(
            fit_early_exit.difference(dataclasses.replace(found, threshold=x), held)[0] >= -tolerance
            for x in tried[at:]
        )
        assert at > 0
        assert fit_early_exit.difference(dataclasses.replace(found, threshold=tried[at - 1]), held)[0] < -tolerance
        assert found.looks(held).mean() < 5
    assert found.looks(held).mean() < fit_early_exit.fit(held, 0.0).looks(held).mean()


def test_it_holds_on_other_videos_and_makes_confidence_honest():
    found, other = fit_early_exit.fit(answers(), 0.005), answers(n=1040, seed=1)
    mean, low, high = fit_early_exit.difference(found, other)
    assert low < mean < high
    assert mean > -0.02
    measured = measure_early_exit.whole(found, other, np.ones((1040, 6)))
    assert measured["examples"] == 1040
    assert measured["error_after"] < 0.6 * measured["error_before"]
    assert measured["looks"] == found.looks(other).mean() < 6
    assert measured["top1"] == pytest.approx(fit_early_exit.right(other["logits"], other["labels"]).mean() + mean)


def test_the_better_of_two_heads_is_taken():
    held = answers()
    rng = np.random.default_rng(2)
    noise = rng.normal(size=held["step_logits"].shape)
    assert fit_early_exit.fit(held | {"head_logits": noise}, 0.0).source == "step_logits"
    early = np.repeat(held["step_logits"][:, -1:], 6, axis=1)  # knows after one look what the other knows at the end
    assert fit_early_exit.fit(held | {"head_logits": early}, 0.0).source == "head_logits"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("sure")
    clips = shards.clip_directory(work / "clips", videos=VIDEOS)
    small.untrained(small.config("finetune", work / "student", clips))
    shards.feature_directory(work / "features", videos=VIDEOS, width=16)
    for start in (False, True):
        skim(work, f"skim_{start}", model__count_start=start, model__weigh=not start, head=0.1 * start)
    return work


def skim(work, name, **changes):
    numbers = {"student": str(work / "student"), "epochs": 2.0, "best": ""}
    return small.run(small.config("skim", work / name, work / "features", **numbers | changes))


def ask(work, name="skim_False", *more):
    return fit_early_exit.main([str(work / name), f"--data={work / 'features'}", *more])


def test_the_command_writes_what_was_found(work, capsys):
    run = work / "skim_False"
    assert from_run.early_exit_of(run) is None
    assert ask(work) == 0
    said = capsys.readouterr().out
    assert "13 videos of test: top-1" in said
    assert "scores stay uncalibrated (val has 9 videos to fit on, 50 are needed" in said
    found, about = json.loads((run / "sure.json").read_text()), run_folder.load_run(run)
    assert (found["run"], found["config"]) == (about.hash, about.config)
    assert (found["val"]["examples"], found["test"]["examples"]) == (9, 13)
    loaded = from_run.early_exit_of(run)
    assert dataclasses.asdict(loaded) == {
        "source": found["source"],
        "temperatures": tuple(found["temperatures"]),
        "threshold": found["threshold"],
        "calibrates": False,  # nine videos are too few
    }
    arrays = trees.load_arrays(run / "predictions.npz")  # of the test split
    assert found["test"]["looks"] == pytest.approx(loaded.looks(arrays).mean())
    assert found["fixed"][-1]["top1"] == pytest.approx(about_top1(run))
    rising = [point["looks"] for point in found["curve"]]
    assert rising == sorted(rising)
    assert found["curve"][0]["looks"] <= found["fixed"][-1]["looks"] == 3


def test_scores_count_as_calibrated_where_enough_was_measured_and_it_helps():
    val, test = {"split": "val", "examples": 50}, {"split": "test", "error_before": 0.2, "error_after": 0.1}
    assert fit_early_exit.doubts(val, test) == []
    assert fit_early_exit.doubts(val | {"examples": 49}, test) == ["val has 49 videos to fit on, 50 are needed"]
    assert fit_early_exit.doubts(val, test | {"error_after": 0.2}) == ["the calibration error of test does not fall"]


def test_it_fits_and_measures_on_the_run_s_own_splits(work):
    run = run_folder.load_run(work / "skim_False")
    data = lambda **splits: dataclasses.replace(run, config=run.config | {"data": run.config["data"] | splits})
    assert fit_early_exit.splits_of(data(val="a", test="b"), None, None) == ("a", "b")
    assert fit_early_exit.splits_of(data(val="a", test="a"), None, "c") == ("a", "c")
    assert fit_early_exit.splits_of(data(val="", test="b"), "a", None) == ("a", "b")
    with pytest.raises(ValueError, match="fitted and measured on the same split, 'a'"):
        fit_early_exit.splits_of(data(val="a", test="a"), None, None)
    with pytest.raises(ValueError, match="trained without a validation split: name one to fit on, --val=SPLIT"):
        fit_early_exit.splits_of(data(val="", test="a"), None, None)


def test_the_same_split_twice_is_refused(work, capsys):
    assert ask(work, "skim_False", "--val=test") == 1
    assert "on the same split, 'test'" in capsys.readouterr().err


def about_top1(run):
    return run_folder.read_json(run / "done.json")["metrics"]["top1"]


@pytest.mark.parametrize("name", ["skim_False", "skim_True"])
def test_a_video_costs_what_was_looked_at(work, name):
    run, arrays = run_folder.load_run(work / name), trees.load_arrays(work / name / "predictions.npz")
    gmacs = measure_early_exit.gmacs_of(run, arrays)
    assert gmacs.shape == (13, 3)
    start = run.config["model"]["count_start"]
    for i in (0, 7):
        n = int((arrays["times"][i] > 0).sum())
        for looks in (1, 2, 3):
            numbers = {"positions": n, "steps": looks - start, "looks": 1}  # by both: everything is there already
            macs = model_macs.video_macs(run.config, run.student, 3, **numbers)
            assert gmacs[i, looks - 1] == pytest.approx(sum(macs.values()) / 1e9)


def test_the_head_takes_part_where_it_was_trained(work):
    arrays = trees.load_arrays(work / "skim_True" / "predictions.npz")
    assert arrays["head_logits"].shape == arrays["step_logits"].shape
    assert "head_logits" not in trees.load_arrays(work / "skim_False" / "predictions.npz")
    assert ask(work, "skim_True") == 0
    assert from_run.early_exit_of(work / "skim_True").source in fit_early_exit.SOURCES


def test_what_was_found_for_other_weights_is_refused(work, tmp_path):
    path = tmp_path / "sure.json"
    ask(work)
    for name in ("done.json", "sure.json"):
        (tmp_path / name).write_bytes((work / "skim_False" / name).read_bytes())
    assert from_run.early_exit_of(tmp_path) == from_run.early_exit_of(work / "skim_False")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run": "0" * 16}))
    with pytest.raises(run_folder.RunError, match="made for another run.*python -m l2l.sure"):
        from_run.early_exit_of(tmp_path)
    before = json.loads((work / "skim_False" / "sure.json").read_text())
    path.write_text(json.dumps({key: value for key, value in before.items() if key != "calibrates"}))
    assert from_run.early_exit_of(tmp_path).calibrates  # as it was understood before
    path.write_text(json.dumps({key: value for key, value in before.items() if key != "temperatures"}))
    with pytest.raises(run_folder.RunError, match="is damaged: it has no temperatures; make it again with python"):
        from_run.early_exit_of(tmp_path)


def test_only_skimmers_of_one_label(work, capsys):
    assert ask(work, "student") == 1
    assert "is no skimmer that gives a video one label" in capsys.readouterr().err
