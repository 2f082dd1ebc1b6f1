"""The Python API: files and arrays, one and many, from several threads, with strides and stops."""

import dataclasses
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest

import l2l
from l2l.evaluate import fit_early_exit
from l2l.inference import model as look
from l2l.inference.result import Result
from l2l.media.arrays import Arrays
from l2l.media.video import read_audio
from tests.helpers import untrained
from tests.helpers.videos import write_video

VIDEOS = {"long": 7.4, "middle": 4.2, "short": 1.1, "other": 4.9}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Videos of different lengths in a format that changes no bit of picture and sound."""
    folder = tmp_path_factory.mktemp("films")
    lossless = {"codec": "png", "pix_fmt": "rgb24", "audio_codec": "pcm_s16le", "sample_format": "s16"}
    for name, seconds in VIDEOS.items():
        clicks = np.arange(0.3, seconds, 0.7)
        write_video(folder / f"{name}.mov", seconds=seconds, clicks=clicks, rate=16_000, layout="mono", **lossless)
    (folder / "bad.mov").write_text("not a video")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {"clip": untrained.clip_run(folder / "clip"), "skim": untrained.skim_run(folder / "skim")}


@pytest.fixture(scope="module")
def models(runs):
    return {name: l2l.load(run) for name, run in runs.items()}


def same(a: Result, b: Result, atol: float = 0.0) -> None:
    """Two answers to one video; with a tolerance for the scores."""
    for field in dataclasses.fields(Result):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if field.name in ("scores", "evidence", "shares", "times", "indexed"):
            np.testing.assert_allclose(x, y, rtol=0, atol=atol, err_msg=field.name)
        elif field.name == "attention":
            assert x.keys() == y.keys()
            for m in x:
                np.testing.assert_allclose(x[m], y[m], rtol=0, atol=atol)
        elif field.name == "moments":
            assert [(m.modality, m.seconds) for m in x] == [(m.modality, m.seconds) for m in y]
            np.testing.assert_allclose([m.weight for m in x], [m.weight for m in y], rtol=0, atol=atol)
        elif field.name == "choice" and x is not None:
            assert x.by == y.by
            np.testing.assert_allclose(x.times, y.times)
            np.testing.assert_allclose(x.shares, y.shares, rtol=0, atol=atol)
        elif field.name not in ("path", "seconds", "decoded"):
            assert x == y, field.name


def in_memory(path, **change) -> Arrays:
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    wave, _ = read_audio(path)
    return Arrays(frames, **{"fps": 15.0, "wave": wave} | change)


@pytest.mark.parametrize("kind", ["clip", "skim"])
def test_a_video_in_memory_is_the_file(films, models, kind):
    for name in VIDEOS:
        arrays = in_memory(films / f"{name}.mov")
        same(models[kind].classify(films / f"{name}.mov"), models[kind].classify(arrays))
    timed = dataclasses.replace(arrays, fps=None, times=np.arange(len(arrays.frames)) / 15 + 2.0, wave=None)
    silent = dataclasses.replace(arrays, wave=None)
    same(models[kind].classify(timed), models[kind].classify(silent), atol=1e-6)
    assert not models[kind].classify(silent).has_audio


def test_sound_of_any_rate_and_scale(films, models):
    arrays, classify = in_memory(films / "long.mov"), models["skim"].classify
    same(classify(arrays), classify(dataclasses.replace(arrays, wave=arrays.wave / 32768)), atol=1e-3)
    tone = lambda rate: np.sin(2 * np.pi * 440 * np.arange(7 * rate) / rate).astype(np.float32)
    low, high = (classify(dataclasses.replace(arrays, wave=tone(r), rate=r)) for r in (16_000, 44_100))
    same(low, high, atol=2e-2)


@pytest.mark.parametrize("kind", ["clip", "skim"])
def test_many_at_once_are_each_alone_and_the_bad_ones_are_told(films, models, kind):
    paths = [films / f"{name}.mov" for name in ("long", "bad", "short", "nowhere", "middle", "other", *["long"] * 9)]
    found = models[kind].classify(paths)
    assert [type(x).__name__ for x in found[:5]] == ["Result", "MediaError", "Result", "MediaError", "Result"]
    assert "no such file" in str(found[3])
    for path, result in zip(paths, found, strict=True):
        if isinstance(result, Result):
            assert result.path == str(path)
            same(result, models[kind].classify(path), atol=1e-5)
    with pytest.raises(l2l.MediaError, match="bad.mov"):
        models[kind].classify(films / "bad.mov")
    assert models[kind].classify([]) == []


@pytest.mark.parametrize("kind", ["clip", "skim"])
def test_threads_share_a_model(films, runs, kind):
    model, names, gate = l2l.load(runs[kind]), list(VIDEOS) * 4, threading.Barrier(8)

    def answer(name):
        gate.wait(timeout=60)  # all at once, also where a length is not compiled yet
        return model.classify(films / f"{name}.mov")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(answer, names))
    waited = [result.seconds["compile"] for result in found]
    assert max(waited) > 0 if kind == "skim" else not any(waited)  # a clip model was compiled when it was loaded
    for name, result in zip(names, found, strict=True):
        again = model.classify(films / f"{name}.mov")
        same(result, again)
        assert not again.seconds["compile"]


def test_a_result_is_kept_and_sent(films, models):
    result = models["skim"].classify(films / "long.mov")
    same(result, pickle.loads(pickle.dumps(result)))
    assert result.top == result.best(5)
    assert result.best(1)[0] == (untrained.LABELS[result.scores.argmax()], float(result.scores.max()))
    n, k = len(result.times), len(untrained.LABELS)
    assert result.evidence.shape == (result.looks, k)
    np.testing.assert_array_equal(result.evidence[-1], result.scores)
    assert {m: x.shape for m, x in result.attention.items()} == dict.fromkeys(
        ("image", "audio"), (len(result.shares), n)
    )
    for modality, attention in result.attention.items():
        np.testing.assert_allclose(attention.sum(1), 1, atol=1e-5)
        picked = [m.seconds for m in result.moments if m.modality == modality]
        np.testing.assert_allclose(picked, result.times[attention.argmax(1)], atol=1e-3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.path = "x"


def test_features_are_what_the_skimmer_reads(films, models):
    found = models["skim"].features(films / "middle.mov")
    n = len(models["skim"].classify(films / "middle.mov").times)
    assert {key: (x.shape, x.dtype.name) for key, x in found.items()} == {
        "image": ((n, 16), "float16"),
        "audio": ((n, 16), "float16"),
        "times": ((n,), "float32"),
    }
    strided = l2l.Model(models["skim"].programs, stride=2).features(films / "middle.mov")
    for key, x in found.items():
        np.testing.assert_array_equal(strided[key], x[::2])
    with pytest.raises(l2l.MediaError):
        models["skim"].features(films / "bad.mov")


def test_at_a_stride_only_described_positions_are_picked(films, models):
    model = l2l.Model(models["skim"].programs, stride=3)
    result, whole = (m.classify(films / "long.mov") for m in (model, models["skim"]))
    np.testing.assert_array_equal(result.times, whole.times)
    np.testing.assert_array_equal(result.indexed, np.arange(len(whole.times)) % 3 == 0)
    assert {m.seconds for m in result.moments} <= {round(float(t), 3) for t in result.times[::3]}
    assert all(not x[:, ~result.indexed].any() for x in result.attention.values())
    assert result.gmacs["indexing"] == pytest.approx(whole.gmacs["indexing"] / 3, rel=0.1)


def test_it_stops_when_sure(films, models):
    parts = models["skim"].programs
    whole = models["skim"].classify(films / "long.mov")
    temperatures = (2.0, 3.0, 4.0)
    powers = whole.evidence ** (1 / np.array(temperatures))[:, None]
    expected = powers / powers.sum(1, keepdims=True)
    for threshold, looks in ((0.0, 1), (1.0, 3)):
        knows = dataclasses.replace(parts, sure=fit_early_exit.Sure("step_logits", temperatures, threshold))
        told = l2l.Model(knows).classify(films / "long.mov")
        assert (told.calibrated, told.looks) == (True, 3)
        np.testing.assert_allclose(told.evidence, expected, atol=1e-5)
        stopped = l2l.Model(knows, stop_when_sure=True).classify(films / "long.mov")
        assert stopped.looks == looks
        np.testing.assert_allclose(stopped.evidence, expected[:looks], atol=1e-5)
        np.testing.assert_array_equal(stopped.scores, stopped.evidence[-1])
        assert len(stopped.moments) == 2 * len(stopped.shares)
        assert stopped.gmacs["skimming"] <= whole.gmacs["skimming"]
    assert not whole.calibrated
    with pytest.raises(ValueError, match="python -m l2l.sure"):
        l2l.Model(parts, stop_when_sure=True)


@pytest.mark.parametrize(("stride", "kind"), [(0, "skim"), (-1, "skim"), (2, "clip")])
def test_strides_that_make_no_sense(models, stride, kind):
    with pytest.raises(ValueError, match=f"stride={stride}"):
        l2l.Model(models[kind].programs, stride=stride)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frames": np.zeros((2, 8, 8, 3))}, "frames must be uint8"),
        ({"frames": np.zeros((0, 8, 8, 3), np.uint8)}, "frames must be uint8"),
        ({"fps": None}, "either fps or times"),
        ({"fps": 0.0}, "fps must be positive"),
        ({"fps": None, "times": [1.0, 1.0]}, "times must be ascending"),
        ({"fps": None, "times": [1.0]}, "times must be ascending"),
        ({"wave": np.zeros((2, 2), np.int16)}, "wave must be int16"),
        ({"wave": np.zeros(4, np.int64)}, "wave must be int16"),
        ({"rate": 0}, "rate must be positive"),
    ],
)
def test_arrays_that_are_no_video(change, says):
    with pytest.raises(ValueError, match=says):
        Arrays(**{"frames": np.zeros((2, 8, 8, 3), np.uint8), "fps": 5.0} | change)


def test_names_of_the_package():
    assert (l2l.load, l2l.Model, l2l.Arrays) == (look.load, look.Model, Arrays)
    with pytest.raises(AttributeError, match="nothing"):
        l2l.nothing  # noqa: B018
