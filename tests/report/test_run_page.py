"""The report on real, tiny runs: it says what the runs say, needs nothing else, and keeps names as text."""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import extract, finetune, skim, teacher
from data_prep.datasets.rows import Row
from data_prep.shards.prepare import write_dataset
from l2l import main
from l2l.core import atomic
from l2l.data import schema
from l2l.evaluate import evaluation, model_macs
from l2l.media import video
from l2l.media.policy import AUDIO_RATE, ClipPolicy
from l2l.report import __main__ as report
from l2l.report import files as report_files
from l2l.report import skim as report_skim
from l2l.report import videos
from l2l.runs import prediction_rules, run_folder
from l2l.runs.actions import actions_of, read_actions
from l2l.runs.config import plain
from l2l.runs.run_folder import RunError
from l2l.tasks import from_config
from l2l.tasks.selections import SELECTIONS
from l2l.train.log import MetricLog
from tests.helpers import tables_runs
from tests.helpers.pages import make, shares_of
from tests.helpers.videos import write_video

EVIL = "<script>alert('x')</script> & \"b\""
LABELS = (EVIL, "tuning a guitar", "naïve")
NAMES = ("<img src=x onerror=alert(1)>", 'b\'s "video"', "c", "short")
SECONDS = (7.4, 6.2, 5.0, 1.6)
STEPS = 4  # looks: more than the short video has positions
ACTIONS = {NAMES[0]: [[0.0, 2.2], [5.0, 6.0]], NAMES[1]: [[1.0, 3.0]], NAMES[2]: []}  # not of the short one


def adapt(config, folder, **changes):
    """A config for something small."""
    config.run, config.makers, config.log_every = str(folder), (), 1
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    return config


def untrained(config, shards):
    """A finished run with variables and measurements out of the air, written as training writes it."""
    folder, rng, index = Path(config.run), np.random.default_rng(0), schema.load_index(shards)
    frames, side = config.data.frames, config.data.crop
    batch = {
        "frames": np.zeros((1, frames, side, side, 3), np.uint8),
        "audio": np.zeros((1, AUDIO_RATE), np.int16),
    }
    task = from_config.clip_task(config, len(LABELS))
    shapes = jax.eval_shape(lambda: task.init(jax.random.key(0), batch, {}))
    variables = jax.tree.map(lambda x: 0.1 * np.abs(rng.normal(size=x.shape)).astype(np.float32), shapes)
    record = {"config": plain(config), "labels": index.labels, "policy": index.policy, "student": None}
    run_folder.start(folder, record | {"inputs": {"data": {"path": str(shards), "hash": index.hash}}})
    log = MetricLog(folder, lines=0, active=True)
    for step in range(1, 9):
        log.write(step, {"train/loss": 3 / step, "train/top1": step / 9})
    log.write(8, {"val/top1": 0.75})
    arrays = answers(rng)
    evaluation.save_predictions(folder / "predictions.npz", arrays)
    run_folder.finish(folder, {"model": variables}, evaluation.measure(arrays), 8)


