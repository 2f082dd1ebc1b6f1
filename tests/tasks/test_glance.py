"""A glance's loss and training: what the judge learns, what the listener is taught, and a run to its end."""

import dataclasses
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.core import trees
from l2l.evaluate import curves, fit_early_exit, model_macs, sound_robustness
from l2l.models.glance import Glance
from l2l.models.student import Fusion
from l2l.report import __main__ as report
from l2l.runs import run_folder
from l2l.runs.config import load_config
from l2l.tasks.skim_at_once import SkimAtOnce, divergence
from tests.helpers import shards, small

N, D, K = 5, 4, 3
FUSION = Fusion(feature=7, hidden=8)
TASK = SkimAtOnce(Glance(K, FUSION, steps=2, hidden=6, stride=2, context=3, dropout=0.0), head=0.0)


@pytest.fixture(scope="module")
def work():
    rng = np.random.default_rng(0)
    image, audio = rng.normal(size=(2, 3, N, D)).astype(np.float32)
    fusion = FUSION.init(jax.random.key(3), jnp.zeros((1, D)), jnp.zeros((1, D)))["params"]
    frozen = {"fusion": fusion, "classifier": {"kernel": rng.normal(size=(7, K)), "bias": np.zeros(K)}}
    batch = {"image": image, "audio": audio, "valid": np.arange(N) < np.array([5, 3, 4])[:, None]}
    batch |= {"labels": np.eye(K, dtype=np.float32), "mask": np.array([True, True, False])}
    batch |= {"has_audio": np.ones(3, bool), "example": np.arange(3)}
    return TASK.init(jax.random.key(0), batch, frozen)["params"], frozen, batch


def test_divergence_by_hand():
    share, scores = np.array([[0.25, 0.75, 0]], np.float32), np.array([[3.0, 1.0, 7.0]], np.float32)
    told = np.exp([3, 1]) / np.exp([3, 1]).sum()
    wanted = 0.25 * np.log(0.25 / told[0]) + 0.75 * np.log(0.75 / told[1])
    np.testing.assert_allclose(divergence(share, scores, np.array([[True, True, False]])), [wanted], rtol=1e-5)
    half = np.array([[0.125, 0.375, 0.5]], np.float32)  # what may not be picked is no share of it
    np.testing.assert_allclose(divergence(half, scores, np.array([[True, True, False]])), [wanted], rtol=1e-5)


def test_loss_is_of_judge_and_listener(work):
    params, frozen, batch = work
    np.testing.assert_allclose(params["classifier"]["kernel"], frozen["classifier"]["kernel"], rtol=1e-6)
    loss, (_, measured) = TASK.loss(params, {}, frozen, batch, jax.random.key(1))
    logits, out = TASK.model.apply({"params": params}, *TASK.inputs(batch, frozen), train=False)
    logits, share, scores = (np.asarray(x, np.float64) for x in (logits, out["attention"], out["scores"]))
    judge = listener = 0.0
    for i, n in enumerate((5, 3)):
        judge += (np.log(np.exp(logits[i]).sum()) - logits[i, i]) / 2
        told = np.exp(scores[i, :n]) / np.exp(scores[i, :n]).sum()
        listener += (share[i, :n] * np.log(share[i, :n] / told)).sum() / 2
    np.testing.assert_allclose([measured["judge"], measured["listener"]], [judge, listener], rtol=1e-4)
    np.testing.assert_allclose(loss, judge + listener, rtol=1e-4)


def test_each_part_learns_from_its_own_loss(work):
    params, frozen, batch = work
    part = lambda name: lambda p: TASK.loss(p, {}, frozen, batch, jax.random.key(1))[1][1][name]
    moved = lambda name: {k for k, g in jax.grad(part(name))(params).items() if any(map(np.any, jax.tree.leaves(g)))}
    assert moved("judge") == {"attention", "classifier"}
    assert moved("listener") == {"listener"}


def test_of_silent_videos_it_learns_the_positions_whose_images_it_sees(work):
    params, frozen, batch = work
    silent = batch | {"has_audio": np.zeros(3, bool)}
    _, (_, measured) = TASK.loss(params, {}, frozen, silent, jax.random.key(1))
    _, out = TASK.model.apply({"params": params}, *TASK.inputs(silent, frozen), train=False)
    wanted = 0.0
    for i, n in enumerate((5, 3)):
        share, scores = (np.asarray(out[key], np.float64)[i, :n:2] for key in ("attention", "scores"))
        share, told = share / share.sum(), np.exp(scores) / np.exp(scores).sum()
        wanted += (share * np.log(share / told)).sum() / 2
    np.testing.assert_allclose(measured["listener"], wanted, rtol=1e-4)


