"""All looks at once: `infer` says what the prepared path says, whatever chooses, and reads no more than is chosen."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import l2l
from configs import extract
from data_prep.datasets.rows import Row
from data_prep.shards.prepare import write_dataset
from l2l.core import sharding
from l2l.data.dataset import source_of
from l2l.evaluate import metrics, model_macs, predict
from l2l.evaluate.early_exit import Sure
from l2l.evaluate.evaluation import evaluate
from l2l.export import writer
from l2l.inference import at_once, from_run, scoring
from l2l.inference.session import View
from l2l.inference.summary import text
from l2l.media.decoding import cut_film
from l2l.media.decoding.asking import FarFilm
from l2l.media.decoding.decoder import Decoder
from l2l.media.policy import ClipPolicy
from l2l.runs.run_folder import RunError, load_run, student_of
from l2l.serve import __main__ as serve
from tests.helpers import small, untrained
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
    "audio": {"model__listens": "audio"},
    "both": {"model__listens": "both", "multi_label": True},
    "image": {"model__listens": "image"},
    "plain": {"model__listens": "audio"},  # over the features of a student without a preview
    "judged": {"model__listens": "audio"},  # its looks are judged by a teacher
}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Videos, their shards, and untrained runs: clip models, their features, and glances that choose by each."""
    work = tmp_path_factory.mktemp("at_once")
    for name, how in VIDEOS.items():
        write_video(work / f"{name}.mp4", **how)
    rows = [Row(str(work / f"{name}.mp4"), (LABELS[i % 3],), "val", video_id=name) for i, name in enumerate(VIDEOS)]
    for name, policy in (("pictures", PICTURES), ("clips", CLIPS)):
        write_dataset(rows, LABELS, work / name, policy, shards=2)
    size = {"data__crop": 28, "data__resize": 32, "model__width": 4}
    small.untrained(small.config("finetune", work / "student", work / "pictures", **size), 0.6)
    small.untrained(small.config("finetune", work / "preview", work / "pictures", **size, model__preview=2), 0.6)
    size = {"data__crop": 20, "data__resize": 24, "model__width": 4}
    small.untrained(small.config("teacher", work / "teacher", work / "clips", **size))
    for of, cut in (("student", "pictures"), ("preview", "pictures"), ("teacher", "clips")):
        data = {"data.dir": str(work / cut), "data.eval_batch": 8}
        small.stage(extract.get_config("sample"), work / f"{of}_features", student=str(work / of), **data)
    numbers = {"model__hidden": 16, "model__steps": STEPS, "model__stride": STRIDE, "data__lengths": (4, 8, 16)}
    for name, how in RUNS.items():
        student = "student" if name == "plain" else "preview"
        judge = {"recognised": (work / "teacher", work / "teacher_features")} if name == "judged" else {}
        own = work / f"glance_{name}", work / student, work / f"{student}_features"
        untrained.glance_run(*own, **numbers, **how, **judge)
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
        names = [video_id.decode() for video_id in arrays["video_id"]]
        found[name] = {video: {key: x[i] for key, x in arrays.items()} for i, video in enumerate(names)}
    return found


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("video", VIDEOS)
def test_it_says_what_the_prepared_path_says(work, models, prepared, name, video):
    found, expected = models[name].classify(work / f"{video}.mp4"), prepared[name][video]
    looks = expected["counted"]
    scores = metrics.probabilities(np.float64(expected["step_logits"][looks]), name == "both")
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
    assert found.choice.by == ("image" if video == "silent" else RUNS[name]["model__listens"])
    assert (scoring.BY_PICTURES in found.notes) == (video == "silent" and name != "image")


@pytest.fixture
def asked(monkeypatch):
    """The positions of every pass over a file's frames, by how many of each clip are read."""
    asked, cut = {1: [], 2: []}, FarFilm._cut
    spy = lambda film, at, n, **how: (asked[n].append(at := list(at)), cut(film, at, n, **how))[1]
    monkeypatch.setattr(FarFilm, "_cut", spy)
    return asked


