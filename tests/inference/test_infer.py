"""Inference on files agrees with the prepared path, and the command behaves."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import l2l
from configs import extract, finetune, skim, teacher
from data_prep.datasets.rows import Row
from data_prep.shards.prepare import write_dataset
from l2l import export_weights, import_weights, infer
from l2l.core import sharding
from l2l.core.texts import clock
from l2l.data.clips import ClipReader
from l2l.data.dataset import source_of
from l2l.data.preprocess import centre_crop
from l2l.evaluate import model_macs, predict
from l2l.evaluate.evaluation import evaluate
from l2l.inference import summary
from l2l.inference.from_run import Hard, of_run
from l2l.inference.model import Model, load
from l2l.inference.scoring import NO_CHOICE
from l2l.inference.session import View, records_of
from l2l.media import policy
from l2l.media.picture.jpeg import decode_jpeg, encode_jpeg
from l2l.runs.run_folder import load_run
from l2l.tasks import Classify
from tests.helpers import small, xla
from tests.helpers.videos import packets_of, write_video

LABELS = ("clapping", "tuning a guitar", "naïve")
POLICY = policy.ClipPolicy(frames=2, hop=1.0, short_side=32)
VIDEOS = {
    "long": {"seconds": 7.4, "clicks": (0.3, 1.5, 2.6, 2.8, 3.2, 4.9, 5.0, 5.4, 6.1, 7.0)},
    "silent": {"seconds": 5.2, "fps": 12, "audio": False},
    "short": {"seconds": 1.6, "clicks": (0.5,), "rate": 22_050, "layout": "mono"},
    "tall": {"seconds": 6, "fps": 10, "size": (64, 104), "clicks": (0.8, 1.1, 2.3, 3.6, 4.4, 4.5, 5.7)},
}
JSON = {"path", "top", "calibrated", "moments", "looks", "positions", "has_audio", "notes", "run"}
JSON |= {"gmacs", "seconds", "gmacs_of", "seconds_of", "decoded"}
STEPS = 4  # looks of the skimmer: more than the short video has positions


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Videos, their shards, and the runs teacher and finetune (without a step), extract, and skim (trained)."""
    work = tmp_path_factory.mktemp("infer")
    for name, how in VIDEOS.items():
        write_video(work / f"{name}.mp4", **how)
    rows = [
        Row(str(work / f"{name}.mp4"), (LABELS[i % 3],), split, video_id=f"{split}/{name}")
        for split in ("train", "val")
        for i, name in enumerate(VIDEOS)
    ]
    write_dataset(rows, LABELS, work / "shards", POLICY, shards=2)
    clips = {"data.dir": str(work / "shards"), "data.crop": 28, "data.resize": 32, "epochs": 0.0}
    clips |= {"data.batch": 8, "data.eval_batch": 8, "data.streams": 2, "best": "", "model.stages": (1, 1)}
    small.stage(teacher.get_config(), work / "teacher", **clips | {"data.frames": 2, "model.width": 4})
    small.stage(finetune.get_config(), work / "finetune", **clips | {"init": "", "model.width": 4})
    student = {"student": str(work / "finetune")}
    small.stage(
        extract.get_config(), work / "extract", **student | {"data.dir": str(work / "shards"), "data.eval_batch": 8}
    )
    sizes = {"model.hidden": 16, "model.key": 8, "model.query": 16, "model.steps": STEPS}
    videos = {
        "data.dir": str(work / "extract"),
        "data.test": "val",
        "data.lengths": (4, 8),
        "epochs": 10.0,
        "optim.lr": 3e-2,
    }
    batches = {"data.batch": 8, "data.eval_batch": 8, "data.streams": 2}
    small.stage(skim.get_config(), work / "skim", **student | videos | sizes | batches)
    return work


@pytest.fixture(scope="module")
def traces():
    """Which task is traced when."""
    return []


