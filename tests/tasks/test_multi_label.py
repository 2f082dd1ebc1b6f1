"""Several labels a video by one key, from the losses to finished runs of every task."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from l2l.core import trees
from l2l.data import schema
from l2l.evaluate import evaluation, metrics
from l2l.models.positions import mean_logits
from l2l.runs import run_folder
from l2l.tasks import from_config, losses
from l2l.tasks.skim import scores_of
from tests.helpers import shards, small

VIDEOS = {"train": 24, "val": 9, "test": 7}
TWO = {"labels_each": 2, "classes": 4}


def test_binary_cross_entropy_is_a_sum_over_classes():
    logits, targets = (
        jnp.array([[2.0, -1.0, 0.0], [300.0, -300.0, 0.0]]),
        jnp.array([[1.0, 0.25, 0.0], [1.0, 0.0, 1.0]]),
    )
    p = 1 / (1 + np.exp(-np.array([2.0, -1.0, 0.0])))
    first = -(np.log(p[0]) + 0.25 * np.log(p[1]) + 0.75 * np.log(1 - p[1]) + np.log(1 - p[2]))
    found = losses.binary_cross_entropy(logits, targets)
    np.testing.assert_allclose(found, [first, np.log(2)], rtol=1e-6)
    gradient = jax.grad(lambda x: losses.classification(x, targets[:1], True)[0])(logits[:1])
    np.testing.assert_allclose(gradient[0], p - [1, 0.25, 0], rtol=1e-5)


def test_distillation_with_binary_soft_targets():
    logits, teacher = jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 1.0]])
    feature, target = jnp.array([[1.0, -1.0]]), jnp.array([[0.0, 1.0]])
    total, l1, soft = losses.distillation(logits, feature, losses.probabilities(teacher, True), target, 100.0, True)
    p, q = 1 / (1 + np.exp(-np.array([0, 1.0]))), 1 / (1 + np.exp(-np.array([2.0, 0])))
    assert float(soft[0]) == pytest.approx(-(p * np.log(q) + (1 - p) * np.log(1 - q)).sum(), rel=1e-5)
    assert float(total[0]) == pytest.approx(3 + 100 * float(soft[0]), rel=1e-6)
    assert float(l1[0]) == 3


@pytest.mark.parametrize("multi_label", [False, True])
def test_mean_scores_come_back_from_their_logits(multi_label):
    rng = np.random.default_rng(0)
    scores = np.asarray(losses.probabilities(jnp.asarray(rng.normal(size=(2, 5, 4))), multi_label))
    marks = np.array([[1, 1, 0, 0, 1], [0, 1, 0, 0, 0]], bool)
    logits = mean_logits(jnp.asarray(scores), jnp.asarray(marks), multi_label)
    mean = np.stack([scores[i, marks[i]].mean(axis=0) for i in range(2)])
    np.testing.assert_allclose(metrics.probabilities(np.asarray(logits), multi_label), mean, rtol=1e-5)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A student and videos of two classes each."""
    work = tmp_path_factory.mktemp("multi_label")
    clips = shards.clip_directory(work / "clips", videos=VIDEOS, classes=4)
    small.untrained(small.config("finetune", work / "student", clips))
    shards.feature_directory(work / "features", videos=VIDEOS, width=16, **TWO)
    return work


def skim(work, name, **changes):
    numbers = {"student": str(work / "student"), "epochs": 8.0, "optim__lr": 5e-2}
    config = small.config("skim", work / name, work / "features", **numbers | changes)
    config.best = "top1"
    return small.run(config)


@pytest.fixture(scope="module")
def skimmed(work):
    return skim(work, "skim", multi_label=True, head=0.1)


def test_the_best_variables_are_those_of_the_best_map(skimmed):
    seen = {line["step"]: line["val/mAP"] for line in small.lines(skimmed) if "val/mAP" in line}
    kept = run_folder.read_json(skimmed / "done.json")["kept"]
    assert len(seen) == 8
    assert kept["value"] == max(seen.values()) > min(seen.values())
    assert seen[kept["step"]] == kept["value"]
    assert (kept["metric"], kept["split"]) == ("mAP", "val")


@pytest.mark.parametrize(
    ("best", "several", "model", "metric"),
    [
        ("top1", False, {}, "top1"),
        ("", False, {}, "top1"),
        ("top1", True, {}, "mAP"),
        ("agree", True, {}, "agree"),
        ("top1", False, {"selection": "soft"}, "soft_top1"),
        ("top1", True, {"selection": "soft"}, "soft_mAP"),
        ("top5", False, {"selection": "straight_through"}, "top5"),
    ],
)
def test_what_chooses_is_the_way_that_was_trained(best, several, model, metric):
    assert evaluation.criterion({"best": best, "multi_label": several, "model": model}) == metric