@pytest.mark.parametrize(
    ("name", "passes"),
    [("audio", 1), ("both", 2), ("image", 1), ("judged", 1)],
    ids=["audio", "both", "image", "judged"],
)
def test_frames_are_read_once_and_ascending(work, models, asked, name, passes):
    found = models[name].classify(work / "long.mp4")
    chosen = sorted(np.searchsorted(found.times, [m.at - 1e-3 for m in found.moments]).tolist())
    strided = list(range(0, len(found.times), STRIDE))
    expected = {"audio": [chosen], "image": [strided], "judged": [chosen]}
    expected["both"] = [strided, [row for row in chosen if row % STRIDE]]
    assert asked == ({1: [], 2: expected[name]} if name == "judged" else {1: expected[name], 2: []})
    assert len(expected[name]) == passes
    run = load_run(work / f"glance_{name}")
    numbers = {"positions": len(found.times), "steps": 0, "looks": STEPS}
    costs = model_macs.video_macs(
        run.config, run.student, 3, **numbers, recogniser=run.recogniser and run.recogniser["config"]
    )
    assert found.gmacs == pytest.approx({part: count / 1e9 for part, count in costs.items()})


def test_silent_films_are_chosen_for_by_pictures_that_are_read_once(work, models, asked):
    found = models["audio"].classify(work / "silent.mp4")
    assert asked == {1: [[0, 2, 4, 6]], 2: []}
    np.testing.assert_array_equal(found.indexed, np.arange(8) % 2 == 0)
    assert (found.silence, found.gmacs["recognition"]) == ("no sound", 0)
    told = found.to_json()
    assert told["chosen_by"] == "image"
    assert scoring.BY_PICTURES in told["notes"]
    assert scoring.BY_PICTURES in text(told)
    assert models["audio"].classify(work / "long.mp4").to_json()["chosen_by"] == "audio"


@pytest.mark.parametrize("name", ["image", "judged"])
def test_when_it_is_sure_it_reads_no_further(work, models, prepared, asked, name):
    expected, parts = prepared[name]["long"], models[name].programs
    confidence = metrics.probabilities(np.float64(expected["step_logits"]), multi_label=False).max(-1)
    second = confidence[1] > confidence[0]
    threshold = float(confidence[:2].mean() if second else 0.0)
    knows = dataclasses.replace(parts, sure=Sure("step_logits", (1.0,) * STEPS, threshold))
    found = l2l.Model(knows, stop_when_sure=True).classify(work / "long.mp4")
    looks = 2 if second else 1
    assert (found.looks, len(found.moments), found.calibrated) == (looks, looks, True)
    np.testing.assert_allclose(
        found.scores, metrics.probabilities(expected["step_logits"][looks - 1], False), atol=1e-3
    )
    own = expected["worth"][:looks] / expected["worth"][:looks].sum()
    np.testing.assert_allclose([m.weight for m in found.moments], own, atol=1e-3)
    one_by_one = [[int(row)] for row in expected["picked"][:looks]]
    assert asked[2 if name == "judged" else 1] == ([list(range(0, 10, 2))] if name == "image" else one_by_one)


def test_many_at_once_and_a_bad_one(work, models):
    (work / "empty.mp4").write_bytes(b"")
    names = ("empty", "other", "long")
    for model in (models["both"], models["judged"]):
        found = model.classify([work / f"{name}.mp4" for name in names])
        assert "empty" in found[0].reason
        for name, result in zip(names[1:], found[1:], strict=True):
            same(result, model.classify(work / f"{name}.mp4"), atol=1e-6)


@pytest.mark.parametrize("name", ["audio", "image"])
def test_films_that_were_cut_ahead_share_batches_and_say_the_same(work, models, name):
    how = {"policy": PICTURES, "frames": 1, "stride": 1, "longest": 60.0}
    with Decoder() as decoder:
        films = [cut_film.cut(decoder, work / f"{video}.mp4", **how) for video in VIDEOS]
    for found, video in zip(models[name].classify(films), VIDEOS, strict=True):
        same(found, models[name].classify(work / f"{video}.mp4"), atol=2e-3)


