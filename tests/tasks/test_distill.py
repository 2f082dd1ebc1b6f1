"""Distillation between models that differ: in the width of their features, in what they expect of pixels, in labels."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_prep import verify, write_shards
from l2l import infer
from l2l.data.dataset import source_of
from l2l.evaluate import evaluation
from l2l.models.backbones.frontend import prepare_frames
from l2l.report import __main__ as report
from l2l.runs import dependencies, run_folder
from l2l.tasks.losses import distillation
from l2l.train import assemble, setup
from tests.helpers import quick, shards, small
from tests.helpers.videos import write_video

LABELS = ("class 0", "class 1", "class 2")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Labelled shards."""
    return shards.clip_directory(tmp_path_factory.mktemp("data") / "clips", videos={"train": 8, "val": 4})


@pytest.fixture(scope="module")
def teacher(clips):
    """A finished teacher of LABELS that was never trained; its feature is 16 wide."""
    return small.untrained(small.config("teacher", clips.parent / "teacher", clips))


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """Shards of a folder with five videos."""
    where = tmp_path_factory.mktemp("unlabelled")
    (where / "videos" / "deep").mkdir(parents=True)
    for i in range(5):
        name = f"deep/{i}.mp4" if i % 2 else f"{i}.mp4"
        write_video(where / "videos" / name, seconds=1.0 + i / 4, size=(48, 32), audio=i != 2)
    arguments = ["--dataset=unlabelled", f"--videos={where / 'videos'}", f"--out={where / 'clips'}", "--workers=1"]
    assert write_shards.main([*arguments, "--frames=2", "--hop=0.25", "--short_side=16", "--shards=2"]) == 0
    return where / "clips"


@pytest.fixture(scope="module")
def student(unlabelled, teacher):
    """A student whose feature is 8 wide, distilled on them."""
    config = small.config("distill", unlabelled.parent / "student", unlabelled, teacher=str(teacher), best="agree")
    config.data.streams, config.model.feature, config.epochs = 2, 8, 1.0
    config.data.val, config.data.test = "val", "train"
    return small.run(config)


def task_of(config, run):
    return assemble.distill_task(config, source_of(config, config.data.dir).reader.side, run)


def other_pixels(teacher, **data):
    """The same teacher as if it expected other clips."""
    run = run_folder.load_run(teacher)
    return dataclasses.replace(run, config=run.config | {"data": run.config["data"] | data})


def test_a_bridge_leads_to_a_wider_feature(clips, teacher, student, tmp_path):
    """And is fresh even where the rest starts from another run."""
    config = small.config("distill", tmp_path / "run", clips, teacher=str(teacher), init=str(student))
    config.model.feature = 8
    job = setup.prepare(config, dependencies.ensure(config))
    params, stats, frozen = job.variables["params"], job.variables["batch_stats"], job.frozen
    before = run_folder.load_run(student).variables["model"]["params"]["fusion"]["output"]["kernel"]
    np.testing.assert_array_equal(params["fusion"]["output"]["kernel"], before)

    @quick.jit
    def parts(params, stats, frozen, batch):
        logits, out, _ = job.task.student.forward(params, stats, batch, train=True)
        theirs, seen, _ = job.task.teacher.forward(frozen["params"], frozen["batch_stats"], batch, train=False)
        loss, (_, measured) = job.task.loss(params, stats, frozen, batch, None)
        return logits, out["feature"], theirs, seen["feature"], loss, measured

    batch = next(job.source.train("train", draw="clip", batch=8, streams=4, seed=0, first_step=0, shuffle=4))
    logits, feature, theirs, seen, loss, measured = parts(params, stats, frozen, batch)
    feature = feature @ params["bridge"]["kernel"] + params["bridge"]["bias"]
    assert (feature.shape, seen.shape) == ((8, 16), (8, 16))
    total, l1, _ = distillation(logits, feature, jax.nn.softmax(theirs), seen, 100.0)
    assert float(loss) == pytest.approx(float(total.mean()), rel=1e-4)
    assert float(measured["l1"]) == pytest.approx(float(l1.mean()), rel=1e-4)
    assert float(measured["agree"]) == pytest.approx(np.mean(logits.argmax(1) == theirs.argmax(1)))
    best = jnp.take_along_axis(batch["labels"], logits.argmax(1)[:, None], 1)
    assert float(measured["top1"]) == pytest.approx(float(best.mean()))


