"""An exported model says what its run says, in a process that has neither flax nor this package's models."""

import inspect
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

import l2l
from l2l import infer
from l2l.export import __main__ as export
from l2l.export import writer
from l2l.inference import from_export, from_run
from l2l.runs import run_folder
from tests.helpers import xla
from tests.helpers.untrained import LABELS, clip_run, glance_run, skim_run
from tests.helpers.videos import write_video

ROOT = Path(__file__).parents[2]
BLOCKED = ("flax", "l2l.models", "l2l.tasks", "l2l.tasks.from_config", "orbax", "optax", "tensorflow", "ml_collections")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A teacher, a skimmer and a glance, exported, and two videos."""
    work = tmp_path_factory.mktemp("export")
    clip_run(work / "teacher", "teacher")
    skim_run(work / "skim")
    glance_run(work / "glance", clip_run(work / "student"), work, model__steps=3, data__lengths=(4, 8, 24))
    for name in ("teacher", "skim", "glance"):
        assert export.main([str(work / name), f"--out={work / name}.l2l"]) == 0
    write_video(work / "long.mp4", seconds=6.3, clicks=(0.4, 2.2, 2.9, 5.1))
    write_video(work / "silent.mp4", seconds=1.1, audio=False)
    return work


def without(blocked, code, *arguments, path=(ROOT,)):
    """Runs code in a process that cannot import `blocked`, on one device."""
    block = f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
    environment = os.environ | {"XLA_FLAGS": xla.flags(1), "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-c", block + code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def same(a, b):
    """Asserts that two objects of `infer --json` tell the same of a video."""
    assert [x["label"] for x in a["top"]] == [x["label"] for x in b["top"]]
    np.testing.assert_allclose([x["score"] for x in a["top"]], [x["score"] for x in b["top"]], atol=1e-5)
    places = lambda found: [(m["modality"], m["at"]) for m in found["moments"]]
    assert places(a) == places(b)
    np.testing.assert_allclose([m["weight"] for m in a["moments"]], [m["weight"] for m in b["moments"]], atol=1e-5)
    assert a["gmacs_of"] == pytest.approx(b["gmacs_of"])
    assert (a["positions"], a["notes"], a["run"]["hash"]) == (b["positions"], b["notes"], b["run"]["hash"])


def test_fresh_process_without_flax_agrees_with_infer(work, capsys):
    videos = [str(work / "long.mp4"), str(work / "silent.mp4")]
    runs = [work / "teacher", work / "skim", work / "glance"]
    for run in runs:
        assert infer.main([*videos, f"--run={run}", "--json"]) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    code = (
        "from l2l import infer; sys.exit(sum(infer.main([*sys.argv[4:], f'--run={run}.l2l']) for run in sys.argv[1:4]))"
    )
    out = without(BLOCKED, code, *runs, *videos, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    for a, b in zip(found, expected, strict=True):
        same(a, b)


def documented():
    """The program in the documentation of `l2l.inference.from_export`."""
    lines = textwrap.dedent(inspect.getdoc(from_export)).splitlines()
    indented = [line[4:] for line in lines if not line or line.startswith("    ")]
    return "\n".join(indented[indented.index("import io, json, sys, zipfile") :])


def answer(model, frames, sound):
    """The label that a model gives to some clips."""
    parts, count = model.programs, len(frames)
    pad = lambda x: np.concatenate([x, np.zeros((parts.clips_at_once - count, *x.shape[1:]), x.dtype)])
    seen = parts.describe({"frames": pad(frames), "audio": pad(sound)})
    if not parts.skim:
        return LABELS[jax.nn.softmax(seen["logits"][:count], -1).mean(0).argmax()]
    room = parts.videos_at_once[0]
    banks = {m: np.stack([seen[m][:count]] * room).astype(np.float16) for m in ("image", "audio")}
    banks |= {"has_audio": np.ones(room, bool)} if parts.glance else {}
    return LABELS[parts.skim(banks | {"valid": np.ones((room, count), bool)})["step_logits"][0, -1].argmax()]


def test_documented_program_runs_with_jax_alone(work, tmp_path):
    """Twenty-odd lines, without any of this project, for a skimmer and for a clip model."""
    rng, expected, arguments = np.random.default_rng(0), [], []
    for name in ("skim", "teacher", "glance"):
        model, file = l2l.load(work / f"{name}.l2l"), tmp_path / f"{name}.npz"
        shape = (5, model.programs.frames, model.programs.side, model.programs.side, 3)
        frames, sound = rng.integers(0, 256, shape, np.uint8), rng.integers(-9999, 9999, (5, 16000), np.int16)
        np.savez(file, frames=frames, audio=sound)
        expected.append(answer(model, frames, sound))
        arguments += [work / f"{name}.l2l", file]
    thrice = f"code = {documented()!r}\nfor _ in range(3):\n exec(code)\n del sys.argv[1:3]"
    out = without((*BLOCKED, "l2l"), thrice, *arguments, path=())
    assert out.splitlines() == expected


@pytest.mark.parametrize("name", ["skim", "glance"])
@pytest.mark.parametrize(("b", "n"), [(1, 1), (3, 40)])
def test_any_number_of_videos_and_positions(work, name, b, n):
    run = run_folder.load_run(work / name)
    task, variables, frozen = from_run.skimmer(run)
    with zipfile.ZipFile(work / f"{name}.l2l") as file:
        program, constants = from_export.program(file, "skim")
    rng, width = np.random.default_rng(n), 16
    banks = {m: rng.normal(size=(b, n, width)).astype(np.float16) for m in ("image", "audio")}
    batch = banks | {"valid": np.arange(n) < rng.integers(1, n + 1, (b, 1))}
    batch |= {"has_audio": rng.random(b) < 0.5} if name == "glance" else {}
    found, expected = jax.jit(program.call)(constants, batch), jax.jit(task.predict)(variables, frozen, batch)
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], atol=1e-5, err_msg=key)


def test_it_is_lowered_for_every_platform_and_holds_no_pickle(work):
    with zipfile.ZipFile(work / "skim.l2l") as file:
        assert set(file.namelist()) == {
            "artefact.json",
            *(f"{x}.{y}" for x in ("describe", "skim") for y in ("jax", "npz")),
        }
        for name in ("describe", "skim"):
            program, constants = from_export.program(file, name)
            assert program.platforms == ("cpu", "cuda", "tpu")
            assert all(x.dtype != object for x in constants.values())
        about = json.loads(file.read("artefact.json"))
    assert about["labels"] == list(LABELS)
    assert about["programs"]["describe"]["takes"] == {"audio": "int16[b,16000]", "frames": "uint8[b,1,14,14,3]"}
    assert about["programs"]["skim"]["takes"]["valid"] == "bool[b,n]"


def test_platform_it_was_not_made_for(work, monkeypatch):
    monkeypatch.setattr(jax.export, "default_export_platform", lambda: "rocm")
    with pytest.raises(from_export.ArtefactError, match="made for cpu, cuda, tpu, this machine has rocm"):
        l2l.load(work / "skim.l2l")


def rewritten(path, out, change):
    """A copy of an artefact with other members: name -> bytes, or None to leave one out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = change.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return out