def answers(rng):
    """Made-up predictions for sixteen clips of the videos, whose first starts at 0 and lasts two frames of 15."""
    logits, labels = rng.normal(size=(16, 3)).astype(np.float32), np.eye(3)[np.arange(16) % 3]
    whose = {"video_id": np.array(NAMES)[np.arange(16) % 4], "times": np.full(16, 1 / 15, np.float32)}
    return whose | {"logits": logits, "labels": labels, "has_audio": np.ones(16, bool)}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Videos, their shards, what lies beside them, and runs: extract and skim as they come, on an untrained student."""
    work = tmp_path_factory.mktemp("report")
    files = [write_video(work / f"{i}.mp4", seconds=s, clicks=(0.4, 1.1)) for i, s in enumerate(SECONDS)]
    ids = {"train": [f"train{i}" for i in range(4)], "val": NAMES}
    rows = [Row(str(file), (LABELS[i % 3],), s, video_id=ids[s][i]) for s in ids for i, file in enumerate(files)]
    write_dataset(rows, LABELS, work / "shards", ClipPolicy(frames=2, hop=1.0, short_side=32), shards=2)
    atomic.write_json(work / "shards/actions.json", ACTIONS)
    clips = {
        "data.dir": str(work / "shards"),
        "data.test": "val",
        "data.crop": 28,
        "data.resize": 32,
        "data.frames": 2,
        "model.width": 4,
    }
    for stage in (teacher, finetune):
        config = adapt(stage.get_config(), work / stage.__name__.split(".")[1], **clips | {"init": ""})
        untrained(config, work / "shards")
    data = {"data.dir": str(work / "shards"), "data.eval_batch": 8, "student": str(work / "finetune")}
    main.run(adapt(extract.get_config(), work / "extract", **data))
    data |= {"data.dir": str(work / "extract"), "data.test": "val", "data.lengths": (8,)}
    small = {"model.hidden": 16, "model.key": 8, "model.query": 16, "model.steps": STEPS, "epochs": 3.0}
    main.run(adapt(skim.get_config(), work / "skim", **data | small | {"data.batch": 8, "data.streams": 2}))
    return work


@pytest.fixture(scope="module")
def predictions(work):
    with np.load(work / "skim/predictions.npz", allow_pickle=False) as file:
        return dict(file)


def test_all_stages(work, tmp_path, capsys, predictions):
    folders = [work / name for name in ("teacher", "finetune", "extract", "skim")]
    page, text = make(capsys, tmp_path / "deep/report.html", *folders)
    for name in ("teacher", "finetune", "skim"):
        done = json.loads((work / name / "done.json").read_text())
        assert done["hash"] in page.text
        for way in ("", "soft_", "uniform_", "random_", "dense_") if name == "skim" else ("",):
            top1, m_ap = (100 * done["metrics"][f"{way}{key}"] for key in ("top1", "mAP"))
            shown = f"{name}, {way[:-1] or 'hard'}" if name == "skim" else name
            assert re.search(rf"{shown} [^%]*?val {top1:.1f} [\d.]+ [\d.]+ {m_ap:.1f} ", page.text), shown
    index = json.loads((work / "shards/index.json").read_text())
    assert index["hash"] in page.text
    assert index["label_hash"] in page.text
    assert len(page.of("article")) == len(NAMES)
    taken = predictions["looks"].sum()
    assert sum(attrs.get("alt", "").startswith("picture, number") for attrs in page.of("img")) == taken
    assert sum(attrs.get("alt", "").startswith("sound, number") for attrs in page.of("img")) == taken
    assert len([x for x in page.of("rect") if x.get("class") == "pick"]) == 2 * taken
    assert "teacher on every clip (accuracy not measured)" in page.text
    assert "not known for this video" in page.text  # the short one's action
    assert len(text) < 3e6


def test_self_contained(work, tmp_path, capsys):
    page, text = make(capsys, tmp_path / "report.html", work / "teacher", work / "skim")
    for tag, attrs in page.elements:
        for key in ("src", "href", "srcset", "xlink:href", "action", "data"):
            assert tag == "source" or attrs.get(key, "data:").startswith("data:"), attrs
    files = {f"{i}.mp4" for i in range(len(NAMES))}
    assert {source["src"] for source in page.of("source")} == files | {
        os.path.relpath(work / file, tmp_path) for file in files
    }
    assert len(page.of("script")) == 1
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"(base64,|sha256-)[\w+/=]+|file:///", "", text))


def test_names_stay_text(work, tmp_path, capsys):
    evil = tmp_path / "<i>run"
    shutil.copytree(work / "skim", evil)
    page, _ = make(capsys, tmp_path / "report.html", evil)
    assert "<i>run, hard" in page.text
    assert EVIL in page.text
    assert NAMES[0] in page.text
    assert page.of("script") == [{}]
    assert not [attrs for _, attrs in page.elements if any(key.startswith("on") for key in attrs)]
    assert {attrs.get("class") for attrs in page.of("i")} == {"dot"}


@pytest.mark.parametrize(("listens", "word"), [("audio", "sound"), ("both", "picture and sound")])
def test_share_inside_of_what_a_glance_chooses(listens, word):
    config = plain(skim.get_config("glance"))
    config["model"] |= {"listens": listens}
    arrays = {
        "video_id": np.array(["a", "b"]),
        "times": np.array([[0.5, 1.5, 2.5, 3.5], [0.5, 1.5, 0.0, 0.0]]),
        "picked": np.array([[2, 0, 3], [1, 0, 0]]),
        "counted": np.array([[True, True, True], [True, True, False]]),
    }
    found = report_skim.inside(config, arrays, {"a": [[2.0, 4.0]], "b": [[1.0, 2.0]]})
    assert found.share == {listens: pytest.approx(60.0)}  # 2 of 3, and 1 of 2
    assert found.by_look == {listens: pytest.approx([100.0, 0.0, 100.0])}
    assert found.chance == pytest.approx(50.0)
    assert found.most == pytest.approx(60.0)
    assert not found.twice
    assert [one.name for one in report_skim.inside_chart(found).series] == [word, "by chance"]


def test_share_inside_the_action(work, tmp_path, capsys, predictions):
    page, _ = make(capsys, tmp_path / "report.html", work / "skim")
    hits, taken, expected = {"image": 0, "audio": 0}, 0, 0.0
    for i, name in enumerate(predictions["video_id"]):
        if name not in ACTIONS:
            continue
        times = predictions["times"][i][predictions["times"][i] > 0]
        inside = [any(a <= t < b for a, b in ACTIONS[name]) for t in times]
        for t in range(STEPS):
            if predictions["counted"][i, t]:
                taken, expected = taken + 1, expected + sum(inside) / len(inside)
                for m in hits:
                    hits[m] += inside[predictions[f"picked_{m}"][i, t]]
    for m, word in (("image", "picture"), ("audio", "sound")):
        assert f"Of the looks chosen by {word}, {100 * hits[m] / taken:.1f} % fell inside it" in page.text
    assert f"By chance it would be {100 * expected / taken:.1f} %" in page.text
    found = json.loads((work / "skim/done.json").read_text())["metrics"]
    shares = 100 * sum(hits.values()) / (2 * taken), 100 * expected / taken
    assert (100 * found["inside"], 100 * found["inside_chance"]) == pytest.approx(shares)
    assert found["inside_examples"] == len({*predictions["video_id"]} & {*ACTIONS})
    assert re.search(r"skim, hard val [\d. ]+ {:.1f} {:.1f} \d".format(*shares), page.text)
    assert re.search(r"skim, dense val [\d. ]+ – – \d", page.text)


def test_features_carry_the_stretches_of_their_clips(work, tmp_path):
    """Old features, which have none, are taken for those of their clips; of other features nothing is known."""
    own = work / "extract" / schema.ACTIONS
    assert json.loads(own.read_text()) == json.loads((work / "shards" / schema.ACTIONS).read_text()) == ACTIONS
    shutil.copy(work / "extract" / run_folder.CONFIG, tmp_path)
    assert actions_of(tmp_path) == actions_of(work / "extract") == ACTIONS
    (tmp_path / schema.ACTIONS).write_text("{}")
    assert actions_of(tmp_path) == {}
    (tmp_path / run_folder.CONFIG).unlink()
    (tmp_path / schema.ACTIONS).unlink()
    assert actions_of(tmp_path) is None


@pytest.mark.parametrize("count_start", [False, True])
@pytest.mark.parametrize("index_by", ["both", "audio"])
def test_costs(work, predictions, index_by, count_start):
    record = json.loads((work / "skim/config.json").read_text())
    config, student = record["config"], record["student"]
    config["model"] |= {"index_by": index_by, "count_start": count_start}
    looks, others = report_skim.cost_rows(config, student, predictions, {"t": 10**9})
    assert [row.way for row in others] == [*(way for way in report_skim.OTHERS if way != "all"), ""]
    assert set(report_skim.OTHERS) == {"soft", "all", *SELECTIONS}
    way = {row.way: row for row in others}
    done = json.loads((work / "skim/done.json").read_text())["metrics"]
    assert looks[-1].top1 == pytest.approx(100 * done["top1"])
    assert {name: way[name].top1 for name in SELECTIONS} == pytest.approx(
        {name: 100 * done[f"{name}_top1"] for name in SELECTIONS}
    )
    count, clip = prediction_rules.positions(predictions), model_macs.clip_macs(student, 3)
    every, few = count.mean() * clip / 1e9, np.minimum(count, STEPS).mean() * clip / 1e9
    looking_at = {"dense": every, "oracle": every, "confident": every} | dict.fromkeys(
        ("uniform", "random", "front", "centre", "end"), few
    )
    assert {name: way[name].total for name in SELECTIONS} == pytest.approx(looking_at)
    assert way[""].total == pytest.approx(count.mean())
    read = [STEPS - count_start, 1 - count_start]
    for row, steps in ((looks[-1], read[0]), (looks[0], read[1])):
        each = [
            model_macs.video_macs(config, student, 3, positions=n, steps=min(n, steps), looks=min(n, steps))
            for n in map(int, count)
        ]
        assert row.total == pytest.approx(np.mean([sum(x.values()) for x in each]) / 1e9)
    assert (way["soft"].total > looks[-1].total) == (index_by == "audio")  # soft reads every picture


def test_one_teacher(work, tmp_path, capsys):
    page, _ = make(capsys, tmp_path / "report.html", work / "teacher")
    assert "validation: 8: 75" in page.text
    assert "Learning curves" in page.text
    assert "where it looked" not in page.text
    assert not page.of("article")


def test_same_folder_names(work, tmp_path, capsys):
    shutil.copytree(work / "teacher", tmp_path / "other/teacher")
    page, _ = make(capsys, tmp_path / "report.html", work / "teacher", tmp_path / "other/teacher")
    assert str(tmp_path / "other/teacher") in page.text


def edited(work, tmp_path, name, file, change):
    """A copy of a run with one JSON file changed."""
    folder = tmp_path / name
    shutil.copytree(work / name, folder)
    value = json.loads((folder / file).read_text())
    change(value)
    (folder / file).write_text(json.dumps(value))
    return folder


def test_a_film_without_sound_among_others(work, tmp_path, capsys, predictions):
    """A skim run of which some test videos are silent, as `evaluate` measures it: a row for each part of them."""
    run = edited(work, tmp_path, "skim", "done.json", lambda done: None)
    arrays = dict(predictions) | {"has_audio": np.array([1, 0, 1, 1], bool)}
    tables_runs.predicted(run, arrays)
    page, _ = make(capsys, tmp_path / "report.html", run)
    hits = predictions["logits"].argmax(1) == predictions["labels"].argmax(1)
    assert shares_of(page, "skim, with sound")[::4] == [pytest.approx(100 * hits[[0, 2, 3]].mean(), abs=0.051), 3]
    assert shares_of(page, "skim, without sound")[::4] == [pytest.approx(100 * hits[1], abs=0.051), 1]


def test_when_a_run_finished_survives_a_copy(work, tmp_path, capsys):
    said = {"finished": "2026-03-01T23:30:05+02:00", "kept": {"step": 1234, "why": "best top1 of val", "top1": 0.5}}
    copied = edited(work, tmp_path, "teacher", "done.json", lambda done: done.update(said))
    old = edited(work, tmp_path, "finetune", "done.json", lambda done: [done.pop(key, None) for key in said])
    os.utime(old / "done.json", (86400, 86400))
    page, _ = make(capsys, tmp_path / "report.html", copied, old, work / "extract")
    assert "2026-03-01 21:30 UTC kept step 1,234: best top1 of val" in page.text
    assert "1970-01-02 00:00 UTC (its file's time)" in page.text
    bad = edited(work, tmp_path / "bad", "teacher", "done.json", lambda done: done.update(finished="yesterday"))
    assert report.main([str(bad), f"--out={tmp_path / 'x.html'}"]) == 1
    assert f"error: {bad / 'done.json'} is damaged: finished is 'yesterday'" in capsys.readouterr().err


def test_without_the_clips(work, tmp_path, capsys):
    moved = edited(work, tmp_path, "skim", "config.json", lambda x: x["config"]["data"].update(dir="gone"))
    page, _ = make(capsys, tmp_path / "report.html", moved, more=["--videos=3"])
    assert len(page.of("article")) == 3
    assert len(page.of("image")) == 6  # attention is shown all the same
    assert not page.of("img")
    assert "shown without pictures and sounds: the clips" in page.text
    assert "It is not written down where the action is" in page.text


def test_other_or_missing_videos(work, tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    policy = json.loads((work / "shards/index.json").read_text())["policy"]
    assert "videos.json" in report_files.Files(shards, policy).clips("c", [0.5])[1]
    listed = {"c": "gone.mp4", "short": str(work / "3.mp4"), "far": "gs://bucket/a.mp4"}
    atomic.write_json(shards / "videos.json", listed)
    files = report_files.Files(shards, policy)
    assert "gone.mp4" in files.clips("c", [0.5])[1]
    assert "does not list" in files.clips("d", [0.5])[1]
    assert "no clip at 5.50 s" in files.clips("short", [0.067, 5.5])[1]
    assert "gs://bucket/a.mp4 lies in a store" in files.clips("far", [0.5])[1]
    for text in ("[]", '{"a": 3}', '{"a": {"start": 1}}'):
        (shards / "videos.json").write_text(text)
        with pytest.raises(RunError, match=r"videos\.json is damaged"):
            report_files.Files(shards, policy)


@pytest.mark.parametrize(("start", "end"), [(2.5, 5.0), (2.5, None), (None, 5.0)])
def test_a_stretch_is_shown_where_it_lies(work, tmp_path, start, end):
    """The clips are those that preparation cuts of the stretch, small; their times are those of the film."""
    policy = ClipPolicy(**json.loads((work / "shards/index.json").read_text())["policy"])
    cuts = list(video.read_clips(work / "0.mp4", policy, start, end))[1:]
    atomic.write_json(tmp_path / "videos.json", {"a": {"path": str(work / "0.mp4"), "start": start, "end": end}})
    times = [clip.start + clip.duration / 2 for clip in cuts]
    found, missing = report_files.Files(tmp_path, dataclasses.asdict(policy)).clips("a", times)
    assert missing == ""
    assert [clip.start for clip in found] == [clip.start for clip in cuts]
    for clip, own in zip(found, cuts, strict=True):
        assert clip.jpegs[0] == own.jpegs[0]
        np.testing.assert_array_equal(clip.audio, own.audio)
    begin = report_files.Files(tmp_path, dataclasses.asdict(policy)).begin("a")
    assert begin == (start or 0.0)
    alone = videos.stretch(np.array([begin + 0.5]), begin)
    assert (alone.left, alone.right, alone.hop) == (begin, begin + 1, 1.0)
    beyond = 2.0 if start else 5.5
    assert "has no clip" in report_files.Files(tmp_path, dataclasses.asdict(policy)).clips("a", [beyond])[1]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without(path, name):
    with np.load(path) as file:
        kept = {key: file[key] for key in file.files if key != name}
    np.savez(path, **kept)


def halved(path, name):
    with np.load(path) as file:
        np.savez(path, **dict(file) | {name: file[name][:, :1]})


DAMAGE = {
    "not a run folder": lambda run: (run / "config.json").unlink(),
    "has not finished": lambda run: (run / "done.json").unlink(),
    r"predictions\.npz is missing": lambda run: (run / "predictions.npz").unlink(),
    r"predictions\.npz is damaged": lambda run: cut(run / "predictions.npz"),
    "lacks step_logits": lambda run: without(run / "predictions.npz", "step_logits"),
    "counted is": lambda run: halved(run / "predictions.npz", "counted"),
    r"config\.json is damaged": lambda run: cut(run / "config.json"),
    r"metrics\.jsonl is damaged in line 1": lambda run: (run / "metrics.jsonl").write_text("{\n"),
    "has no hash": lambda run: (run / "done.json").write_text("{}"),
}


@pytest.mark.parametrize("reason", DAMAGE)
def test_damage_is_one_line(work, tmp_path, capsys, reason):
    run, out = tmp_path / "skim", tmp_path / "report.html"
    shutil.copytree(work / "skim", run)
    DAMAGE[reason](run)
    out.write_text("the page of before")
    assert report.main([str(run), f"--out={out}"]) == 1
    said = capsys.readouterr().err.strip()
    assert re.search(reason, said)
    assert str(run) in said
    assert "\n" not in said
    assert out.read_text() == "the page of before"
    assert sorted(x.name for x in tmp_path.iterdir()) == ["report.html", "skim"]


def test_no_place_to_write(work, tmp_path, capsys):
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file/report.html"):
        assert report.main([str(work / "teacher"), f"--out={out}"]) == 1
        assert capsys.readouterr().err.startswith(f"error: {out} cannot be written: ")
    assert [x.name for x in tmp_path.iterdir()] == ["file"]


def test_damaged_actions(tmp_path):
    path = tmp_path / "actions.json"
    assert read_actions(path) is None
    for text in ("{", "[]", '{"a": [[1]]}', '{"a": 3}'):
        path.write_text(text)
        with pytest.raises(RunError, match=r"actions\.json is damaged"):
            read_actions(path)


def test_what_is_no_run_is_said(tmp_path, capsys):
    assert report.main(["nowhere", f"--out={tmp_path}/x.html"]) == 1
    assert capsys.readouterr().err.strip() == "error: nowhere is not a run folder: it has no config.json"
    assert not list(tmp_path.iterdir())
