"""Positions of features classified, by value: statistics, loss, padding, what lacks; and the shards of a folder of
features, trained on from the fusion to a finished skimmer and a finished glance."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_prep import features
from l2l import infer
from l2l.data import schema
from l2l.data.dataset import source_of
from l2l.evaluate import evaluation, model_macs
from l2l.models.fusion_only import EPSILON, FusionOnly
from l2l.runs import fits, run_folder
from l2l.runs.values import check_values
from l2l.tasks import from_config
from l2l.tasks.classify_positions import ClassifyPositions
from l2l.tasks.skim import descriptors
from l2l.train.assemble import task_of
from tests.helpers import small
from tests.helpers.features import HOPS, feature_folder
from tests.helpers.quick import fill, jit

MODEL = FusionOnly(3, image=5, audio=4, feature=6, dropout=0.0)
TASK = ClassifyPositions(MODEL)
LENGTHS, HEARD = np.array([4, 7, 1, 5]), np.array([True, False, True, True])


@pytest.fixture(scope="module")
def batch():
    """Three videos and a row that only fills the batch, on scales of their own."""
    rng = np.random.default_rng(0)
    image = rng.normal(3, 40, (4, 7, 5)).astype(np.float32)
    audio = rng.normal(-0.2, 0.01, (4, 7, 4)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 2, 1, 0]]
    valid = np.arange(7) < LENGTHS[:, None]
    mask = np.array([True, True, True, False])
    return {"image": image, "audio": audio, "labels": labels, "valid": valid, "mask": mask, "has_audio": HEARD}


@pytest.fixture(scope="module")
def variables(batch):
    return fill(lambda key, batch: TASK.init(key, batch, {}), batch)


def plain(variables, image, audio):
    """Logits of rows (m, d), (m, e) that are standardised already, in numpy."""
    p = jax.tree.map(np.asarray, variables["params"])
    x = np.maximum(
        np.concatenate([image, audio], -1) @ p["fusion"]["hidden"]["kernel"] + p["fusion"]["hidden"]["bias"], 0
    )
    x = x @ p["fusion"]["output"]["kernel"] + p["fusion"]["output"]["bias"]
    return x @ p["classifier"]["kernel"] + p["classifier"]["bias"]


def test_the_loss_is_the_cross_entropy_of_positions_averaged_by_video(batch, variables):
    loss, (new, measured) = jit(TASK.loss)(variables["params"], variables["batch_stats"], {}, batch, jax.random.key(0))
    real = batch["valid"] & batch["mask"][:, None]
    there = {"image": real, "audio": real & HEARD[:, None]}
    mean = {m: batch[m][there[m]].mean(0) for m in there}
    var = {m: batch[m][there[m]].var(0) for m in there}
    each, hits = [], []
    for video in range(3):
        rows = {
            m: np.where(there[m][video][:, None], (batch[m][video] - mean[m]) / np.sqrt(var[m] + EPSILON), 0)
            for m in there
        }
        logits = plain(variables, *(rows[m][real[video]] for m in ("image", "audio")))
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        each.append(-(logs @ batch["labels"][video]).mean())
        hits.append(np.mean(logits.argmax(-1) == batch["labels"][video].argmax()))
    np.testing.assert_allclose(loss, np.mean(each), rtol=1e-4)
    np.testing.assert_allclose(measured["top1"], np.mean(hits), rtol=1e-5)
    for m in there:
        before = variables["batch_stats"][f"norm_{m}"]
        np.testing.assert_allclose(new[f"norm_{m}"]["mean"], 0.9 * before["mean"] + 0.1 * mean[m], rtol=1e-4)
        np.testing.assert_allclose(new[f"norm_{m}"]["var"], 0.9 * before["var"] + 0.1 * var[m], rtol=1e-3)


def test_a_batch_without_any_sound_teaches_nothing_of_sound(batch, variables):
    silent = batch | {"has_audio": np.zeros(4, bool)}
    _, (new, _) = jit(TASK.loss)(variables["params"], variables["batch_stats"], {}, silent, jax.random.key(0))
    before = variables["batch_stats"]["norm_audio"]
    np.testing.assert_array_equal(new["norm_audio"]["mean"], before["mean"])
    np.testing.assert_array_equal(new["norm_audio"]["var"], before["var"])
    assert np.isfinite(new["norm_image"]["mean"]).all()


def test_a_video_is_what_its_positions_are_on_average(batch, variables):
    """As the skimmer sees them: standardised by the running statistics; the mean stands for sound that lacks."""
    found = jit(TASK.predict)(variables, {}, batch)["logits"]
    frozen = from_config.skim_frozen(variables)
    image, audio = (np.asarray(x) for x in descriptors(batch, frozen))
    assert not audio[1].any()
    norm = variables["batch_stats"]["norm_image"]
    np.testing.assert_allclose(image, (batch["image"] - norm["mean"]) / np.sqrt(norm["var"] + EPSILON), rtol=1e-4)
    for video, n in enumerate(LENGTHS[:3]):
        logits = plain(variables, image[video, :n], audio[video, :n])
        scores = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).mean(0)
        np.testing.assert_allclose(jax.nn.softmax(found[video]), scores, rtol=1e-4, atol=1e-5)


def test_padding_and_the_sound_of_videos_without_any_change_nothing(batch, variables):
    work = jit(TASK.loss)
    one = work(variables["params"], variables["batch_stats"], {}, batch, jax.random.key(0))[0]
    odd = {m: np.where(batch["valid"][..., None], batch[m], 99.0).astype(np.float32) for m in ("image", "audio")}
    odd["audio"][~HEARD] = 7
    odd["image"][3] = 1e3
    other = work(variables["params"], variables["batch_stats"], {}, batch | odd, jax.random.key(0))[0]
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_features_of_other_clip_models_are_read_as_they_are(batch):
    image, audio = descriptors(batch, {"fusion": {}, "classifier": {}})
    np.testing.assert_array_equal(image, batch["image"])
    np.testing.assert_array_equal(audio, batch["audio"])


def test_dropout_is_for_training(batch, variables):
    task = ClassifyPositions(MODEL.clone(dropout=0.5))
    loss = lambda task, key: float(
        jit(task.loss)(variables["params"], variables["batch_stats"], {}, batch, jax.random.key(key))[0]
    )
    assert loss(task, 0) != loss(task, 1)
    assert loss(TASK, 0) == loss(TASK, 1)
    one, other = (jit(t.predict)(variables, {}, batch)["logits"] for t in (task, TASK))
    np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Feature shards of a folder of .npy files, images and sound of different widths."""
    top = tmp_path_factory.mktemp("features")
    folder = feature_folder(top / "features", {"train": 48, "test": 12})
    (folder / "audio/train/5.npy").unlink()
    flags = [f"--features={folder}", f"--list={folder / 'list.csv'}", f"--out={top / 'shards'}"]
    assert features.main([*flags, *(f"--{m}_hop={hop}" for m, hop in HOPS.items())]) == 0
    return top / "shards"