def spoilt(path):
    """The constants of an artefact's skimmer, one of them NaN, as its member; and the name of that one."""
    with zipfile.ZipFile(path) as file:
        _, constants = from_export.program(file, "skim")
    name = next(name for name in constants if name.endswith("classifier/bias"))
    return writer.npz(constants | {name: np.full_like(constants[name], np.nan)}), name


def test_files_that_cannot_be_used(work, tmp_path):
    good = work / "skim.l2l"
    constants, name = spoilt(good)
    (tmp_path / "text").write_text("not a zip")
    (tmp_path / "cut").write_bytes(good.read_bytes()[:-1000])
    cases = {
        tmp_path / "text": "is no exported model",
        tmp_path / "cut": "is no exported model",
        rewritten(good, tmp_path / "a", {"artefact.json": None}): "is no exported model",
        rewritten(good, tmp_path / "b", {"artefact.json": b'{"format": 2}'}): "has format 2, this code reads 1",
        rewritten(good, tmp_path / "c", {"artefact.json": b'{"format": 1}'}): "is damaged",
        rewritten(good, tmp_path / "d", {"skim.jax": None}): "is damaged",
        rewritten(good, tmp_path / "e", {"describe.jax": b"junk"}): "is damaged",
        rewritten(good, tmp_path / "f", {"describe.npz": b"junk"}): "is damaged",
        rewritten(good, tmp_path / "g", {"skim.npz": constants}): f"cannot be used: {name} of skim is not finite",
    }
    for path, message in cases.items():
        with pytest.raises(from_export.ArtefactError, match=message) as caught:
            l2l.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_it_says_no_more_of_choosing_at_once_than_its_programs_do(work, tmp_path):
    about = {}
    for name in ("skim", "glance"):
        with zipfile.ZipFile(work / f"{name}.l2l") as file:
            about[name] = json.loads(file.read("artefact.json"))
    assert "glance" not in about["skim"]
    lies = {
        "gives no picked": about["skim"] | {"glance": about["glance"]["glance"]},
        "glance is ": about["glance"] | {"glance": about["glance"]["glance"] | {"stride": 0}},
    }
    for message, lie in lies.items():
        name = "skim" if "picked" in message else "glance"
        change = {"artefact.json": json.dumps(lie).encode()}
        with pytest.raises(from_export.ArtefactError, match=message):
            l2l.load(rewritten(work / f"{name}.l2l", tmp_path / "x", change))


def test_runs_that_cannot_be_exported(tmp_path, capsys):
    out = tmp_path / "x.l2l"
    assert export.main([str(tmp_path), f"--out={out}"]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path} is not a run folder\n"
    assert export.main([str(clip_run(tmp_path / "run")), f"--out={tmp_path / 'no' / 'x.l2l'}"]) == 1
    assert "No such file" in capsys.readouterr().err
    assert not out.exists()
