"""The commands that turn published weights into runs and runs into files."""

import flax.traverse_util
import jax
import numpy as np
import pytest
import safetensors.numpy

from l2l import export_weights, import_weights
from l2l.models.backbones.resnet import STAGES
from l2l.runs import fits, run_folder
from l2l.train import state
from l2l.weights import published, torch_names
from l2l.weights.torch_names import WeightsError
from tests.golden import generator
from tests.helpers import shards, small, untrained

RELEASED = "student_released", "skimmer_released"


def zeros(shapes):
    return jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape), shapes)


def generated(rows, shapes):
    """Torch arrays for variables of these shapes."""
    names = {name: x.shape for name, x in torch_names.from_variables(zeros(shapes), rows).items()}
    return generator.weights(names)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A full-size file for every published name, with generated values."""
    folder = tmp_path_factory.mktemp("weights")
    student = published.config_of("configs/finetune.py:activitynet")
    skim = published.config_of("configs/skim.py:activitynet_released")
    students = fits.clip_shapes(student, 200)
    heads = fits.only(students, published.HEADS)
    skims = fits.skim_shapes(skim, 200, student, zeros(heads["params"]))
    teacher = published.config_of("configs/teacher.py:kinetics400")
    trunk = fits.only(students, ("(params|batch_stats)/image/.*",))
    resnet = generated(torch_names.trunk("image", STAGES), trunk)
    resnet |= generator.weights({"fc.weight": (1000, 512), "fc.bias": (1000,)})
    counter = {"bn1.num_batches_tracked": np.zeros((), np.int64)}
    head = generated(torch_names.HEAD, heads)
    contents = {
        "r2plus1d_18": generated(torch_names.r2plus1d(), fits.clip_shapes(teacher, 400)),
        "resnet18": resnet | counter,
        "student_released": {f"module.{name}": x for name, x in head.items()},
        "student": generated(torch_names.student(("image", "audio"), STAGES, "net_image", "net_audio"), students),
        "skimmer_released": head | generated(torch_names.skimmer(), skims),
    }
    for name, arrays in contents.items():
        safetensors.numpy.save_file(arrays, folder / f"{name}.safetensors")
    return folder


def run_import(name, file, out, *more):
    return import_weights.main([f"--model={name}", str(file), f"--out={out}", *more])


def test_the_teacher_brings_its_constants(files, tmp_path):
    assert run_import("r2plus1d_18", files / "r2plus1d_18.safetensors", tmp_path / "run") == 0
    run = run_folder.load_run(tmp_path / "run")
    assert (len(run.labels), run.labels[0], run.labels[-1]) == (400, "abseiling", "zumba")
    data = run.config["data"]
    assert (data["frames"], data["crop"], data["resize"]) == (16, 112, 128)
    assert (data["mean"], data["std"]) == ([0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989])
    assert (run.policy["fps"], run.policy["short_side"], run.policy["width"]) == (15, 128, 171)
    assert sum(x.size for x in jax.tree.leaves(run.variables["model"]["params"])) == 31_505_325


def test_trunks_start_a_student_and_leave_the_rest_fresh(files, tmp_path):
    for modality in ("image", "audio"):
        assert run_import(f"resnet18_{modality}", files / "resnet18.safetensors", tmp_path / modality) == 0
    student = published.config_of("configs/finetune.py:activitynet")
    fresh = zeros(fits.clip_shapes(student, 200))
    for modality in ("image", "audio"):
        run = run_folder.load_run(tmp_path / modality, part=True)
        fresh = state.merge(fresh, run.variables["model"], (), run.part)
    filled = {path for path, x in flax.traverse_util.flatten_dict(fresh, sep="/").items() if np.asarray(x).any()}
    everything = flax.traverse_util.flatten_dict(fresh, sep="/").keys()
    assert {path for path in everything - filled if "/trunk/" in path} == {"params/audio/trunk/stem/kernel"}
    assert not any("fusion" in path or "classifier" in path or "frequency" in path for path in filled)
    trunks = fresh["params"]["image"]["trunk"], fresh["params"]["audio"]["trunk"]
    assert np.array_equal(*(trunk["layer1_0"]["conv1"]["kernel"] for trunk in trunks))


def test_a_run_trains_from_two_trunks(tmp_path):
    """At a small size, by the loop itself; a part is no model to predict with."""
    clips = shards.clip_directory(tmp_path / "clips", videos={"train": 16, "val": 5})
    whole = run_folder.load_run(small.run(small.config("finetune", tmp_path / "whole", clips, epochs=0.0)))
    parts = {"image": ("(params|batch_stats)/image/.*",), "audio": ("(params|batch_stats)/audio/trunk/(?!stem/).*",)}
    for name, part in parts.items():
        record = {"config": whole.config, "labels": [], "policy": whole.policy, "student": None}
        run_folder.start(tmp_path / name, record | {"inputs": {}, "part": part})
        variables = jax.tree.map(np.ones_like, fits.only(whole.variables["model"], part))
        run_folder.finish(tmp_path / name, {"model": variables}, {}, 0)
    with pytest.raises(
        run_folder.RunError, match=r"part of a model \(audio\): start a run from it with --config.init="
    ):
        run_folder.load_run(tmp_path / "audio")
    init = f"{tmp_path / 'image'},{tmp_path / 'audio'}"
    started = run_folder.load_run(small.run(small.config("finetune", tmp_path / "run", clips, epochs=0.0, init=init)))
    params = started.variables["model"]["params"]
    assert params["image"]["trunk"]["stem"]["kernel"].all()
    assert (params["audio"]["trunk"]["layer2_0"]["conv2"]["kernel"] == 1).all()
    for fresh in (params["audio"]["trunk"]["stem"], params["fusion"]["hidden"]):
        assert not (fresh["kernel"] == 1).any()
    recorded = run_folder.read_json(tmp_path / "run" / "config.json")["inputs"]
    assert recorded.keys() == {"data", "init", "init 2"}


def test_the_released_files_serve_features_and_with_a_student_videos(files, tmp_path, capsys):
    for name in RELEASED:
        assert run_import(name, files / f"{name}.safetensors", tmp_path / name) == 0
    head = run_folder.load_run(tmp_path / "student_released", part=True)
    assert head.variables["model"]["params"].keys() == {"fusion", "classifier"}
    assert head.labels == tuple(str(i) for i in range(200))
    assert run_import("student_released", files / "student.safetensors", tmp_path / "student") == 0
    assert run_folder.load_run(tmp_path / "student").variables["model"]["params"].keys() >= {"image", "audio", "fusion"}
    skimmer = files / "skimmer_released.safetensors"
    assert run_import("skimmer_released", skimmer, tmp_path / "both", f"--student={tmp_path / 'student'}") == 0
    both, alone = (run_folder.load_run(tmp_path / name) for name in ("both", "skimmer_released"))
    assert both.variables["student"]["params"].keys() >= {"image", "audio"}
    assert published.same(both.variables["model"], alone.variables["model"])
    assert alone.variables["model"]["params"]["lstm"]["bias"].shape == (4096,)
    other = jax.tree.map(lambda x: x + 1, run_folder.load_run(tmp_path / "student").variables)
    run_folder.finish(tmp_path / "student", other, {}, 0)
    assert run_import("skimmer_released", skimmer, tmp_path / "other", f"--student={tmp_path / 'student'}") == 1
    assert "another student's features" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_the_wrong_file_is_one_line_and_leaves_nothing(files, tmp_path, capsys):
    wrong = [("r2plus1d_18", "resnet18"), ("student_released", "resnet18"), ("skimmer_released", "student_released")]
    for name, file in wrong:
        assert run_import(name, files / f"{file}.safetensors", tmp_path / "run") == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    assert run_import("resnet18_image", files / "r2plus1d_18.safetensors", tmp_path / "run") == 1
    assert "another model" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_names_of_classes(files, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"class {i}" for i in range(200)) + "\n")
    file = files / "student_released.safetensors"
    assert run_import("student_released", file, tmp_path / "run", f"--labels={names}") == 0
    assert run_folder.load_run(tmp_path / "run", part=True).labels[7] == "class 7"
    for text, said in (("a\nb\n", "--labels names 2"), ("a\n\nb\n", "line 2: empty"), ("a\na\n", "'a' is there twice")):
        names.write_text(text)
        assert run_import("student_released", file, tmp_path / "other", f"--labels={names}") == 1
        assert said in capsys.readouterr().err


def test_everything_that_does_not_fit_is_listed():
    rows = [("a", "x", "linear"), ("b", "y", "norm"), ("c", "z", "linear")]
    like = {
        "params": {
            "a": {"kernel": np.zeros((3, 2)), "bias": np.zeros(2)},
            "b": {"scale": np.zeros(4), "bias": np.zeros(4)},
            "c": {"kernel": np.zeros((1, 1)), "bias": np.zeros(1)},
        },
        "batch_stats": {"b": {"mean": np.zeros(4), "var": np.zeros(4)}},
    }
    arrays = torch_names.from_variables(like, rows)
    arrays |= {"x.weight": np.zeros((3, 2)), "z.bias": np.array([np.nan]), "w.bias": np.zeros(1), "fc.w": np.zeros(1)}
    del arrays["y.running_var"]
    with pytest.raises(WeightsError) as caught:
        torch_names.to_variables(arrays, rows, like, unused=[r"fc\..*"])
    assert str(caught.value).split("\n  ")[1:] == [
        "! x.weight is (3, 2), the model needs (2, 3)",
        "- y.running_var is missing",
        "! z.bias has values that are not finite",
        "+ w.bias has no place in the model",
    ]


def test_a_file_cannot_say_more_than_can_be_read():
    rows, like = [("a", "x", "linear")], {"params": {"a": {"kernel": np.zeros((3, 2)), "bias": np.zeros(2)}}}
    arrays = torch_names.from_variables(like, rows) | {f"y{i:03}\n" + "z" * 10_000: np.zeros(1) for i in range(600)}
    with pytest.raises(WeightsError, match=r"\(600 differences\)") as caught:
        torch_names.to_variables(arrays, rows, like)
    lines = str(caught.value).split("\n  ")[1:]
    assert lines[0] == f"+ 'y000\\n{'z' * 95}' has no place in the model"
    assert (len(lines), lines[-1]) == (501, "and 100 more")
    assert "\n" not in "".join(lines)
    del arrays["x.weight"], arrays["x.bias"]
    with pytest.raises(WeightsError, match=r"another model.*it has 'y000\\nz{95}', ") as caught:
        torch_names.to_variables(arrays, rows, like)
    assert "\n" not in str(caught.value)


def test_every_name_is_explained():
    assert import_weights.NAMES.keys() == published.PUBLISHED.keys() | {import_weights.I3D}


def test_export_of_what_is_no_run_is_one_line(tmp_path, capsys):
    assert export_weights.main([str(tmp_path), f"--out={tmp_path / 'file'}"]) == 1
    assert "is not a run folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_has_no_counterpart_is_not_lost(tmp_path, capsys):
    weighed, out = untrained.skim_run(tmp_path / "weighed"), tmp_path / "x.safetensors"
    assert export_weights.main([str(weighed), f"--out={out}"]) == 0
    assert "those of worth.* are ours, the released code counts all looks the same" in capsys.readouterr().out
    run = run_folder.load_run(weighed)
    run.variables["model"]["params"]["closely"] = {"bias": np.zeros(2, np.float32)}
    with pytest.raises(WeightsError, match="weighed has params/closely/bias, which has no PyTorch counterpart"):
        published.arrays_of(run)