def test_the_bridge_learns_and_stays_behind(student):
    assert "bridge" not in run_folder.load_run(student).variables["model"]["params"]
    with np.load(student / "best.npz") as kept:
        assert kept["params/bridge/kernel"].shape == (8, 16)
        assert np.abs(kept["params/bridge/bias"]).max() > 0  # it starts at zero


def test_a_student_is_finetuned_without_a_bridge(clips, student, tmp_path):
    config = small.config("finetune", tmp_path / "finetune", clips, init=str(student), model__feature=8)
    assert "bridge" not in setup.prepare(config, dependencies.ensure(config)).variables["params"]


def test_equal_widths_need_no_bridge(clips, teacher, tmp_path):
    config = small.config("distill", tmp_path / "run", clips, model__feature=16)
    assert task_of(config, run_folder.load_run(teacher)).bridge is None


def test_student_and_teacher_see_the_same_squares_at_their_own_size(clips, teacher, tmp_path):
    config = small.config("distill", tmp_path / "run", clips, data__crop=12, data__resize=12)
    task = task_of(config, other_pixels(teacher, crop=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
    batch = next(source_of(config, config.data.dir).eval("val", batch=8))
    frames = jnp.asarray(batch["frames"])
    assert frames.shape == (8, 2, 16, 16, 3)
    np.testing.assert_allclose(task.teacher._inputs(batch)[0], np.asarray(frames, np.float32) / 127.5 - 1, atol=1e-6)
    mine = prepare_frames(frames, 12, config.data.mean, config.data.std)
    np.testing.assert_array_equal(task.student._inputs(batch)[0], mine)


def test_a_teacher_that_wants_more_than_the_shards_have(clips, teacher, tmp_path):
    config = small.config("distill", tmp_path / "run", clips)
    with pytest.raises(ValueError, match=r"looks at 20 pixels, .* takes 14 .*--short_side=23 .*data.resize=14"):
        task_of(config, other_pixels(teacher, crop=20))
    with pytest.raises(ValueError, match=r"looks at 4 frames: set --config.data.frames=4"):
        task_of(config, other_pixels(teacher, frames=4))
    config.data.frames = 4
    with pytest.raises(ValueError, match="prepare it with --frames=4"):
        task_of(config, other_pixels(teacher, frames=4))


def test_videos_without_labels(unlabelled, teacher, student, tmp_path, capsys):
    assert verify.main([str(unlabelled), "--workers=1"]) == 0
    assert run_folder.load_run(student).labels == LABELS
    metrics = run_folder.read_json(student / "done.json")["metrics"]
    assert metrics.keys() == {"examples", "agree"}
    predictions = np.load(student / "predictions.npz")
    same = predictions["logits"].argmax(1) == predictions["logits_teacher"].argmax(1)
    assert (metrics["examples"], metrics["agree"]) == (len(same), pytest.approx(same.mean()))
    assert infer.main([str(unlabelled.parent / "videos" / "0.mp4"), f"--run={student}"]) == 0
    assert "class " in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert report.main([str(student), f"--out={page}"]) == 0
    assert "Agreement with the teacher" in page.read_text()


def test_with_labels_both_are_measured():
    ours, teachers = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 1, 1]]
    arrays = {"logits": ours, "logits_teacher": teachers, "labels": np.eye(3)[[0, 2, 1, 2]]}
    found = evaluation.measure(arrays | {"has_audio": np.ones(4, bool)})
    assert (found["examples"], found["agree"], found["top1"], found["teacher_top1"]) == (4, 0.5, 0.25, 0.5)


@pytest.mark.parametrize(
    ("stage", "changes", "says"),
    [
        ("distill", {}, "only distillation can use it, with --config.best=agree"),
        ("teacher", {"best": "agree"}, "task=classify, best=agree"),
        ("teacher", {"best": ""}, "only distillation can use it"),
    ],
)
def test_what_needs_labels(stage, changes, says, unlabelled, teacher, tmp_path):
    given = {"teacher": str(teacher)} if stage == "distill" else {}
    config = small.config(stage, tmp_path / "run", unlabelled, data__streams=2, **given | changes)
    with pytest.raises(ValueError, match=says):
        setup.prepare(config, dependencies.ensure(config))


def test_labels_of_others_are_refused(teacher, tmp_path):
    other = shards.clip_directory(tmp_path / "clips", videos={"train": 4, "val": 4}, classes=2)
    config = small.config("distill", tmp_path / "run", other, teacher=str(teacher))
    with pytest.raises(run_folder.RunError, match=r"knows 3 labels .* has 2 .*to distil, unlabelled ones"):
        setup.prepare(config, dependencies.ensure(config))