@pytest.fixture(scope="module")
def skimmer(work, traces):
    """The skim run as a model that notes in `traces` what it traces."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Classify, Hard):
            traced = lambda self, *args, f=kind.predict, k=kind: (traces.append(k), f(self, *args))[1]
            patch.setattr(kind, "predict", traced)
        yield load(work / "skim")


def prepared(work, name, data):
    """What the prepared path says of split val."""
    run = load_run(work / name)
    task, variables, frozen = predict.predictor(run)
    mesh = sharding.make_mesh((-1, 1))
    source = source_of(run.config, str(work / data))
    return evaluate(predict.jit_predict(task, mesh), variables, frozen, source, "val", batch=8, mesh=mesh)


@pytest.mark.parametrize("name", ["teacher", "finetune", "skim"])
def test_exported_and_imported_it_says_the_same(work, tmp_path, name, capsys):
    file, back = tmp_path / "weights.safetensors", tmp_path / "back"
    assert export_weights.main([str(work / name), f"--out={file}"]) == 0
    said = capsys.readouterr().out.split("python -m l2l.import_weights ")[1].split()
    told = [word for word in said if word.startswith("--model=")]
    student = [f"--student={work / 'finetune'}"] if name == "skim" else []
    assert import_weights.main([str(file), f"--out={back}", *told, *student]) == 0
    before, after = (load(run).classify(work / "long.mp4") for run in (work / name, back))
    np.testing.assert_array_equal(before.scores, after.scores)
    assert before.moments == after.moments


def scores_of(logits):
    powers = np.exp(np.float64(logits))
    return powers / powers.sum(-1, keepdims=True)


def test_clips_are_the_prepared_ones(work):
    model = load(work / "teacher")
    source = source_of(load_run(work / "teacher").config, str(work / "shards"))
    views = {name: View(work / f"{name}.mp4", model.decoders) for name in VIDEOS}
    records = {name: list(records_of(view, model.programs, 1)) for name, view in views.items()}
    for batch in source.eval("val", batch=1):
        name, at = batch["video_id"][0].decode().split("/")[1], int(batch["clip"][0])
        for key, value in records[name][at].items():
            np.testing.assert_array_equal(value, batch[key][0], err_msg=f"{name} {key}")
        assert views[name].times[at] == batch["times"][0]
        assert views[name].has_audio == batch["has_audio"][0]
    assert sum(map(len, records.values())) == source.index.records("val") > 15


def test_crops_of_colourful_images_are_the_prepared_ones():
    rng = np.random.default_rng(0)
    for height, width in ((33, 47), (64, 85), (40, 32)):
        jpeg = encode_jpeg(rng.integers(0, 256, (height, width, 3), np.uint8), 90)
        evaluated = ClipReader(frames=1, side=28, classes=1)._centre(jpeg)
        np.testing.assert_array_equal(centre_crop(decode_jpeg(jpeg), 28), evaluated)


@pytest.mark.parametrize("name", ["teacher", "finetune"])
def test_clip_model_agrees_with_the_prepared_path(work, name):
    arrays, model, run = prepared(work, name, "shards"), load(work / name), load_run(work / name)
    ids = [x.decode() for x in arrays["video_id"]]
    for video in VIDEOS:
        own = np.array([x == f"val/{video}" for x in ids])
        scores, times = scores_of(arrays["logits"][own]), arrays["times"][own]
        found = model.classify(str(work / f"{video}.mp4"))
        np.testing.assert_allclose(found.scores, scores.mean(0), rtol=0, atol=1e-5)
        np.testing.assert_allclose(found.evidence[1], scores[:2].mean(0), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(found.times, times)
        best = scores[:, scores.mean(0).argmax()]
        modality = "both" if name == "finetune" and video != "silent" else "image"
        for attention in found.attention.values():
            np.testing.assert_allclose(attention[0], best / best.sum(), atol=1e-4)
        strongest = np.argsort(-found.attention["image"][0], kind="stable")[:5]
        named = [(modality, round(float(times[i]), 3)) for i in strongest]
        assert [(m.modality, m.seconds) for m in found.moments] == named
        assert [m.weight for m in found.moments] == pytest.approx(best[strongest] / best.sum(), abs=1e-4)
        macs = model_macs.clip_macs(run.config, 3)
        assert found.gmacs == {"indexing": 0, "skimming": 0, "recognition": pytest.approx(own.sum() * macs / 1e9)}


def test_skimmer_agrees_with_the_prepared_path(work, skimmer):
    arrays = prepared(work, "skim", "extract")
    assert arrays["logits"].std(0).max() > 1e-3  # videos differ by more than what is allowed below
    for i, video_id in enumerate(arrays["video_id"]):
        video = video_id.decode().split("/")[1]
        found = skimmer.classify(work / f"{video}.mp4")
        np.testing.assert_allclose(found.scores, scores_of(arrays["logits"][i]), rtol=0, atol=1e-4)
        looks = np.flatnonzero(arrays["counted"][i])
        worth = arrays["worth"][i] / arrays["worth"][i, looks].sum()
        expected = [
            (m, arrays["times"][i][arrays[f"picked_{m}"][i, t]], arrays["modality"][i, t, j] * worth[t])
            for t in looks
            for j, m in enumerate(("image", "audio"))
        ]
        n = len(found.times)
        np.testing.assert_allclose(found.evidence, scores_of(arrays["step_logits"][i, looks]), rtol=0, atol=1e-4)
        assert sum(m.weight for m in found.moments) == pytest.approx(1, abs=1e-5)
        if video == "silent":  # its sounds are all the same: any of them may be picked
            assert {m.modality for m in found.moments} == {"image"}
            assert found.notes == ("no sound", NO_CHOICE)
            seen = {(m.look, m.at) for m in found.moments}
            assert {(t + 1, round(float(x[1]), 3)) for t, x in enumerate(expected[::2])} <= seen
            continue
        assert [m.modality for m in found.moments] == [x[0] for x in expected]
        np.testing.assert_allclose([m.at for m in found.moments], [x[1] for x in expected], atol=1e-3)
        np.testing.assert_allclose([m.weight for m in found.moments], [x[2] for x in expected], atol=1e-3)
        np.testing.assert_allclose(found.attention["image"], arrays["weights_image"][i, looks, :n], atol=1e-3)
        np.testing.assert_allclose(found.shares, arrays["modality"][i, looks], atol=1e-3)


def test_short_video_is_looked_at_as_often_as_it_has_positions(work, skimmer):
    assert len(skimmer.classify(work / "long.mp4").moments) == 2 * STEPS
    found = skimmer.classify(work / "short.mp4")
    assert found.looks == len(found.evidence) == 2
    for modality in ("image", "audio"):
        own = sorted(m.seconds for m in found.moments if m.modality == modality)
        np.testing.assert_allclose(own, [1 / 15, 1 + 1 / 15], atol=1e-3)


def test_programs_compile_once_per_shape(work, skimmer, traces):
    traces.clear()
    found = [skimmer.classify(work / f"{name}.mp4") for name in [*VIDEOS, *VIDEOS]]
    assert traces.count(Classify) == 0
    assert traces.count(Hard) <= 2  # lengths 8 and 4
    assert not any(each.seconds["compile"] for each in found[len(VIDEOS) :])


def test_cost_counts_what_the_method_needs(work, skimmer):
    run = load_run(work / "skim")
    macs = lambda index_by: model_macs.video_macs(
        run.config | {"model": run.config["model"] | {"index_by": index_by}},
        run.student,
        3,
        positions=100,
        steps=STEPS,
        looks=STEPS,
    )
    both, audio, image = (macs(index_by) for index_by in ("both", "audio", "image"))
    assert both["indexing"] == audio["indexing"] + image["indexing"]
    assert both["recognition"] == 0
    assert audio["recognition"] == image["indexing"] * STEPS / 100
    assert audio["skimming"] < both["skimming"]
    found = skimmer.classify(work / "long.mp4")  # 8 positions
    assert found.gmacs["indexing"] * 1e9 == pytest.approx(both["indexing"] * 8 / 100)


def command(work, *arguments, run="skim", code=""):
    """`python -m l2l.infer` in a process of its own, on one device."""
    environment = os.environ | {
        "XLA_FLAGS": xla.flags(1),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    how = ["-c", code] if code else ["-m", "l2l.infer"]
    return subprocess.Popen(
        [sys.executable, *how, *map(str, arguments), f"--run={work / run}"],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_command_json_with_bad_videos_and_without_tensorflow(work, skimmer):
    code = (
        "import sys; from l2l import infer; code = infer.main(sys.argv[1:]); "
        "assert not {m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'data_prep')}; sys.exit(code)"
    )
    names = ["missing.mp4", "empty.mp4", "te xt'\".mp4", "new\nline.mp4", os.fsdecode(b"not utf\xff8.mp4"), "short.mp4"]
    (work / names[1]).write_bytes(b"")
    (work / names[2]).write_text("not a video")
    (work / names[3]).write_bytes((work / "long.mp4").read_bytes())
    process = command(work, *names, "--json", "--top=2", code=code)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err.decode()
    assert err.decode().splitlines()[0] == "4 of 6 could not be used:"
    assert len(err.splitlines()) == 5
    lines = [json.loads(line) for line in out.decode().splitlines()]
    assert [x["path"] for x in lines] == names
    for x in lines[:3] + lines[4:5]:
        assert x.keys() == {"path", "error"}
    assert "no such file" in lines[0]["error"]
    assert "empty" in lines[1]["error"]
    run = load_run(work / "skim")
    for x, name in ((lines[3], "long"), (lines[5], "short")):
        assert x.keys() == JSON
        expected = skimmer.classify(work / f"{name}.mp4")
        order = np.argsort(-expected.scores)[:2]
        assert [t["label"] for t in x["top"]] == [LABELS[i] for i in order]
        np.testing.assert_allclose([t["score"] for t in x["top"]], expected.scores[order], atol=1e-3)
        assert [m["seconds"] for m in x["moments"]] == [m.seconds for m in expected.moments]
        assert all(m.keys() == {"modality", "at", "seconds", "weight", "look"} for m in x["moments"])
        assert x["run"] == {"name": "skim", "hash": run.hash, "classes": 3, "stride": 1, "stop_when_sure": False}
        assert 0 < x["gmacs"] == pytest.approx(sum(x["gmacs_of"].values()))
        assert 0 < x["seconds"] == pytest.approx(sum(x["seconds_of"].values()))
        sound = packets_of(work / f"{name}.mp4", "audio")
        assert 0 < x["decoded"]["audio"]["bytes"] <= sum(p.bytes for p in sound)
        assert x["decoded"]["image"]["bytes"] > 0


def test_interrupt_ends_with_one_line(work):
    process = command(work, *["short.mp4"] * 5000)
    assert process.stdout.readline() == b"short.mp4\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.decode()) == (130, "interrupted\n")


def test_text_names_classes_moments_and_costs(work, skimmer, capsys):
    (work / "bell\x07.mp4").write_bytes(b"")
    videos = [str(work / name) for name in ("long.mp4", "bell\x07.mp4")]
    assert infer.main([*videos, f"--run={work / 'skim'}"]) == 1
    out, errors = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == videos[0]
    assert {line.split("%  ")[1] for line in lines[1:4]} == set(LABELS)
    assert [line.split()[0] for line in lines[4:10]] == ["image", "audio", "looks", "GMACs", "seconds", "decoded"]
    moments = skimmer.classify(videos[0]).moments
    places = [clock(m.at, tenths=True) for m in moments if m.modality == "image"]
    assert [x for x in lines[4].split() if ":" in x] == places
    assert lines[10] == f"{videos[1]!a}: the file is empty"
    assert errors.splitlines() == [summary.NOT_CALIBRATED, "1 of 2 could not be used:", f"  {lines[10]}"]


def test_all_good_is_status_0(work, capsys):
    assert infer.main([str(work / "short.mp4"), f"--run={work / 'finetune'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["moments"][0]["modality"] == "both"


def test_a_clip_model_sees_all_of_a_video_however_few_clips_it_learned_from(work):
    run = load_run(work / "finetune")
    few = dataclasses.replace(run, policy=run.policy | {"clips": 1})
    seen = [Model(of_run(which)).classify(work / "long.mp4") for which in (run, few)]
    assert len(seen[1].times) > 5
    np.testing.assert_array_equal(seen[1].times, seen[0].times)
    np.testing.assert_array_equal(seen[1].scores, seen[0].scores)


def test_one_clock_for_every_time():
    times = (0.5, 1.5, 59.9996, 59.9994, 75.5, 4503, 64.1, float("inf"))
    assert [clock(x) for x in times] == ["0:00", "0:01", "1:00", "0:59", "1:15", "1:15:03", "1:04", "?"]
    tenths = ["0:00.5", "0:01.5", "1:00.0", "0:59.9", "1:15.5", "1:15:03.0", "1:04.1", "?"]
    assert [clock(x, tenths=True) for x in times] == tenths
    assert clock(np.float32(8.2), tenths=True) == "0:08.2"


def test_runs_that_cannot_be_used(work, tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    cases = {
        tmp_path: "has not finished: start the same command again",
        work / "nowhere": "is not a run folder",
        work / "extract": "holds shards, not a trained model",
        work / "long.mp4": "is no exported model: File is not a zip file",
    }
    for run, message in cases.items():
        assert infer.main([str(work / "long.mp4"), f"--run={run}"]) == 1
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", f"error: {run} {message}\n")


def test_a_page_per_video(work, tmp_path, monkeypatch, capsys):
    page = SimpleNamespace(html_of=lambda result, path, **how: f"{result.top[0][0]} in {path}")
    monkeypatch.setitem(sys.modules, "l2l.report.video_page", page)
    monkeypatch.setattr(l2l, "video_page", page, raising=False)
    odd = tmp_path / "<i>short.mp4"
    odd.write_bytes((work / "short.mp4").read_bytes())
    pages = tmp_path / "pages"
    words = [str(odd), str(work / "short.mp4"), str(odd), f"--run={work / 'finetune'}", f"--html={pages}", "--json"]
    assert infer.main(words) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(x["page"]).name for x in told] == ["_i_short.html", "short.html", "_i_short-2.html"]
    for x in told:
        assert (
            Path(x["page"]).read_text(encoding="utf-8").startswith(f"{x['top'][0]['label']} in {x['path']}\n<!-- of ")
        )


def test_a_folder_at_a_stride_until_it_is_sure(work, tmp_path, capsys):
    run = tmp_path / "skim"
    shutil.copytree(work / "skim", run)
    cost = {"looks": 1.0, "gmacs": 1.0, "top1": 1.0}
    held = {"examples": 1, "difference": 0.0, "low": 0.0, "high": 0.0} | cost
    sure = {"source": "step_logits", "temperatures": [2.0] * STEPS, "threshold": 0.0, "run": load_run(run).hash}
    sure |= {"val": held, "test": held, "curve": [held], "fixed": [cost]}
    (tmp_path / "films" / ".hidden").mkdir(parents=True)
    for name in ("b.mp4", "a.MP4", ".hidden/c.mp4", "notes.txt"):
        (tmp_path / "films" / name).write_bytes((work / "long.mp4").read_bytes())
    words = [str(tmp_path / "films"), f"--run={run}", "--json", "--stride=2", "--stop_when_sure"]
    assert infer.main(words) == 1
    assert "python -m l2l.sure" in capsys.readouterr().err
    (run / "sure.json").write_text(json.dumps(sure))
    assert infer.main(words) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(x["path"]).name for x in told] == ["a.MP4", "b.mp4"]
    assert all((x["looks"], x["positions"], x["calibrated"]) == (1, 8, True) for x in told)


def test_what_is_asked_must_fit_together(work, capsys):
    for words in ([], ["x.mp4", "--follow=y.mkv"]):
        with pytest.raises(SystemExit):
            infer.main([*words, f"--run={work / 'skim'}"])
        assert "name videos, or one with --follow" in capsys.readouterr().err
