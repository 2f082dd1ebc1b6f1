"""What is said of a video with sound and without, by value, for every kind of run."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_prep.sample import render
from l2l import infer
from l2l.inference import scoring, summary
from l2l.inference.programs import Programs, by_shape
from l2l.inference.result import Asked
from l2l.inference.scoring import BY_PICTURES, DRAWN, HEARD_NOTHING, NO_CHOICE
from l2l.inference.session import Clock, View
from l2l.media.policy import ClipPolicy
from l2l.media.scan import MediaError

LABELS, N, T = ("a", "b", "c"), 6, 3
ASKED = Asked("run", "0123", 3, 1, False)
SHARES = np.array([(0.75, 0.25), (0.5, 0.5), (0.25, 0.75)], np.float32)
PICKS = {"image": np.array([4, 1, 2]), "audio": np.array([4, 0, 1])}
TIMES = np.arange(N, dtype=np.float32) + 0.5


def programs(modality="both", **changes):
    """Of a run that is not asked to compute anything."""
    macs = lambda *numbers, **heard: {"indexing": 0, "skimming": 0, "recognition": 0}
    sizes = {"frames": 1, "side": 8, "clips_at_once": 8, "videos_at_once": (1, 8), "lengths": (8,)}
    own = {"name": "run", "hash": "0123", "labels": LABELS, "policy": ClipPolicy(), "modality": modality}
    return Programs(**own | sizes | {"describe": None, "skim": None, "macs": macs} | changes)


def view(heard, *, track=None):
    """A video of six positions; `track` says whether it has a sound track, if that is silent."""
    found = View("film.mp4")
    found.times, found.indexed = TIMES, np.ones(N, bool)
    found.heard, found.has_audio = heard, heard if track is None else track
    found.rows = [{"logits": np.eye(3, dtype=np.float32)[i % 3] * i} for i in range(N)]
    return found


def out_of(index_by=("image", "audio"), start=False):
    """A row of `Programs.skim` in which every look picked what PICKS says."""
    weights = np.random.default_rng(0).dirichlet(np.ones(N), (2, T)).astype(np.float32)
    alone = np.tile([float(m in index_by) for m in scoring.MODALITIES], (T, 1))
    out = {"step_logits": np.arange(3.0 * T).reshape(T, 3) % 4, "modality": SHARES if len(index_by) == 2 else alone}
    out |= {"counted": np.arange(T) < T - start, "looks": np.int32(T)}
    return out | {
        f"{what}_{m}": {"picked": PICKS[m], "weights": weights[i]}[what]
        for what in ("picked", "weights")
        for i, m in enumerate(scoring.MODALITIES)
        if m in index_by
    }


def told(found):
    return [(m.modality, m.at, pytest.approx(m.weight), m.look) for m in found.moments]


def test_with_sound_every_modality_has_its_moments():
    out = out_of()
    found = scoring.skimmed(programs(), view(True), out, ASKED)
    pairs = ((t, i, m) for t in range(T) for i, m in enumerate(PICKS))
    assert told(found) == [(m, PICKS[m][t] + 0.5, SHARES[t, i] / T, t + 1) for t, i, m in pairs]
    assert (found.silence, found.notes, found.has_audio) == ("", (), True)
    np.testing.assert_array_equal(found.shares, SHARES)
    for m in PICKS:
        np.testing.assert_array_equal(found.attention[m], out[f"weights_{m}"])


@pytest.mark.parametrize("start", [False, True])
def test_without_sound_images_carry_all_that_was_read(start):
    out, steps = out_of(start=start), T - start
    found = scoring.skimmed(programs(), view(False), out, ASKED)
    expected = [(4.5, 1.0, 1), (1.5, 0.5, 2), (0.5, 0.5, 2), (2.5, 0.25, 3), (1.5, 0.75, 3)]  # both picked 4 at first
    assert told(found) == [("image", at, weight / T, look) for at, weight, look in expected if look <= steps]
    assert sum(m.weight for m in found.moments) == pytest.approx(steps / T)
    assert (found.silence, found.notes, found.has_audio) == ("no sound", ("no sound", NO_CHOICE), False)
    assert found.shares.tolist() == [[1, 0]] * steps
    mean = SHARES[:, :1] * out["weights_image"] + SHARES[:, 1:] * out["weights_audio"]
    assert found.attention.keys() == {"image"}
    np.testing.assert_allclose(found.attention["image"], mean[:steps], rtol=1e-6)
    heard = scoring.skimmed(programs(), view(True), out, ASKED)
    np.testing.assert_array_equal(found.scores, heard.scores)


@pytest.mark.parametrize(
    ("index_by", "fallback", "notes"),
    [
        ("image", None, ()),
        ("audio", None, (NO_CHOICE,)),
        ("audio", 0, (NO_CHOICE,)),
        ("audio", 4, (BY_PICTURES,)),
    ],
)
def test_a_skimmer_by_one_modality(index_by, fallback, notes):
    parts = programs(listen=None if fallback is None else SimpleNamespace(fallback=fallback))
    out = out_of((index_by,))
    found = scoring.skimmed(parts, view(False), out, ASKED)
    assert told(found) == [("image", PICKS[index_by][t] + 0.5, 1 / T, t + 1) for t in range(T)]
    assert found.notes == ("no sound", *notes)
    np.testing.assert_array_equal(found.attention["image"], out[f"weights_{index_by}"])
    heard = scoring.skimmed(parts, view(True), out, ASKED)
    assert {m.modality for m in heard.moments} == heard.attention.keys() == {index_by}
    assert heard.notes == ()


def test_a_clip_model():
    logits = np.stack([row["logits"] for row in view(True).rows])
    clips = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    best = clips[:, clips.mean(0).argmax()]
    strongest = np.argsort(-best)[:5]
    for heard, modality in ((True, "both"), (False, "image")):
        found = scoring.averaged(programs(), view(heard), ASKED)
        assert told(found) == [(modality, i + 0.5, best[i] / best.sum(), None) for i in strongest]
        assert found.attention.keys() == {"image", "audio"} - ({"audio"} if not heard else set())
        assert found.shares.tolist() == [[0.5, 0.5] if heard else [1, 0]]
        assert found.notes == (() if heard else ("no sound",))


def test_a_run_that_listens_alone_says_that_it_heard_nothing():
    for found in (
        scoring.averaged(programs("audio"), view(False), ASKED),
        scoring.skimmed(programs("audio"), view(False), out_of(("audio",)), ASKED),
    ):
        assert (found.moments, found.attention) == ((), {})
        assert not found.shares.any()
        assert found.notes == ("no sound", HEARD_NOTHING)
    heard = scoring.averaged(programs("audio"), view(True), ASKED)
    assert {m.modality for m in heard.moments} == heard.attention.keys() == {"audio"}
    assert len(scoring.averaged(programs("image"), view(False), ASKED).moments) == 5


def test_why_nothing_is_heard():
    unread = programs(policy=ClipPolicy(audio=False))
    said = [(programs(), view(True)), (programs(), view(False)), (programs(), view(False, track=True))]
    expected = ["", "no sound", "sound track is silent", "sound is not read"]
    assert [scoring.silence(*each) for each in [*said, (unread, view(False))]] == expected
    silent = scoring.averaged(programs(), view(False, track=True), ASKED).to_json()
    assert (silent["has_audio"], silent["notes"]) == (False, ["sound track is silent"])
    assert {m["modality"] for m in silent["moments"]} == {"image"}


def test_a_run_of_the_built_in_set_says_so():
    drawn = programs(labels=render.LABELS)
    assert scoring.notes(drawn, view(True)) == (DRAWN,)
    assert scoring.notes(drawn, view(False)) == ("no sound", DRAWN)
    other = dataclasses.replace(drawn, labels=render.LABELS[::-1])
    assert scoring.notes(other, view(True)) == ()
    assert f"the {len(render.LABELS)} drawn actions" in DRAWN


def test_scores_that_are_not_finite_are_this_video_s_error():
    spoilt = view(True)
    spoilt.rows[3]["logits"] = np.full(3, np.nan, np.float32)
    found = [scoring.averaged(programs(), spoilt, ASKED)]
    found.append(scoring.skimmed(programs(), view(True), out_of() | {"step_logits": np.full((T, 3), np.nan)}, ASKED))
    for each in found:
        assert isinstance(each, MediaError)
        assert str(each) == "film.mp4: the scores that run gives it are not finite"


def test_text_and_running_lines_say_it_too():
    drawn = programs(labels=render.LABELS[:3])
    silent, loud = (scoring.averaged(drawn, view(heard), ASKED).to_json() for heard in (False, True))
    lines = [line.strip() for line in summary.text(silent).splitlines()]
    assert lines[4].startswith("image    0:0")
    assert lines[5] == "note     no sound"
    assert not any("note" in line or "audio  " in line for line in summary.text(loud).splitlines()[:6])
    first, *more = infer.so_far(silent, 5.5, []).splitlines()
    assert first.startswith("0:05")
    assert first.endswith("(no sound)")
    assert more == ["  note     no sound"]
    assert infer.so_far(silent, 5.5, silent["notes"]) == first
    assert infer.so_far(loud, 5.5, []) == summary.running(loud, 5.5)
    assert "(" not in summary.running(loud, 5.5)


def test_json_has_no_number_that_json_has_not():
    told = scoring.averaged(programs(), view(True), ASKED).to_json()
    assert json.loads(infer.json_of(told)) == told
    with pytest.raises(ValueError, match="not JSON compliant"):
        infer.json_of(told | {"seconds": float("nan")})


def test_compiling_is_counted_apart():
    program, found = by_shape(jax.jit(lambda batch: jnp.sin(batch["x"]).sum())), View("film.mp4")
    for size, new in ((4, True), (4, False), (5, True), (4, False)):
        with Clock() as clock:
            program({"x": np.zeros(size)}).block_until_ready()
        assert (clock.compile > 0) == new
        assert clock.seconds > 0
    clock.seconds, clock.compile = 2.0, 6.0
    found.spend("features", clock, among=4)
    found.spend("skimming", clock)
    assert found.seconds == {"decode": 0, "features": 0.5, "skimming": 2.0, "compile": 7.5}


def test_a_moment_keeps_its_old_name_for_its_place():
    (first, *_) = scoring.averaged(programs(), view(True), ASKED).moments
    assert first.seconds == first.at == first.to_json()["seconds"] == first.to_json()["at"]
