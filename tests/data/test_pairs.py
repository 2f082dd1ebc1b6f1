"""Skimming by cheap features with costly ones as judges, from extraction to a finished run; and pictures alone."""

import json
import shutil

import jax
import numpy as np
import pytest

from l2l import export_weights
from l2l.core import atomic, trees
from l2l.data import schema
from l2l.data.dataset import open_features, source_of
from l2l.evaluate import __main__ as evaluate
from l2l.evaluate import model_macs, predict
from l2l.runs import dependencies, run_folder
from l2l.runs.config import load_config, plain
from l2l.train import setup
from l2l.train.extract import extract
from tests.helpers import shards, small

VIDEOS = {"train": 16, "val": 9}
CLIPS, SHORT = 6, 0.125  # a clip of one picture is shorter, and its centre earlier
ALONE = {"model__index_by": "image"}


def features(out, clip_run, clips):
    """Extracts with the real command's function."""
    c = load_config("configs/extract.py")
    c.makers, c.run, c.student, c.data.dir, c.data.eval_batch = (), str(out), str(clip_run), str(clips), 32
    extract(c, dependencies.ensure(c))
    return out


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Two preparations of the same videos, clip models, and what they say of every clip."""
    work = tmp_path_factory.mktemp("pairs")
    shards.clip_directory(work / "pictures", videos=VIDEOS, clips=CLIPS, frames=1, duration=SHORT)
    shards.clip_directory(work / "clips", videos=VIDEOS, clips=CLIPS, frames=2)
    small.untrained(small.config("teacher", work / "teacher", work / "clips"))
    for modality in ("both", "image"):
        config = small.config("finetune", work / modality, work / "pictures", model__modality=modality)
        small.untrained(config)
        features(work / f"{modality}_features", work / modality, work / "pictures")
    features(work / "teacher_features", work / "teacher", work / "clips")
    return work


def skim(work, name, student="both", recognition="", **changes):
    """A config over a student's features, two epochs long."""
    data = work / f"{student}_features"
    numbers = {"student": str(work / student), "recognition": str(recognition), "epochs": 2.0, "data__test": "val"}
    return small.config("skim", work / name, data, **numbers | changes)


@pytest.fixture(scope="module")
def judged(work):
    return small.run(skim(work, "judged", recognition=work / "teacher_features"))


def records(source, split):
    """Every video of a split, as evaluation reads it."""
    rows = source.eval(split, batch=4)
    return {
        name: {k: b[k][i] for k in b if k in ("image", "audio", "recognition", "times")}
        for b in rows
        for i, name in enumerate(b["video_id"])
    }


def test_a_teachers_feature_takes_the_pictures_place(work):
    index = schema.load_index(work / "teacher_features", kind="features")
    assert index.policy["widths"] == {"image": 16, "audio": 0}
    run = run_folder.load_run(work / "teacher")
    task, variables, frozen = predict.predictor(run)
    data = {"frames": 2, "crop": 14, "resize": 16, "scale": 1, "flip": False}
    batch = next(source_of(run.config | {"data": data}, work / "clips").eval("val", batch=6))
    said = task.predict(variables, frozen, {k: batch[k] for k in ("frames", "audio")})
    first = records(open_features(work / "teacher_features", lengths=(CLIPS,)), "val")[batch["video_id"][0]]
    np.testing.assert_allclose(first["image"][0], said["feature"][0], rtol=2e-2, atol=2e-3)


def test_two_directories_are_read_side_by_side(work):
    pair = open_features(work / "both_features", lengths=(8,), recognition=work / "teacher_features")
    apart = [records(open_features(work / f"{x}_features", lengths=(8,)), "val") for x in ("both", "teacher")]
    together = records(pair, "val")
    assert len(together) == VIDEOS["val"]
    for name, video in together.items():
        np.testing.assert_array_equal(video["image"], apart[0][name]["image"])
        np.testing.assert_array_equal(video["recognition"], apart[1][name]["image"])
    batch = next(pair.train("train", draw="clip", batch=8, streams=4, seed=0, first_step=0, shuffle=4))
    assert batch["recognition"].shape == (8, 8, 16)
    known = np.concatenate([x["recognition"][:CLIPS] for x in records(pair, "train").values()])
    assert all((known == row).all(1).any() for row in batch["recognition"][batch["valid"]])


def test_a_training_crop_cuts_both_alike(work):
    pair = open_features(work / "both_features", lengths=(3,), recognition=work / "both_features")
    batch = next(pair.train("train", draw="clip", batch=8, streams=4, seed=0, first_step=0, shuffle=4))
    both = np.concatenate([batch["image"], batch["audio"]], -1)
    np.testing.assert_array_equal(batch["recognition"], both)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"videos": {"train": 16, "val": 8}}, "do not describe the same videos with the same labels"),
        ({"clips": CLIPS - 1}, "do not describe the same videos at the same times"),
        ({"duration": 2.5}, "do not describe the same videos at the same times"),
    ],
)
def test_other_videos_or_times_are_refused(work, tmp_path, change, reason):
    numbers = {"videos": VIDEOS, "clips": CLIPS, "frames": 2} | change
    other = shards.clip_directory(tmp_path / "clips", **numbers)
    features(tmp_path / "features", work / "teacher", other)
    with pytest.raises(schema.ShardError, match=reason):
        open_features(work / "both_features", lengths=(8,), recognition=tmp_path / "features")


def test_training_starts_from_the_recognisers_classifier_and_moves_the_queries(work, judged):
    before = prepared(skim(work, "fresh", recognition=work / "teacher_features"))["params"]
    after = run_folder.load_run(judged).variables["model"]["params"]
    head = run_folder.load_run(work / "teacher").variables["model"]["params"]["classifier"]
    np.testing.assert_array_equal(before["classifier"]["kernel"], head["kernel"])
    for name in ("keys_image", "query_audio", "lstm", "classifier"):
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before[name], after[name])
        assert max(jax.tree.leaves(moved)) > 0, name