def test_what_chooses_regions_is_taught_by_all_of_them(work):
    """Listener and scorer together are taught the judge's attention to all regions: one divergence, in two parts."""
    _, frozen, batch = work
    rng = np.random.default_rng(5)
    near = {"cells": rng.normal(size=(3, N, 2 * 3)), "regions": rng.normal(size=(3, N, 2 * D))}
    batch = batch | {key: value.astype(np.float32) for key, value in near.items()}
    task = dataclasses.replace(TASK, model=TASK.model.clone(closer="judge"))
    params = task.init(jax.random.key(0), batch, frozen)["params"]
    measure = jax.jit(lambda p: task.loss(p, {}, frozen, batch, jax.random.key(1))[1][1])
    measured, part = measure(params), jax.grad(lambda p: measure(p)["regions"])(params)
    apply = jax.jit(lambda p: task.model.apply({"params": p}, *task.inputs(batch, frozen), train=False))
    _, out = apply(params)
    wanted = 0.0
    for i, n in enumerate((5, 3)):
        share, scores, inner = (
            np.asarray(out[key], np.float64)[i, :n] for key in ("closer", "scores", "region_scores")
        )
        told = np.exp(scores)[:, None] / np.exp(scores).sum() * np.exp(inner) / np.exp(inner).sum(-1, keepdims=True)
        wanted += (share * np.log(share / told)).sum() / 2
    np.testing.assert_allclose(measured["listener"] + measured["regions"], wanted, rtol=1e-4)
    assert {k for k, g in part.items() if any(map(np.any, jax.tree.leaves(g)))} == {"region_scorer"}
    found = jax.eval_shape(lambda p: task.predict({"params": p}, frozen, batch), params)
    assert (found["region"].shape, found["logits"].shape) == ((3, 2), (3, K))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run over two epochs, a quarter of whose training videos are muted."""
    work = tmp_path_factory.mktemp("glance")
    videos = {"train": 16, "val": 8, "test": 8}
    small.untrained(small.config("finetune", work / "student", shards.clip_directory(work / "clips", videos=videos)))
    shards.feature_directory(work / "features", videos=videos, width=16)
    c = small.config("skim", work / "run", work / "features", epochs=2.0, student=str(work / "student"), mute=0.25)
    c.model = load_config("configs/skim.py:glance").model
    c.model.update({"steps": 3, "hidden": 8})
    return small.run(c)


def test_a_run_says_what_the_choice_and_what_everything_answers(run):
    done = json.loads((run / "done.json").read_text())
    assert {"top1", "all_top1", "uniform_top1"} <= done["metrics"].keys()
    assert (done["metrics"]["inside_examples"], "inside" in done["metrics"]) == (0, False)
    losses = [line["train/listener"] for line in small.lines(run) if "train/listener" in line]
    assert len(losses) == 4
    assert np.isfinite(losses).all()
    with np.load(run / "predictions.npz") as found:
        assert found["step_logits"].shape == (8, 3, 3)
        np.testing.assert_array_equal(found["step_logits"][:, -1], found["logits"])
        assert (found["looks"] == found["counted"].sum(1)).all()


def test_its_page_shows_what_called_for_a_look(run, tmp_path):
    page = tmp_path / "report.html"
    assert report.main([str(run), f"--out={page}", "--videos=2"]) == 0
    text, done = page.read_text(), json.loads((run / "done.json").read_text())["metrics"]
    assert text.count("what it heard: how much each position called for a look") == 2
    rows = dict(re.findall(r'<th scope="row">(skim, 3 looks|its judge, every position)</th><td>([\d.]+)</td>', text))
    assert rows == {
        "skim, 3 looks": f"{100 * done['top1']:.1f}",
        "its judge, every position": f"{100 * done['all_top1']:.1f}",
    }


def test_damaged_predictions_are_told(run, tmp_path, capsys):
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    arrays = trees.load_arrays(run / "predictions.npz")
    for name, value, says in (
        ("listener", arrays["listener"][:, :3], "listener is (8, 3), expected 8 videos"),
        ("picked", arrays["picked"] - 99, "picked has values that are no positions"),
        ("worth", arrays["worth"][:, :2], "worth is (8, 2), expected (8, 3)"),
    ):
        trees.save_arrays(broken / "predictions.npz", arrays | {name: value})
        assert report.main([str(broken), f"--out={tmp_path / 'page.html'}"]) == 1
        assert says in capsys.readouterr().err


def test_it_is_measured_after_every_look(run):
    assert curves.main([str(run), f"--data={run.parent / 'features'}"]) == 0
    found, done = (json.loads((run / name).read_text()) for name in ("curves.json", "done.json"))
    points = {(point["way"], point["steps"]): point for point in found["points"]}
    assert points.keys() == {("hard", 1), ("hard", 2), ("hard", 3), ("soft", 3)}
    assert points["hard", 3]["top1"] == pytest.approx(done["metrics"]["top1"])
    assert points["soft", 3]["top1"] == pytest.approx(done["metrics"]["all_top1"])
    cheap, dear = points["hard", 1], points["soft", 3]
    assert cheap["gmacs"] < points["hard", 3]["gmacs"] < dear["gmacs"]
    (uniform,) = (p for p in found["selections"] if (p["way"], p["steps"]) == ("uniform", 3))
    assert uniform["top1"] == pytest.approx(done["metrics"]["uniform_top1"])


def test_it_stops_in_the_order_of_its_choice(run):
    assert fit_early_exit.main([str(run), f"--data={run.parent / 'features'}"]) == 0
    found = json.loads((run / "sure.json").read_text())
    with np.load(run / "predictions.npz") as arrays:
        right = arrays["labels"][np.arange(8), arrays["step_logits"][:, 0].argmax(-1)]
        lengths = (arrays["times"] > 0).sum(1)
    assert (found["source"], found["fixed"][0]["looks"], found["fixed"][0]["top1"]) == ("step_logits", 1, right.mean())
    loaded = run_folder.load_run(run)
    costs = [
        model_macs.video_macs(loaded.config, loaded.student, 3, positions=int(n), steps=1, looks=1) for n in lengths
    ]
    assert found["fixed"][0]["gmacs"] == pytest.approx(np.mean([sum(each.values()) for each in costs]) / 1e9)


def test_its_sound_is_tried(run):
    assert sound_robustness.main([str(run), f"--data={run.parent / 'features'}"]) == 0
    found = json.loads((run / "sound_trials.json").read_text())["trials"]
    done = json.loads((run / "done.json").read_text())["metrics"]
    assert found["as it is"]["hard"] == pytest.approx(done["top1"])
    assert set(found) == {"as it is", "muted", "swapped", "hiss", "music"}
