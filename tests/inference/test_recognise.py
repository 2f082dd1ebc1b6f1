"""Looks that another model judges: `infer` says what the prepared path says, and reads its clips there alone."""

import dataclasses

import numpy as np
import pytest

import l2l
from configs import extract, finetune, preview, skim, teacher
from data_prep.datasets.rows import Row
from data_prep.shards.prepare import write_dataset
from l2l import infer
from l2l.core import sharding
from l2l.data.dataset import source_of
from l2l.evaluate import model_macs, predict
from l2l.evaluate.evaluation import evaluate
from l2l.export import writer
from l2l.media.decoding.asking import FarFilm
from l2l.media.policy import ClipPolicy
from l2l.runs.run_folder import load_run
from l2l.serve import __main__ as serve
from tests.helpers import small
from tests.helpers.videos import write_video

LABELS = ("clapping", "tuning", "resting")
# At 5 frames a second every second of sound begins where the preview has a moment, so that both paths hear the same.
PICTURES = ClipPolicy(frames=1, hop=1.0, fps=5, short_side=32)
CLIPS = ClipPolicy(frames=3, hop=1.0, fps=10, short_side=24)
VIDEOS = {
    "long": {"seconds": 9.3, "fps": 10, "clicks": (0.3, 1.5, 2.6, 2.8, 3.2, 4.9, 5.0, 5.4, 6.1, 7.0, 8.8)},
    "silent": {"seconds": 7.2, "fps": 10, "audio": False},
    "other": {"seconds": 6, "fps": 10, "size": (64, 104), "clicks": (0.8, 1.1, 2.3, 3.6, 4.4, 4.5, 5.7)},
}
STEPS = 3
RUNS = {"judged": 1, "listening": 2}  # and how many models look at a moment that was chosen


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Videos, the two ways to cut them, and two skim runs, without a step, whose looks a teacher judges."""
    work = tmp_path_factory.mktemp("recognise")
    for name, how in VIDEOS.items():
        write_video(work / f"{name}.mp4", **how)
    rows = [
        Row(str(work / f"{name}.mp4"), (LABELS[i],), split, video_id=f"{split}/{name}")
        for split in ("train", "val")
        for i, name in enumerate(VIDEOS)
    ]
    batches = {"data.batch": 8, "data.eval_batch": 8, "data.streams": 2, "best": ""}
    for name, policy in (("pictures", PICTURES), ("clips", CLIPS)):
        write_dataset(rows, LABELS, work / name, policy, shards=2)

    def stage(module, name, variant="sample", **changes):
        small.stage(module.get_config(variant), work / name, **batches | changes)

    def described(name, student, clips, variant="sample"):
        data = {"data.dir": str(work / clips), "data.eval_batch": 8}
        small.stage(extract.get_config(variant), work / name, student=str(work / student), **data)

    clips = {"data.dir": str(work / "pictures"), "data.crop": 28, "data.resize": 32, "epochs": 0.0, "model.width": 4}
    clips["model.stages"] = (1, 1)
    stage(finetune, "student", init="", **clips)
    stage(preview, "preview", teacher=str(work / "student"), **clips | {"model.preview": 2})
    size = {"data.dir": str(work / "clips"), "data.crop": 20, "data.resize": 24, "data.frames": 2, "model.width": 4}
    stage(teacher, "teacher", **clips | size)
    described("features", "student", "pictures")
    described("heard", "preview", "pictures", "listen")
    described("recognition", "teacher", "clips")
    numbers = {"model.hidden": 16, "model.key": 8, "model.query": 16, "model.steps": STEPS, "data.lengths": (4, 8, 16)}
    numbers |= {"recognition": str(work / "recognition"), "data.test": "val", "epochs": 0.0}
    own = {"data.dir": str(work / "features"), "student": str(work / "student")}
    stage(skim, "judged", **own | numbers)
    own = {"data.dir": str(work / "heard"), "student": str(work / "preview")}
    by_sound = {"model.index_by": "audio", "model.fallback": 2}
    stage(skim, "listening", **own | by_sound | numbers)
    return work


@pytest.fixture(scope="module")
def models(work):
    return {name: l2l.load(work / name) for name in RUNS}


def prepared(work, name):
    """What the prepared path says of split val."""
    run = load_run(work / name)
    task, variables, frozen = predict.predictor(run)
    mesh = sharding.make_mesh((-1, 1))
    source = source_of(run.config, run.config["data"]["dir"])
    return evaluate(predict.jit_predict(task, mesh), variables, frozen, source, "val", batch=8, mesh=mesh)


@pytest.mark.parametrize("name", RUNS)
def test_it_says_what_the_prepared_path_says(work, models, name):
    arrays = prepared(work, name)
    for i, video_id in enumerate(arrays["video_id"]):
        video = video_id.decode().split("/")[1]
        found, looks = models[name].classify(work / f"{video}.mp4"), arrays["counted"][i]
        scores = np.exp(np.float64(arrays["step_logits"][i]))
        scores /= scores.sum(-1, keepdims=True)
        np.testing.assert_allclose(found.evidence, scores[looks], atol=1e-3, err_msg=video)
        own = [arrays[f"picked_{m}"][i] for m in ("image", "audio") if f"picked_{m}" in arrays]
        rows = np.stack(own, axis=1)[looks].tolist()
        if not found.has_audio:  # what both modalities picked is one moment
            rows = [dict.fromkeys(row) for row in rows]
        picks = [place for row in rows for place in row]
        times = arrays["times"][i][picks]
        np.testing.assert_allclose([m.seconds for m in found.moments], times, atol=1e-3, err_msg=video)


@pytest.mark.parametrize("name", RUNS)
def test_its_clips_are_read_at_the_looks_alone(work, models, name, monkeypatch):
    asked, cut = {1: [], 2: []}, FarFilm._cut
    spy = lambda film, at, n, **how: (asked[n].extend(at := list(at)), cut(film, at, n, **how))[1]
    monkeypatch.setattr(FarFilm, "_cut", spy)
    found = models[name].classify(work / "long.mp4")
    times = {round(float(found.times[i]), 3) for i in asked[2]}
    assert times == {m.seconds for m in found.moments}
    assert len(asked[2]) == len(set(asked[2])) == len(times)
    assert sorted(asked[1]) == (sorted(asked[2]) if name == "listening" else list(range(10)))
    run = load_run(work / name)
    costs = model_macs.clip_macs(run.recogniser["config"], 0)
    costs += model_macs.trunk_macs(run.student)["image"] if name == "listening" else 0
    assert found.gmacs["recognition"] * 1e9 == pytest.approx(len(times) * costs)


def test_many_videos_and_a_bad_one(work, models):
    (work / "empty.mp4").write_bytes(b"")
    for model in models.values():
        found = model.classify([work / "empty.mp4", work / "other.mp4"])
        assert "empty" in found[0].reason
        assert found[1].scores.tolist() == model.classify(work / "other.mp4").scores.tolist()


def test_clips_that_lie_elsewhere(work, models):
    parts = models["judged"].programs
    denser = dataclasses.replace(parts.recogniser, policy=dataclasses.replace(CLIPS, hop=0.5))
    model = l2l.Model(dataclasses.replace(parts, recogniser=denser))
    with pytest.raises(l2l.MediaError, match="19 clips where it is recognised, 10 where it is skimmed"):
        model.classify(work / "long.mp4")


def test_what_does_not_take_such_runs_says_so(work, models, tmp_path, capsys):
    with pytest.raises(ValueError, match="recognises with a second model .recognition., which cannot be exported"):
        writer.export(str(work / "judged"), str(tmp_path / "a.l2l"))
    with pytest.raises(ValueError, match="needs a whole file"):
        models["judged"].stream(work / "long.mp4")
    assert infer.main([f"--follow={work / 'long.mp4'}", f"--run={work / 'judged'}"]) == 1
    assert "error: another model judges the looks" in capsys.readouterr().err
    with pytest.raises(ValueError, match="`infer` takes it, the service does not"):
        serve.prepared(serve.parser().parse_args([f"--run={work / 'judged'}"]))