def config(stage, shards, **changes):
    c = small.load_config(f"configs/{stage}")
    c.data.dir, c.run = str(shards), str(shards.parent / stage.replace(":", "_").replace(".py", ""))
    c.data.lengths, c.data.batch, c.data.eval_batch = (16,), 16, 16
    with c.unlocked():
        c.update_from_flattened_dict(changes)
    return c


@pytest.fixture(scope="module")
def fusion(shards):
    """The finished run of the fusion."""
    return small.run(config("finetune.py:features", shards, **{"model.feature": 16, "epochs": 12.0, "optim.lr": 0.01}))


def test_the_fusion_takes_the_widths_of_its_data(shards, fusion):
    run = run_folder.load_run(fusion)
    assert {m: run.config["model"][m] for m in ("image", "audio")} == {"image": 6, "audio": 4}
    assert from_config.widths_of(run.config) == {"image": 6, "audio": 4}
    assert run.policy["hop"] == 1.0
    fits.check(run)
    done = json.loads((fusion / "done.json").read_text())
    assert done["metrics"]["examples"] == 12
    assert done["metrics"]["top1"] > 0.6  # of three classes
    asked = config("finetune.py:features", shards, **{"model.feature": 16, "epochs": 12.0, "optim.lr": 0.01})
    record = {"config": small.plain(asked), "inputs": {}}
    assert run_folder.mismatches(run_folder.read_json(fusion / "config.json"), record) == []
    wider = record | {"config": record["config"] | {"model": record["config"]["model"] | {"image": 7}}}
    assert run_folder.mismatches(run_folder.read_json(fusion / "config.json"), wider)
    source = evaluation.open_for(run, str(shards), "")
    arrays = evaluation.predictions(run, source, "test")
    assert arrays["logits"].shape == (12, 3)
    assert model_macs.clip_macs(run.config, 3) == (6 + 4) * 1024 + 1024 * 16 + 16 * 3


@pytest.mark.parametrize("variant", ["features", "features_glance"])
def test_a_skimmer_needs_no_student(shards, fusion, variant, capsys):
    """Trained to done.json over features of two widths; about a video it says what it lacks, in one line."""
    numbers = {"hidden": 16, "steps": 3} | ({"key": 8, "query": 16} if variant == "features" else {})
    changes = {"student": str(fusion), "epochs": 4.0, "eval_epochs": 0.0, "save_epochs": 0.0, "optim.lr": 0.01}
    run = small.run(config(f"skim.py:{variant}", shards, **changes, **{f"model.{k}": v for k, v in numbers.items()}))
    done = json.loads((run / "done.json").read_text())
    assert done["metrics"]["examples"] == 12
    assert done["metrics"]["top1"] > 0.5
    found = run_folder.load_run(run)
    fits.check(found)
    costs = model_macs.video_macs(found.config, found.student, 3, positions=12, steps=3, looks=3)
    assert costs["indexing"] == costs["recognition"] == 0  # what made the features is not known
    assert costs["skimming"] > 0
    capsys.readouterr()
    assert infer.main(["film.mp4", f"--run={run}"]) == 1
    said = capsys.readouterr().err
    assert "a fusion reads features that somebody else made and has no network for pictures and sounds" in said
    assert said.count("\n") == 1


