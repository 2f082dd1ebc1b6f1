"""A video that is still coming gets, at its end, the answer that the whole video gets."""

import contextlib
import functools
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

import l2l
from l2l.inference import stream
from l2l.media.arrays import Arrays
from l2l.media.coming import boxes
from l2l.media.cut import CLIPS
from l2l.media.decoding.decoder import Decoder
from l2l.media.live import LAG, Came, Coming, Feed, LiveFilm, from_arrays
from l2l.media.memory import film_of
from l2l.media.policy import ClipPolicy
from tests.helpers import untrained, xla
from tests.helpers.prepared import children, wait_until
from tests.helpers.stand_in_worker import COMMAND, NOTES
from tests.helpers.videos import write_video
from tests.inference.test_model import in_memory, same


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = {"clip": untrained.clip_run(folder / "clip"), "skim": untrained.skim_run(folder / "skim")}
    return {name: l2l.load(run) for name, run in runs.items()}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    how = {"seconds": 6.3, "fps": 12, "clicks": (0.4, 1.9, 3.3, 5.1)}
    for name in ("a.mkv", "a.ts", "a.mp4"):
        write_video(folder / name, **how)
    write_video(folder / "silent.mkv", **how | {"audio": False})
    write_video(folder / "late.mkv", **how | {"audio_start": 2.0, "audio_stop": 5.0, "clicks": (2.4, 3.3)})
    return folder


def last(results):
    *_, result = results
    return result


@pytest.mark.parametrize("kind", ["clip", "skim"])
@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4", "silent.mkv", "late.mkv"])
def test_the_end_is_the_whole(films, models, kind, name):
    whole = models[kind].classify(films / name)
    with open(films / name, "rb") as file:
        found = list(models[kind].stream(file, every=0.0))
    same(found[-1], whole, atol=1e-5)
    counts = [len(result.times) for result in found]
    assert counts == sorted(counts)
    for result in found:  # what was said on the way is about a beginning of the video
        np.testing.assert_array_equal(result.times, whole.times[: len(result.times)])
    assert whole.silence == ("no sound" if name == "silent.mkv" else "")


def test_a_finished_file_whose_index_comes_last(films, models):
    """The usual MP4 file: its path, or whatever can go back in it, is read at once, without waiting for its growth."""
    path = films / "a.mp4"
    names = list(boxes(io.BytesIO(path.read_bytes())))
    assert names.index(b"mdat") < names.index(b"moov")
    whole = models["skim"].classify(path)
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        same(last(models["skim"].stream(source, patience=300)), whole, atol=1e-5)


def test_boxes_of_a_file():
    box = lambda name, content, size=None: (8 + len(content) if size is None else size).to_bytes(4) + name + content
    large = box(b"mdat", (16 + 5).to_bytes(8) + b"12345", size=1)
    whole = box(b"ftyp", b"isom") + large + box(b"free", b"") + box(b"moov", b"xyz")
    assert list(boxes(io.BytesIO(whole))) == [b"ftyp", b"mdat", b"free", b"moov"]
    assert list(boxes(io.BytesIO(box(b"mdat", b"123", size=0) + whole))) == [b"mdat"]
    assert list(boxes(io.BytesIO(box(b"mdat", b"\xff" * 8, size=1) + whole))) == [b"mdat"]
    assert list(boxes(io.BytesIO(whole[:30]))) == [b"ftyp", b"mdat"]
    assert list(boxes(io.BytesIO(b""))) == []


@pytest.mark.parametrize("kind", ["clip", "skim"])
def test_stretches_in_memory(films, models, kind):
    whole = in_memory(films / "a.mkv", fps=12.0)

    def stretches(seconds):
        for i in range(0, len(whole.frames), round(12 * seconds)):
            wave = whole.wave[round(i / 12 * 16_000) : round((i / 12 + seconds) * 16_000)]
            yield Arrays(whole.frames[i : i + round(12 * seconds)], fps=12.0, wave=wave)

    expected = models[kind].classify(whole)
    for seconds in (0.25, 1.5, 10.0):
        same(last(models[kind].stream(stretches(seconds))), expected, atol=1e-5)