def prepared(config):
    """The variables that a run starts from."""
    return setup.prepare(config, dependencies.ensure(config)).variables


def test_a_finished_run_judges_by_itself(work, judged, tmp_path, capsys):
    """The run folder has all that prediction needs; the looks' positions are judged by the teacher's feature there."""
    run, arrays = run_folder.load_run(judged), trees.load_arrays(judged / "predictions.npz")
    assert run.recogniser["config"]["model"]["name"] == "r2plus1d"
    assert run.recogniser["policy"]["frames"] == 2
    bank = records(open_features(work / "teacher_features", lengths=(CLIPS,)), "val")
    head = run.variables["model"]["params"]["classifier"]
    for row, name in enumerate(arrays["video_id"]):
        feature = bank[name.encode()]["image"].astype(np.float32)
        shares = arrays["modality"][row]
        read = [
            shares[t, 0] * feature[arrays["picked_image"][row, t]]
            + shares[t, 1] * feature[arrays["picked_audio"][row, t]]
            for t in range(3)
        ]
        np.testing.assert_allclose(
            arrays["logits"][row], np.mean(read, 0) @ head["kernel"] + head["bias"], rtol=1e-3, atol=1e-4
        )
    words = [str(judged), f"--data={work / 'both_features'}", "--split=val", "--batch=8"]
    assert evaluate.main(words) == 0
    found, recorded = json.loads(capsys.readouterr().out), run_folder.read_json(judged / "done.json")["metrics"]
    assert {key: found[key] for key in recorded} == pytest.approx(recorded)
    assert {"confident_top1", "oracle_mAP", "dense_top1", "soft_mAP", "front_top5"} <= {*recorded}
    assert export_weights.main([str(judged), f"--out={tmp_path / 'x.safetensors'}"]) == 1
    assert "skimmer over features of a student with a recogniser" in capsys.readouterr().err


def test_a_run_from_before_there_were_recognisers(work, judged, tmp_path):
    path = tmp_path / "old"
    shutil.copytree(judged, path)
    record = run_folder.read_json(path / "config.json")
    asked = run_folder.completed(record)
    asked["config"]["recognition"] = ""
    del record["recogniser"], record["config"]["recognition"], record["student"]["recognition"]
    atomic.write_json(path / "config.json", record)
    run = run_folder.load_run(path)
    assert run.recogniser is None
    assert run.config["recognition"] == run.student["recognition"] == ""
    run_folder.check_same(path, {"config": asked["config"], "inputs": {}})  # the same command leaves it alone


def test_the_start_cannot_be_judged(work):
    counted = {"model__count_start": True, "model__weigh": False}
    with pytest.raises(ValueError, match="count_start=False"):
        prepared(skim(work, "start", recognition=work / "teacher_features", **counted))


def test_pictures_alone(work):
    with pytest.raises(ValueError, match="--config.model.index_by=image"):
        prepared(skim(work, "wrong", "image"))
    run = run_folder.load_run(small.run(skim(work, "alone", "image", **ALONE)))
    assert "keys_audio" not in run.variables["model"]["params"]
    assert run_folder.read_json(run.path / "done.json")["metrics"]["examples"] == VIDEOS["val"]


def test_a_teachers_features_skim_themselves(work):
    started = prepared(skim(work, "itself", "teacher", **ALONE))
    head = run_folder.load_run(work / "teacher").variables["model"]["params"]["classifier"]
    np.testing.assert_array_equal(started["params"]["classifier"]["kernel"], head["kernel"])
    macs = model_macs.video_macs(
        plain(skim(work, "itself", "teacher", **ALONE)),
        run_folder.load_run(work / "teacher").config,
        3,
        positions=20,
        steps=3,
        looks=3,
    )
    assert macs["indexing"] == 20 * model_macs.clip_macs(run_folder.load_run(work / "teacher").config, 0)
    assert macs["recognition"] == 0


@pytest.mark.parametrize("name", ["lstm", "nonrecurrent"])
def test_baselines_train_from_their_config(work, name):
    c = load_config(f"configs/skim.py:sample_{name}")
    small_one = skim(work, name, epochs=2.0)
    small_one.model, small_one.optim.lr_scale = c.model, c.optim.lr_scale
    small_one.best = "top1"
    for key, value in {"hidden": 16, "key": 8, "steps": 3}.items():
        if key in small_one.model:
            small_one.model[key] = value
    run = small.run(small_one)
    values = run_folder.read_json(run / "done.json")["metrics"]
    assert ("confident_top1" in values) == ("soft_top1" in values) == (name == "nonrecurrent")
    assert evaluate.evaluate_run(str(run), str(work / "both_features"), "val", 8)["top1"] == values["top1"]


def test_cost_of_judged_looks(work, judged):
    run = run_folder.load_run(judged)
    student, teacher = run.student, run.recogniser["config"]
    numbers = {"positions": 20, "steps": 3, "recogniser": teacher}
    hard = model_macs.video_macs(run.config, student, 3, looks=4, **numbers)
    soft = model_macs.video_macs(run.config, student, 3, looks=4, soft=True, **numbers)
    clip = model_macs.clip_macs(teacher, 0)
    assert hard["recognition"] == 4 * clip
    assert soft["recognition"] == 20 * clip
    sparse = run.config | {"model": run.config["model"] | {"stride": 6}}
    hard_at_6 = model_macs.video_macs(sparse, student, 3, looks=4, **numbers)
    assert hard_at_6["indexing"] * 20 == hard["indexing"] * 4
    assert hard_at_6["skimming"] < hard["skimming"]