def test_where_features_do_not_do(shards, fusion, tmp_path, capsys):
    assert infer.main(["film.mp4", f"--run={fusion}"]) == 1
    said = capsys.readouterr().err
    assert "has no network for pictures and sounds: ask it about features (python -m l2l.evaluate" in said
    assert said.count("\n") == 1
    run = run_folder.load_run(fusion)
    other = feature_folder(tmp_path / "features", {"train": 4}, widths={"image": 4, "audio": 6})
    flags = [f"--features={other}", f"--list={other / 'list.csv'}", f"--out={tmp_path / 'shards'}"]
    assert features.main([*flags, *(f"--{m}_hop={hop}" for m, hop in HOPS.items())]) == 0
    words = r"has descriptors of 4 \(image\) and 6 \(audio\) values, .*features reads 6 \(image\) and 4 \(audio\)"
    with pytest.raises(run_folder.RunError, match=words):
        evaluation.open_for(run, str(tmp_path / "shards"), "")
    skim = config("skim.py:features", tmp_path / "shards", student=str(fusion))
    with pytest.raises(run_folder.RunError, match=words):
        task_of(skim, source_of(skim, skim.data.dir), {"student": run})
    with pytest.raises(ValueError, match="reads features, not clips: name a run that sees clips"):
        task_of(config("distill.py:sample", shards), source_of(skim, str(shards)), {"teacher": run})
    extract = config("extract.py:sample", shards, student=str(fusion), makers=())
    with pytest.raises(ValueError, match="there is nothing to extract"):
        small.main.run(extract)
    odd = config("finetune.py:features", shards, task="skim")
    with pytest.raises(ValueError, match="config.model.name=fusion reads features"):
        check_values(odd)


def test_one_modality_alone_is_skimmed(tmp_path):
    """Sound alone: the skimmer is told what to index by, and the widths say so."""
    folder = feature_folder(tmp_path / "features", {"train": 6}, widths={"audio": 4})
    flags = [f"--features={folder}", f"--list={folder / 'list.csv'}", f"--out={tmp_path / 'shards'}", "--audio_hop=0.4"]
    assert features.main(flags) == 0
    index = schema.load_index(tmp_path / "shards")
    model = {"name": "fusion", "feature": 16, "dropout": 0.5} | index.policy["widths"]
    student = small.plain(small.load_config("configs/finetune.py:features")) | {"model": model}
    shapes = fits.clip_shapes(student, 3)
    assert shapes["params"]["fusion"]["hidden"]["kernel"].shape == (4, 1024)
    assert shapes["batch_stats"].keys() == {"norm_audio"}
    skim = small.load_config("configs/skim.py:features")
    with pytest.raises(ValueError, match="no image to index by: set --config.model.index_by=audio"):
        from_config.skim_task(skim, 3, student)
    skim.model.index_by = "audio"
    task = from_config.skim_task(skim, 3, student)
    batch = {"image": jnp.zeros((2, 5, 0)), "audio": jnp.ones((2, 5, 4)), "valid": jnp.ones((2, 5), bool)}
    batch |= {"has_audio": jnp.ones(2, bool)}
    frozen = from_config.skim_frozen(shapes)
    found = jax.eval_shape(lambda batch, frozen: task.init(jax.random.key(0), batch, frozen), batch, frozen)
    assert found["params"]["keys_audio"]["linear"]["kernel"].shape[0] == 4


def test_several_labels_are_judged_each_by_itself(batch, variables):
    """With a sigmoid for every class; the answer is the mean probability."""
    task = ClassifyPositions(MODEL, multi_label=True)
    several = batch | {"labels": np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0]], np.float32)}
    found = np.asarray(jit(task.predict)(variables, {}, several)["logits"])
    image, audio = (np.asarray(x) for x in descriptors(several, from_config.skim_frozen(variables)))
    for video, n in enumerate(LENGTHS[:3]):
        mean = (1 / (1 + np.exp(-plain(variables, image[video, :n], audio[video, :n])))).mean(0)
        np.testing.assert_allclose(1 / (1 + np.exp(-found[video])), mean, rtol=1e-3, atol=1e-5)
    loss = jit(task.loss)(variables["params"], variables["batch_stats"], {}, several, jax.random.key(0))[0]
    alone = [several | {"labels": several["labels"] * (np.arange(3) == k)} for k in range(3)]
    each = [jit(task.loss)(variables["params"], variables["batch_stats"], {}, b, jax.random.key(0))[0] for b in alone]
    none = jit(task.loss)(
        variables["params"],
        variables["batch_stats"],
        {},
        several | {"labels": 0 * several["labels"]},
        jax.random.key(0),
    )[0]
    np.testing.assert_allclose(loss - none, sum(each) - 3 * none, rtol=1e-3)  # the classes add up