def test_every_metric_is_of_the_sigmoid(skimmed):
    arrays, done = (
        trees.load_arrays(skimmed / "predictions.npz"),
        run_folder.read_json(skimmed / "done.json")["metrics"],
    )
    assert arrays["labels"].sum(axis=1).tolist() == [2] * 7
    for prefix in ("", "soft", "dense", "uniform", "confident"):
        logits = arrays[f"logits_{prefix}" if prefix else "logits"].astype(np.float32)
        expected = metrics.classification(logits, arrays["labels"], multi_label=True)
        for name in ("mAP", "mAP_micro", "top1"):
            assert done[f"{prefix}_{name}" if prefix else name] == pytest.approx(expected[name])


def test_classes_are_told_apart_in_a_file(work, skimmed):
    found = json.loads((skimmed / "classes.json").read_text())
    index = schema.load_index(work / "features")
    assert {key: found[key] for key in ("examples", "split", "data", "labels")} == {
        "examples": 7,
        "split": "test",
        "data": index.hash,
        "labels": index.label_hash,
    }
    assert list(found["classes"]) == list(index.labels)
    values = list(found["classes"].values())
    assert sum(x["positives"] for x in values) == 14
    done = run_folder.read_json(skimmed / "done.json")["metrics"]
    assert np.mean([x["AP"] for x in values if x["positives"]]) == pytest.approx(done["mAP"], abs=1e-6)


def test_a_class_without_examples_has_no_precision(tmp_path):
    arrays = {"logits": np.zeros((2, 3)), "labels": np.array([[1, 0, 0], [0, 1, 0]])}
    index = schema.Index("features", ("a", "b", "c"), {}, {})
    evaluation.save_classes(tmp_path / "classes.json", arrays, index, "test", False)
    found = json.loads((tmp_path / "classes.json").read_text())["classes"]
    assert found["c"] == {"positives": 0, "AP": None}
    assert found["a"] == {"positives": 1, "AP": 0.5}


def test_selections_read_the_student_as_it_was_trained():
    clip_model = {"classifier": {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}}
    feature = jnp.array([[1.0, 0.0, -1.0]])
    for multi_label in (False, True):
        found = scores_of(clip_model, feature, multi_label)
        np.testing.assert_allclose(found, metrics.probabilities(np.asarray(feature), multi_label), rtol=1e-6)


def test_tasks_take_the_key_from_their_own_configs(work):
    """A skimmer of several labels over a student of one, and the other way round."""
    student = run_folder.load_run(work / "student").config
    config = small.config("skim", work / "x", work / "features").to_dict()
    for own, other in ((True, False), (False, True)):
        task = from_config.skim_task(config | {"multi_label": own}, 4, student | {"multi_label": other})
        assert (task.multi_label, task.index_multi_label) == (own, other)
    nonrecurrent = config | {"model": {"name": "nonrecurrent", "steps": 3, "key": 8}, "multi_label": True}
    assert from_config.skim_task(nonrecurrent, 4, student).model.multi_label


@pytest.mark.parametrize("stage", ["finetune", "distill"])
def test_clip_tasks_train_with_the_key(work, tmp_path, stage):
    clips = two_labels(work / "clips", tmp_path / "clips")
    changes = {"multi_label": True, "epochs": 2.0}
    if stage == "distill":
        teacher = small.config("teacher", tmp_path / "teacher", clips, multi_label=True)
        changes |= {"teacher": str(small.untrained(teacher))}
    config = small.config(stage, tmp_path / stage, clips, **changes)
    config.best = "top1"
    done = small.run(config)
    measured = small.lines(done)
    classes = 4
    assert measured[0]["train/loss"] > 0
    assert {"mAP", "mAP_micro"} <= run_folder.read_json(done / "done.json")["metrics"].keys()
    if stage == "finetune":  # at first every class is a coin
        assert measured[0]["train/loss"] == pytest.approx(classes * np.log(2), rel=0.5)


def two_labels(source, out):
    """The same clip shards, each clip with one more label."""
    out.mkdir()
    index, splits = schema.load_index(source), {}
    for split in index.splits:
        made = []
        for path in schema.shard_paths(source, index, split):
            records = [second(data) for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
            made.append(shards.write_shard(out / path.name, records, len(records)))
        splits[split] = tuple(made)
    schema.save_index(out, dataclasses.replace(index, splits=splits, multi_label=True))
    return out


def second(data):
    record = tf.train.Example.FromString(data)
    labels = record.features.feature["labels"].int64_list.value
    labels.append((labels[0] + 1) % 4)
    return record.SerializeToString(deterministic=True)
