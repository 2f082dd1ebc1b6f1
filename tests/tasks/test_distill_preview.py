"""A preview learns to hear as its student does, everything else of the student stays; and looking listens first."""

import json
import shutil

import jax
import numpy as np
import pytest

from configs import extract, finetune, preview, skim
from data_prep.datasets.rows import Row
from data_prep.shards.prepare import write_dataset
from l2l import infer
from l2l.core import sharding
from l2l.data.dataset import source_of
from l2l.evaluate import fit_early_exit, model_macs, predict
from l2l.evaluate.evaluation import evaluate
from l2l.inference import from_run
from l2l.inference.model import Model, load
from l2l.inference.scoring import BY_PICTURES
from l2l.media import policy
from l2l.media.decoding.asking import FarFilm
from l2l.media.decoding.decoder import Decoders
from l2l.runs.run_folder import load_run
from l2l.tasks.losses import cross_entropy
from l2l.train import assemble
from tests.helpers import quick, small
from tests.helpers.stand_in_worker import COMMAND
from tests.helpers.videos import packets_of, write_video

LABELS = ("clapping", "tuning", "resting")
POLICY = policy.ClipPolicy(frames=1, hop=1.0, fps=10, short_side=32)
VIDEOS = {
    "long": {"seconds": 9.3, "fps": 10, "clicks": (0.3, 1.5, 2.6, 2.8, 3.2, 4.9, 5.0, 5.4, 6.1, 7.0, 8.8)},
    "silent": {"seconds": 7.2, "fps": 10, "audio": False},
    "other": {"seconds": 6, "fps": 10, "size": (64, 104), "clicks": (0.8, 1.1, 2.3, 3.6, 4.4, 4.5, 5.7)},
    "quiet": {"seconds": 5.3, "fps": 10},  # a sound track on which there is nothing
}
DEAF = ("silent", "quiet")
STEPS, FALLBACK = 3, 2


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Videos, their shards, and the runs finetune (untrained), preview, extract_listen and skim_listen."""
    work = tmp_path_factory.mktemp("listen")
    for name, how in VIDEOS.items():
        write_video(work / f"{name}.mp4", **how)
    rows = [
        Row(str(work / f"{name}.mp4"), (LABELS[i % 3],), split, video_id=f"{split}/{name}")
        for split in ("train", "val")
        for i, name in enumerate(VIDEOS)
    ]
    write_dataset(rows, LABELS, work / "shards", POLICY, shards=2)
    clips = {"data.dir": str(work / "shards"), "data.crop": 28, "data.resize": 32, "data.batch": 8, "best": ""}
    clips |= {"data.eval_batch": 8, "data.streams": 2, "model.width": 2}
    small.stage(finetune.get_config(), work / "finetune", **clips | {"init": "", "epochs": 0.0})
    sizes = {"teacher": str(work / "finetune"), "model.preview": 2, "epochs": 6.0, "optim.lr": 1e-2}
    small.stage(preview.get_config(), work / "preview", **clips | sizes)
    student = {"student": str(work / "preview")}
    where = {"data.dir": str(work / "shards"), "data.eval_batch": 8}
    small.stage(extract.get_config("listen"), work / "extract_listen", **student | where)
    sizes = {"model.hidden": 16, "model.key": 8, "model.query": 16, "model.steps": STEPS, "model.fallback": FALLBACK}
    sizes |= {"model.index_by": "audio", "mute": 0.25}
    videos = {"data.dir": str(work / "extract_listen"), "data.test": "val", "data.lengths": (4, 8, 16), "epochs": 10.0}
    batches = {"data.batch": 8, "data.eval_batch": 8, "data.streams": 2, "optim.lr": 3e-2}
    small.stage(skim.get_config(), work / "skim_listen", **student | sizes | videos | batches)
    return work


def test_only_the_preview_was_trained(work):
    before, after = (load_run(work / name).variables["model"] for name in ("finetune", "preview"))
    for part in ("image", "fusion", "classifier"):
        jax.tree.map(np.testing.assert_array_equal, before["params"][part], after["params"][part])
    jax.tree.map(np.testing.assert_array_equal, before["batch_stats"]["image"], after["batch_stats"]["image"])
    assert after["params"]["audio"]["stem"]["kernel"].shape == (5, 5, 1, 2)
    losses = [line["train/l1"] for line in lines(work / "preview")]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def lines(run):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if "train/l1" in line]


def test_loss_is_what_the_whole_students_would_be(work):
    """The audio descriptors' L1 and the cross-entropy with the teacher's softmax, both of stored variables."""
    teacher, run = load_run(work / "finetune"), load_run(work / "preview")
    source = source_of(run.config, str(work / "shards"))
    task = assemble.preview_task(run.config | {"distill_weight": 0.5}, teacher)
    batch = next(source.eval("val", batch=8))
    batch = {k: v for k, v in batch.items() if k in ("frames", "audio", "labels", "mask")}
    frozen, variables = teacher.variables["model"], run.variables["model"]
    target, answer = (t.predict(v, {}, batch) for t, v in ((task.teacher, frozen), (task.student, variables)))
    got = task.predict(variables, frozen, batch)
    np.testing.assert_allclose(got["logits_teacher"], target["logits"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["image"], target["image"], rtol=1e-6)
    # In training the preview normalises by the batch's own statistics; with theirs stored the two must agree.
    loss_of = quick.jit(lambda *x: task.loss(*x, None))
    loss, (stats, measured) = loss_of(variables["params"], variables["batch_stats"], frozen, batch)
    heard, _ = task._hear(variables["params"]["audio"], variables["batch_stats"]["audio"], batch)
    l1 = np.abs(heard - target["audio"]).sum(1)[batch["mask"]].mean()
    logits = task._answer(frozen["params"], target["image"], heard)
    soft = cross_entropy(logits, jax.nn.softmax(target["logits"]))[batch["mask"]].mean()
    assert float(loss) == pytest.approx(float(l1 + 0.5 * soft), rel=1e-5)
    assert float(measured["l1"]) == pytest.approx(float(l1), rel=1e-5)
    jax.tree.map(np.testing.assert_array_equal, stats["image"], frozen["batch_stats"]["image"])
    assert not np.allclose(*(s["audio"]["stem_norm"]["mean"] for s in (stats, variables["batch_stats"])))


def test_another_model_than_the_students_is_refused(work):
    teacher = load_run(work / "finetune")
    config = load_run(work / "preview").config
    with pytest.raises(ValueError, match="config.model must be the student of"):
        assemble.preview_task(config | {"model": config["model"] | {"width": 4}}, teacher)
    with pytest.raises(ValueError, match=r"sees with data.crop=28: set the same"):
        assemble.preview_task(config | {"data": config["data"] | {"crop": 24}}, teacher)


@pytest.fixture(scope="module")
def skimmer(work):
    return load(work / "skim_listen")


def prepared(work):
    """What the prepared path says of split val."""
    run = load_run(work / "skim_listen")
    task, variables, frozen = predict.predictor(run)
    mesh = sharding.make_mesh((-1, 1))
    source = source_of(run.config, str(work / "extract_listen"))
    return evaluate(predict.jit_predict(task, mesh), variables, frozen, source, "val", batch=8, mesh=mesh)


def test_listening_agrees_with_the_prepared_path(work, skimmer):
    arrays = prepared(work)
    for i, video_id in enumerate(arrays["video_id"]):
        name = video_id.decode().split("/")[1]
        found = skimmer.classify(work / f"{name}.mp4")
        scores = np.exp(np.float64(arrays["step_logits"][i]))
        scores /= scores.sum(-1, keepdims=True)
        looks = arrays["counted"][i]
        np.testing.assert_allclose(found.evidence, scores[looks], atol=1e-3, err_msg=name)
        times = arrays["times"][i][arrays["picked_audio"][i][looks]]
        np.testing.assert_allclose([m.seconds for m in found.moments], times, atol=1e-3, err_msg=name)
        assert found.has_audio == (name not in DEAF) == bool(arrays["has_audio"][i])
        assert found.indexed.all() == found.has_audio
        assert {m.modality for m in found.moments} == {"audio" if found.has_audio else "image"} == {*found.attention}
        assert found.shares.tolist() == [[1 - found.has_audio, found.has_audio]] * STEPS
        worth = arrays["worth"][i][looks]
        np.testing.assert_allclose([m.weight for m in found.moments], worth / worth.sum(), atol=1e-3, err_msg=name)
        assert np.ptp(worth) > 1e-3


@pytest.fixture
def asked(monkeypatch):
    """The positions whose frames are read from now on."""
    asked, cut = [], FarFilm._cut
    spy = lambda film, at, n, **how: (asked.extend(at := list(at)), cut(film, at, n, **how))[1]
    monkeypatch.setattr(FarFilm, "_cut", spy)
    return asked


def test_a_film_that_kills_its_decoder_costs_no_other(work, skimmer):
    """Both are opened; one ends the process, the other is listened to and looked at by the next."""
    (work / "kills.mp4").write_bytes((work / "long.mp4").read_bytes())
    model = Model(skimmer.programs, decoders=Decoders(command=COMMAND))
    crashed, found = model.classify([work / "kills.mp4", work / "long.mp4"])
    assert crashed.reason == "the decoder died twice: SIGABRT"
    same = skimmer.classify(work / "long.mp4")
    np.testing.assert_array_equal(found.evidence, same.evidence)
    assert (found.moments, found.decoded) == (same.moments, same.decoded)


def test_no_frame_is_read_but_those_looked_at(work, skimmer, asked):
    found = skimmer.classify(work / "long.mp4")
    assert len(found.times) == 10
    assert len(asked) == len(set(asked)) == found.looks == STEPS
    np.testing.assert_allclose([m.seconds for m in found.moments], found.times[asked], atol=1e-3)
    asked.clear()
    found = skimmer.classify(work / "silent.mp4")
    assert asked == [0, 2, 4, 6]
    assert found.looks == STEPS


def test_when_sure_it_reads_no_further_frame(work, asked, tmp_path, capsys):
    run = tmp_path / "skim"
    shutil.copytree(work / "skim_listen", run)
    words = [str(run), f"--data={work / 'extract_listen'}", "--val=train", "--test=val", "--tolerance=1"]
    assert fit_early_exit.main(words) == 0
    found = json.loads((run / "sure.json").read_text())
    assert found["test"]["looks"] < STEPS
    least = from_run.early_exit_of(run).confidence(prepared(work)).min()
    (run / "sure.json").write_text(json.dumps(found | {"threshold": least - 0.01}))  # no video is near it
    for more, looks in ((["--stop_when_sure"], 1), ([], STEPS)):
        asked.clear()
        capsys.readouterr()
        assert infer.main([str(work / "long.mp4"), f"--run={run}", "--json", *more]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["looks"] == len(asked) == len(told["moments"]) == looks


def test_what_was_decoded_is_the_sound_and_what_leads_to_the_looks(work, skimmer):
    sounds, pictures = (packets_of(work / "long.mp4", kind) for kind in ("audio", "video"))
    found = skimmer.classify(work / "long.mp4").decoded
    assert found["audio"].bytes == sum(p.bytes for p in sounds)
    assert found["audio"].seconds == pytest.approx(9.3, abs=0.1)
    assert pictures[0].bytes < found["image"].bytes < sum(p.bytes for p in pictures) * (STEPS + 1)
    assert skimmer.classify(work / "silent.mp4").decoded["audio"].bytes == 0


def test_cost_is_that_of_sound_everywhere_and_images_at_the_looks(work, skimmer):
    run = load_run(work / "skim_listen")
    trunks = model_macs.trunk_macs(run.student)
    found = skimmer.classify(work / "long.mp4")
    assert found.gmacs["indexing"] * 1e9 == pytest.approx(10 * trunks["audio"])
    assert found.gmacs["recognition"] * 1e9 == pytest.approx(STEPS * trunks["image"])
    silent = skimmer.classify(work / "silent.mp4")
    assert silent.gmacs["indexing"] * 1e9 == pytest.approx(4 * trunks["image"])
    assert silent.gmacs["recognition"] == 0
    quiet = skimmer.classify(work / "quiet.mp4")
    assert [x.notes for x in (silent, quiet)] == [("no sound", BY_PICTURES), ("sound track is silent", BY_PICTURES)]
    assert {m.modality for x in (silent, quiet) for m in x.moments} == {"image"}
    assert found.seconds.keys() == {"decode", "features", "skimming", "compile"}


def test_a_damaged_film_does_not_stop_the_others(work, skimmer):
    (work / "empty.mp4").write_bytes(b"")
    error, found = skimmer.classify([work / "empty.mp4", work / "other.mp4"])
    assert "empty" in error.reason
    assert found.looks == STEPS
