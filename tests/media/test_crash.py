"""A film that kills its decoding process is an error of that film; what is known of a film is told."""

import json

import numpy as np
import pytest

import l2l
from l2l import infer
from l2l.inference import summary
from l2l.inference.model import Model, load
from l2l.media.decoding import cut_film
from l2l.media.decoding.decoder import Decoder, Decoders
from l2l.media.policy import Reading
from l2l.report import video_page
from tests.helpers import untrained
from tests.helpers.stand_in_worker import COMMAND, NOTES
from tests.helpers.videos import write_video


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("crash")
    untrained.clip_run(work / "clip")
    untrained.skim_run(work / "skim")
    how = {"long": {"seconds": 4.2, "clicks": (0.3, 2.1)}, "short": {"seconds": 1.6}, "silent": {"audio": False}}
    for name in ("long", "short", "silent"):
        write_video(work / f"{name}.mp4", **how[name])
    (work / "kills.mp4").write_bytes((work / "long.mp4").read_bytes())
    (work / "noted.mp4").write_bytes((work / "silent.mp4").read_bytes())
    return work


@pytest.fixture(scope="module")
def models(work):
    return {run: load(work / run) for run in ("clip", "skim")}


def killing(model, command=COMMAND):
    """The model with decoding processes that die of files named after that."""
    return Model(model.programs, decoders=Decoders(command=command))


@pytest.mark.parametrize("run", ["clip", "skim"])
def test_a_film_that_kills_its_decoder_costs_no_other(work, models, run):
    names, model = ("long", "kills", "short"), killing(models[run])
    found = model.classify([work / f"{name}.mp4" for name in names])
    assert [getattr(x, "status", "answered") for x in found] == ["answered", "crashed", "answered"]
    assert found[1].reason.startswith("the decoder died twice: SIGABRT")
    for name, result in zip(names[::2], found[::2], strict=True):
        np.testing.assert_allclose(result.scores, models[run].classify(work / f"{name}.mp4").scores, atol=1e-6)
    with pytest.raises(l2l.MediaError, match=r"kills\.mp4: the decoder died twice"):
        model.features(work / "kills.mp4")
    assert "the decoder died twice" in video_page.read(model.decoders, work / "kills.mp4", [0.5]).missing


def test_the_command_goes_on_after_a_crash(work, models, capsys, monkeypatch):
    monkeypatch.setattr(infer, "load", lambda args: killing(models["clip"]))
    words = [str(work / "kills.mp4"), str(work / "short.mp4"), f"--run={work / 'clip'}", "--json"]
    assert infer.main(words) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["error"].startswith("the decoder died twice: SIGABRT")
    assert second["positions"] > 0
    monkeypatch.setattr(infer, "load", lambda args: killing(models["clip"], ["/x"]))
    assert infer.main(words) == 1
    assert "error: a decoding process cannot be started: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("run", ["clip", "skim"])
def test_what_is_known_of_a_file_is_noted_before_the_rest(work, models, run):
    model = killing(models[run])
    found = model.classify(work / "noted.mp4")
    assert found.notes[:3] == (*NOTES, "no sound")
    assert found.to_json()["notes"] == list(found.notes)
    assert [line for line in summary.text(found.to_json()).splitlines() if "note " in line][:2] == [
        f"  note     {note}" for note in NOTES
    ]
    page = video_page.html_of(found, None)
    assert all(note[1:] in page for note in NOTES)
    assert "HDR" not in summary.running(found.to_json(), 1.0)
    assert "(no sound)" in summary.running(found.to_json(), 1.0)
    with Decoder(command=COMMAND) as decoder:
        how = {"policy": model.programs.policy, "frames": model.programs.frames, "stride": 1, "longest": 60.0}
        film = cut_film.cut(decoder, work / "noted.mp4", **how)
    assert model.classify(film).notes == found.notes


def test_sound_tracks_and_lengths_are_asked_for(work, models, monkeypatch, capsys):
    asked, clips = [], Decoders.film
    spy = lambda self, *how, **reading: asked.append(reading["reading"]) or clips(self, *how, **reading)
    monkeypatch.setattr(Decoders, "film", spy)
    words = [str(work / "short.mp4"), f"--run={work / 'clip'}"]
    assert infer.main(words) == infer.main([*words, "--audio_track=1", "--trust_length=no"]) == 0
    assert asked == [Reading(None, True), Reading(1, False)]
    capsys.readouterr()
    assert infer.main([f"--follow={work / 'short.mp4'}", words[1], "--trust_length=no"]) == 1
    assert "are for whole files" in capsys.readouterr().err
    for flag in ("--audio_track=0", "--trust_length=maybe"):
        with pytest.raises(SystemExit):
            infer.main([*words, flag])
    with pytest.raises(ValueError, match="audio_track=0: sound tracks are counted from 1"):
        Model(models["clip"].programs, audio_track=0)