@pytest.mark.parametrize("frames", [60, 61])
def test_stretches_with_times(films, models, frames):
    """The answer to the whole, whether it has an odd or an even number of frames."""
    film = in_memory(films / "a.mkv", fps=12.0)
    times, wave = 0.25 + np.arange(frames) / 12, film.wave[: round((0.25 + frames / 12) * 16_000)]
    whole = Arrays(film.frames[:frames], times=times, wave=wave)

    def stretches(each):
        for i in range(0, frames, each):
            end = len(wave) if i + each >= frames else round(times[i + each] * 16_000)
            begin = round(times[i] * 16_000) if i else 0
            yield Arrays(film.frames[i : min(i + each, frames)], times=times[i : i + each], wave=wave[begin:end])

    expected = models["skim"].classify(whole)
    same(last(models["skim"].stream(stretches(7))), expected, atol=1e-5)


@pytest.mark.parametrize("given", ["fps", "times"])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 11])
def test_a_stretch_ends_where_the_whole_ends(count, given):
    """Clips at the video's own rate, which a single frame does not tell."""
    pictures, policy = np.zeros((count, 16, 16, 3), np.uint8), ClipPolicy(frames=1, short_side=16)
    rate = {"fps": 8.0} if given == "fps" else {"times": 3 + np.arange(count) / 8}
    whole = film_of(Arrays(pictures, **rate), policy)
    for each in (1, 4, count):
        cut = range(0, count, each)
        part = lambda key, value, i, each=each: (key, value if key == "fps" else value[i : i + each])
        stretches = (Arrays(pictures[i : i + each], **dict(part(*x, i) for x in rate.items())) for i in cut)
        film = LiveFilm("x", from_arrays(stretches), policy)
        starts = [clip.start for clip in film.clips(1, 1)]
        assert starts == [clip.start for clip in whole.clips]
        assert (film.stop, film.count) == (pytest.approx(whole.stop), len(whole.clips))


def test_at_a_stride(films, models):
    model = l2l.Model(models["skim"].programs, stride=3)
    with open(films / "a.mkv", "rb") as file:
        same(last(model.stream(file)), model.classify(films / "a.mkv"), atol=1e-5)