@pytest.mark.parametrize("name", ["audio", "image"])
def test_a_video_in_memory_is_the_file(work, models, name):
    arrays = in_memory(work / "long.mp4", fps=10.0)
    same(models[name].classify(arrays), models[name].classify(work / "long.mp4"), atol=2e-2)


@pytest.mark.parametrize("name", ["audio", "image"])
@pytest.mark.parametrize("video", ["long", "silent"])
def test_of_a_video_that_is_still_coming_the_end_is_the_whole(work, models, name, video):
    whole = models[name].classify(work / f"{video}.mp4")
    found = list(models[name].stream(work / f"{video}.mp4", every=0.0, patience=0.1))
    same(found[-1], whole, atol=2e-3)
    assert [len(result.times) for result in found] == sorted(len(result.times) for result in found)
    for result in found:
        assert len(result.moments) == min(STEPS, result.indexed.sum())


@pytest.mark.parametrize("name", ["audio", "image"])
def test_of_what_comes_no_more_is_kept_than_may_be_read(models, name, monkeypatch):
    """A beginning without sound, then sound: what is forgotten is never chosen."""
    monkeypatch.setattr(at_once, "KEPT", 4 * STEPS)
    rng, model = np.random.default_rng(0), models[name]
    parts, view = model.programs, View("")
    view.live, view.film, most = True, SimpleNamespace(notes=()), 0
    for first in range(0, 120, 8):
        loud = 3000 if first >= 64 else 0
        records = [
            {"frames": rng.integers(0, 256, (1, 28, 28, 3), np.uint8), "audio": rng.normal(0, 1, 16_000) * loud}
            for _ in range(8)
        ]
        records = [record | {"audio": record["audio"].astype(np.int16)} for record in records]
        at_once.take(view, records, parts)
        most = max(most, len(view.kept))
        view.times, view.indexed = np.arange(len(view.rows)) + 0.5, np.ones(len(view.rows), bool)
        model.answer(view)
    assert not view.lost
    assert most <= 2 * 4 * STEPS + 8


@pytest.mark.parametrize("name", ["both", "image"])
def test_exported_it_says_the_same(work, models, asked, name):
    file = work / f"{name}.l2l"
    writer.export(str(work / f"glance_{name}"), str(file))
    model = l2l.load(file)
    for video in VIDEOS:
        asked[1].clear()
        whole = models[name].classify(work / f"{video}.mp4")
        read, asked[1] = list(asked[1]), []
        same(dataclasses.replace(model.classify(work / f"{video}.mp4"), asked=whole.asked), whole, atol=2e-3)
        assert asked[1] == read


def test_what_does_not_take_such_runs_says_so(work, models, tmp_path):
    with pytest.raises(ValueError, match="recognises with a second model .recognition., which cannot be exported"):
        writer.export(str(work / "glance_judged"), str(tmp_path / "a.l2l"))
    with pytest.raises(ValueError, match="needs a whole file"):
        models["judged"].stream(work / "long.mp4")
    with pytest.raises(ValueError, match="stride=5: this run chooses all its looks at once"):
        l2l.Model(models["audio"].programs, stride=5)
    with pytest.raises(ValueError, match="`infer` takes it, the service does not"):
        serve.prepared(serve.parser().parse_args([f"--run={work / 'glance_judged'}"]))


def test_one_that_sees_regions_closer_is_refused_in_one_line(work):
    run = load_run(work / "glance_audio")
    model = run.config["model"] | {"closer": "judge"}
    closer = dataclasses.replace(run, config=run.config | {"model": model})
    with pytest.raises(RunError, match=r"glance_audio sees regions closer .*: use a run of skim:glance"):
        from_run.glance_of(closer, student_of(run), None)
