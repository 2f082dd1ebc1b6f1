"""All looks at once: `infer` says what the prepared path says, whatever chooses, and reads no more than is chosen."""

import dataclasses

import numpy as np
import pytest

import l2l
from configs import extract, finetune, preview, skim, teacher
from data_prep.datasets.rows import Row
from data_prep.shards.prepare import write_dataset
from l2l.core import sharding
from l2l.data.dataset import source_of
from l2l.evaluate import model_macs, predict
from l2l.evaluate.early_exit import Sure
from l2l.evaluate.evaluation import evaluate
from l2l.inference import at_once, scoring
from l2l.inference.summary import text
from l2l.media.decoding import cut_film
from l2l.media.decoding.asking import FarFilm
from l2l.media.decoding.decoder import Decoder
from l2l.media.policy import ClipPolicy
from l2l.runs.run_folder import load_run
from tests.helpers import small
from tests.helpers.videos import write_video
from tests.inference.test_model import in_memory, same

LABELS = ("clapping", "tuning", "resting")
# At 5 frames a second every second of sound begins where the preview has a moment, so that both paths hear the same.
PICTURES = ClipPolicy(frames=1, hop=1.0, fps=5, short_side=32)
CLIPS = ClipPolicy(frames=3, hop=1.0, fps=10, short_side=24)
VIDEOS = {
    "long": {"seconds": 9.3, "fps": 10, "clicks": (0.3, 1.5, 2.6, 2.8, 3.2, 4.9, 5.0, 5.4, 6.1, 7.0, 8.8)},
    "silent": {"seconds": 7.2, "fps": 10, "audio": False},
    "other": {"seconds": 6, "fps": 10, "size": (64, 104), "clicks": (0.8, 1.1, 2.3, 3.6, 4.4, 4.5, 5.7)},
    "short": {"seconds": 1.7, "fps": 10, "clicks": (0.8,)},
}
STEPS, STRIDE = 3, 2
RUNS = {
    "audio": {"model.listens": "audio"},
    "both": {"model.listens": "both", "multi_label": True},
    "image": {"model.listens": "image"},
    "plain": {"model.listens": "audio"},  # over the features of a student without a preview
    "judged": {"model.listens": "audio"},  # its looks are judged by a teacher
}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Videos, their shards, clip models without a step, and glances that choose by each."""
    work = tmp_path_factory.mktemp("at_once")
    for name, how in VIDEOS.items():
        write_video(work / f"{name}.mp4", **how)
    rows = [
        Row(str(work / f"{name}.mp4"), (LABELS[i % 3],), split, video_id=f"{split}/{name}")
        for split in ("train", "val")
        for i, name in enumerate(VIDEOS)
    ]
    for name, policy in (("pictures", PICTURES), ("clips", CLIPS)):
        write_dataset(rows, LABELS, work / name, policy, shards=2)
    batches = {"data.batch": 8, "data.eval_batch": 8, "data.streams": 2, "best": ""}
    clips = {"data.dir": str(work / "pictures"), "data.crop": 28, "data.resize": 32, "epochs": 0.0, "model.width": 4}
    clips |= {"model.stages": (1, 1)} | batches
    small.stage(finetune.get_config("sample"), work / "student", **clips | {"init": ""})
    small.stage(
        preview.get_config("sample"), work / "preview", teacher=str(work / "student"), **clips | {"model.preview": 2}
    )
    size = {"data.dir": str(work / "clips"), "data.crop": 20, "data.resize": 24, "data.frames": 2}
    small.stage(teacher.get_config("sample"), work / "teacher", **clips | size)
    for name, of, cut in (
        ("plain", "student", "pictures"),
        ("heard", "preview", "pictures"),
        ("seen", "teacher", "clips"),
    ):
        data = {"data.dir": str(work / cut), "data.eval_batch": 8}
        small.stage(extract.get_config("sample"), work / name, student=str(work / of), **data)
    numbers = {"model.hidden": 16, "model.steps": STEPS, "model.stride": STRIDE, "data.lengths": (4, 8, 16)}
    numbers |= {"data.test": "val", "epochs": 0.0} | batches
    for name, how in RUNS.items():
        own = {"data.dir": str(work / "heard"), "student": str(work / "preview")}
        own = {"data.dir": str(work / "plain"), "student": str(work / "student")} if name == "plain" else own
        own |= {"recognition": str(work / "seen")} if name == "judged" else {}
        small.stage(skim.get_config("glance"), work / f"glance_{name}", **numbers | own | how)
    return work


@pytest.fixture(scope="module")
def models(work):
    return {name: l2l.load(work / f"glance_{name}") for name in RUNS}


@pytest.fixture(scope="module")
def prepared(work):
    """What the prepared path says of split val, by run and video."""
    found = {}
    for name in RUNS:
        run = load_run(work / f"glance_{name}")
        task, variables, frozen = predict.predictor(run)
        mesh = sharding.make_mesh((-1, 1))
        source = source_of(run.config, run.config["data"]["dir"])
        arrays = evaluate(predict.jit_predict(task, mesh), variables, frozen, source, "val", batch=8, mesh=mesh)
        names = [video_id.decode().split("/")[1] for video_id in arrays["video_id"]]
        found[name] = {video: {key: x[i] for key, x in arrays.items()} for i, video in enumerate(names)}
    return found


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("video", VIDEOS)
def test_it_says_what_the_prepared_path_says(work, models, prepared, name, video):
    found, expected = models[name].classify(work / f"{video}.mp4"), prepared[name][video]
    looks = expected["counted"]
    scores = np.float64(expected["step_logits"][looks])
    scores = 1 / (1 + np.exp(-scores)) if name == "both" else np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(found.evidence, scores, atol=1e-3)
    np.testing.assert_allclose([m.at for m in found.moments], expected["times"][expected["picked"][looks]], atol=1e-3)
    np.testing.assert_allclose([m.weight for m in found.moments], expected["worth"][looks], atol=1e-3)
    assert found.looks == expected["looks"]
    n = len(found.times)
    may = np.arange(n) % STRIDE == 0 if name == "image" or video == "silent" else np.ones(n, bool)
    wish = np.exp(np.float64(expected["listener"][:n][may]))
    np.testing.assert_allclose(found.choice.shares, wish / wish.sum(), atol=2e-3)
    np.testing.assert_array_equal(found.choice.times, found.times[may])
    named = "image" if video == "silent" or name == "judged" else "both"
    assert {m.modality for m in found.moments} == {named}
    assert found.choice.by == ("image" if video == "silent" else RUNS[name]["model.listens"])
    assert (scoring.BY_PICTURES in found.notes) == (video == "silent" and name != "image")