def test_a_file_that_grows(films, models, tmp_path):
    path, data = tmp_path / "growing.ts", (films / "a.ts").read_bytes()
    path.write_bytes(data[: len(data) // 3])

    def write():
        with path.open("ab") as file:
            for at in range(len(data) // 3, len(data), len(data) // 9):
                time.sleep(0.1)
                file.write(data[at : at + len(data) // 9])
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    found = last(models["skim"].stream(path, patience=1.0))
    writer.join()
    same(found, models["skim"].classify(films / "a.ts"), atol=1e-5)


def test_answers_come_while_the_source_waits(films, models):
    """What has come is answered before the source gives more."""
    data, answered = (films / "a.mkv").read_bytes(), threading.Event()

    class Source:
        def __init__(self):
            self.at, self.waited = 0, False

        def read(self, size):
            if self.at >= 0.8 * len(data) and not self.waited:
                self.waited = answered.wait(timeout=60)
            self.at += size
            return data[self.at - size : self.at]

    source = Source()
    results = models["skim"].stream(source, every=0.0)
    first = next(results)
    assert not source.waited
    answered.set()
    assert len(first.times) < len(last(results).times)
    assert source.waited


def test_answers_come_while_a_pipe_waits(films, models, tmp_path):
    """The same of a path, which another process reads."""
    data, answered, waited = (films / "a.mkv").read_bytes(), threading.Event(), []
    os.mkfifo(tmp_path / "pipe")

    def write():
        with open(tmp_path / "pipe", "wb") as file:
            file.write(data[: int(0.8 * len(data))])
            file.flush()
            waited.append(answered.wait(timeout=60))
            file.write(data[int(0.8 * len(data)) :])

    writer = threading.Thread(target=write)
    writer.start()
    results = models["skim"].stream(tmp_path / "pipe", every=0.0, patience=0.0)
    first = next(results)
    assert not waited
    answered.set()
    whole = last(results)
    writer.join()
    assert waited == [True]
    assert len(first.times) < len(whole.times)
    same(whole, models["skim"].classify(films / "a.mkv"), atol=1e-5)


def test_leaving_early_ends_the_process(films, models, tmp_path):
    """Also where it waits for a file that does not go on."""
    (tmp_path / "a.ts").write_bytes((films / "a.ts").read_bytes()[:-2000])
    before = {*children()}
    results = models["clip"].stream(tmp_path / "a.ts", every=0.0, patience=3600)
    next(results)
    assert {*children()} - before
    results.close()
    wait_until(lambda: not {*children()} - before)


def test_what_kills_the_process_is_an_error_of_what_comes(films, models, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "Decoder", functools.partial(Decoder, command=COMMAND))
    for name, notes in (("kills.mkv", ()), ("noted.mkv", NOTES)):
        (tmp_path / name).write_bytes((films / "silent.mkv").read_bytes())
        if notes:
            assert last(models["skim"].stream(tmp_path / name, patience=0.0)).notes[:2] == notes
        else:
            with pytest.raises(l2l.MediaError, match=r"kills\.mkv: the decoder died twice: SIGABRT"):
                list(models["skim"].stream(tmp_path / name))
    with open(films / "a.mkv", "rb") as file, Decoder(command=COMMAND, stdin=file) as decoder:
        monkeypatch.setattr(stream, "far", lambda source: contextlib.nullcontext(decoder))
        same(last(models["skim"].stream("-")), models["skim"].classify(films / "a.mkv"), atol=1e-5)


def test_every_says_how_often(films, models):
    with open(films / "a.mkv", "rb") as file:
        assert len(list(models["clip"].stream(file, every=60.0))) == 2  # the first and the last


def test_sources_that_cannot_be_followed(films, models, tmp_path):
    (tmp_path / "text.mkv").write_text("not a video")
    data = (films / "a.mp4").read_bytes()
    (tmp_path / "begun.mp4").write_bytes(data[: data.index(b"moov") - 4])
    pipe = SimpleNamespace(read=io.BytesIO(data).read, name="pipe")
    cases = {
        pipe.name: "pipe: its index comes last: write it with -movflags .faststart, or give the file",
        tmp_path
        / "begun.mp4": "its index comes last and is not there yet: write it with -movflags .faststart, or wait",
        tmp_path / "text.mkv": "text",
        tmp_path / "nowhere": "no such file",
    }
    for source, message in cases.items():
        with pytest.raises(l2l.MediaError, match=message):
            list(models["skim"].stream(pipe if source == pipe.name else source, patience=0.0))
    with pytest.raises(l2l.MediaError, match="no frames"):
        list(models["skim"].stream([]))


def test_leaving_early_ends_the_reader(films, models):
    before = threading.active_count()
    endless = itertools.repeat(Arrays(np.zeros((12, 16, 16, 3), np.uint8), fps=12.0))
    results = models["clip"].stream(endless, every=0.0)
    next(results)
    results.close()
    until = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.05)
    assert threading.active_count() == before


def test_late_sound_is_not_waited_for_beyond_a_lag():
    """Pictures wait undecoded for their sound, but no more than so many seconds of them."""
    held, most = 0, 0
    picture = av.VideoFrame(16, 16, "rgb24")

    def pieces():
        nonlocal held, most
        for i in range(600):
            held += 1
            most = max(most, held)
            yield Came("picture", lambda i=i: shown(i), (i + 1) / 10)

    def shown(i):
        nonlocal held
        held -= 1
        return [(picture, i / 10)]

    film = LiveFilm("x", Coming(10.0, pieces()), ClipPolicy(frames=1, short_side=16))
    clips = list(film.clips(1, 1))
    assert len(clips) == film.count == 600
    assert most <= 10 * LAG + 2


def test_a_policy_that_needs_the_length():
    with pytest.raises(l2l.MediaError, match="known length"):
        LiveFilm("x", Coming(10.0, iter(())), ClipPolicy(clips=3))
    with pytest.raises(l2l.MediaError, match="how many frames a second"):
        LiveFilm("x", Coming(0.0, iter(())), ClipPolicy())
    assert next(Feed(iter(())).pictures(), None) is None
    assert CLIPS == 100_000


def test_command_follows_a_pipe(films, models, tmp_path):
    run = untrained.skim_run(tmp_path / "skim")
    words = [sys.executable, "-m", "l2l.infer", "--follow=-", f"--run={run}"]
    environment = os.environ | {"XLA_FLAGS": xla.flags(1), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    how = {"cwd": Path(__file__).parents[2], "env": environment, "capture_output": True, "timeout": 120}
    data = (films / "a.mkv").read_bytes()
    process = subprocess.run([*words, "--json"], input=data, **how, check=True)
    *_, told = map(json.loads, process.stdout.splitlines())
    whole = models["skim"].classify(films / "a.mkv")
    assert told["path"] == "-"
    assert [m["seconds"] for m in told["moments"]] == [m.seconds for m in whole.moments]
    np.testing.assert_allclose([x["score"] for x in told["top"]], [score for _, score in whole.top], atol=1e-4)
    failed = subprocess.run(words, input=b"not a video", **how, check=False)
    assert failed.returncode == 1
    assert failed.stdout.startswith(b"-: it cannot be decoded")
