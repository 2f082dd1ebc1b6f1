"""Every config builds under every variant; the big ones by shape only."""

import importlib
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import skim, sweep_ablations, sweep_closer, sweep_listen, sweep_multi_label, sweep_paper, sweep_study
from data_prep.datasets.rows import Row
from data_prep.shards import plan
from l2l import sweep
from l2l.data import loader, order
from l2l.media import policy
from l2l.runs import config, dependencies
from l2l.runs.config import load_config, plain
from l2l.runs.run_folder import RunError
from l2l.tasks import from_config
from l2l.train import optim

STAGES = ("teacher", "distill", "finetune", "preview", "extract", "skim")
ALL = [(stage, v) for stage in STAGES for v in importlib.import_module(f"configs.{stage}").VARIANTS]
CLASSES = 5


def clip_batch(config) -> dict:
    """What the clip model of a config reads: clips, or features of two widths."""
    if config.model.name == "fusion":
        config.model.image, config.model.audio = 20, 12
        banks = {m: jax.ShapeDtypeStruct((2, 7, config.model[m]), jnp.float16) for m in ("image", "audio")}
        marks = dict.fromkeys(("mask", "has_audio"), jax.ShapeDtypeStruct((2,), jnp.bool_))
        return banks | marks | {"valid": jax.ShapeDtypeStruct((2, 7), jnp.bool_)}
    side = config.data.crop
    frames = jax.ShapeDtypeStruct((2, config.data.frames, side, side, 3), jnp.uint8)
    return {"frames": frames, "audio": jax.ShapeDtypeStruct((2, 16_000), jnp.int16)}


def shapes(task, batch, frozen):
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(task.init, key, batch, frozen)


@pytest.mark.parametrize(("stage", "variant"), ALL)
def test_variant_builds(stage, variant):
    config = load_config(f"configs/{stage}.py:{variant}")
    assert config.run
    assert config.data.dir
    if stage == "extract":
        assert config.student
        return
    if stage != "skim":
        batch = clip_batch(config)
        variables = shapes(from_config.classify_task(config, CLASSES), batch, {})
        optim.lr_scales(tuple(config.optim.lr_scale), variables["params"])
        assert variables["params"]["classifier"]["bias"].shape == (CLASSES,)
        return
    whose = re.sub("_(released|judged|r2plus1d152|lstm|nonrecurrent|glance)", "", variant)
    whose = whose.replace("glance_closer", "closer").replace("glance", "sample")
    previewed = "glance" in variant and whose not in ("features", "closer")
    student = load_config(f"configs/{'preview' if previewed else 'finetune'}.py:{whose}")
    seen = clip_batch(student)
    clip_variables = shapes(from_config.classify_task(student, CLASSES), seen, {})
    task, places = from_config.skim_task(config, CLASSES, plain(student)), (2, config.data.lengths[0])
    widths = from_config.widths_of(plain(student))
    widths |= from_config.glances_of(plain(student)).widths if task.looks_closer else {}
    batch = {key: jax.ShapeDtypeStruct((*places, n), jnp.float16) for key, n in widths.items()}
    batch |= {"valid": jax.ShapeDtypeStruct(places, jnp.bool_), "has_audio": jax.ShapeDtypeStruct((2,), jnp.bool_)}
    last = "classifier" if re.search("nonrecurrent|glance", variant) else "head"
    variables = shapes(task, batch, from_config.skim_frozen(clip_variables))
    optim.lr_scales(tuple(config.optim.lr_scale), variables["params"])
    assert variables["params"][last]["bias"].shape == (CLASSES,)


@pytest.mark.parametrize(("stage", "variant"), [pair for pair in ALL if pair[0] != "extract"])
def test_every_variant_is_read_by_any_number_of_processes(stage, variant, monkeypatch):
    data = load_config(f"configs/{stage}.py:{variant}").data
    assert data.streams == 0
    streams = order.streams_of(data.batch)
    for processes in (n for n in (1, 2, 4, 8, 16) if data.batch % n == 0):
        monkeypatch.setattr("jax.process_count", lambda n=processes: n)
        assert loader.check_streams(batch=data.batch, streams=streams) * streams == data.batch


@pytest.mark.parametrize("videos", [3, 30, 10_000])
def test_streams_share_what_preparation_makes(videos):
    """The most that there are, over as many shards as so many videos are written to."""
    rows = [Row(f"{i}.mp4", ("a",), "train", video_id=str(i)) for i in range(videos)]
    jobs = plan.make(rows, ("a",), "out", policy.ClipPolicy(frames=1), None).jobs
    shards = [(Path(job.file), len(job.rows)) for job in jobs]
    pieces = order.Order(shards, order.STREAMS, seed=0, shuffle=1)._pieces
    streams = loader.tf.data.Dataset.range(order.STREAMS)
    length = lambda j: pieces(j, 0).reduce(np.int64(0), lambda total, piece: total + piece[2])
    lengths = list(streams.map(length).as_numpy_iterator())
    assert sum(lengths) == videos
    assert max(lengths) - min(lengths) <= 1


def test_the_student_fits_the_teacher_it_learns_from():
    for variant in ("sample", "kinetics400"):
        teacher = load_config(f"configs/teacher.py:{variant}")
        student = load_config(f"configs/distill.py:{variant}")
        assert student.model.feature == from_config.model_of(teacher, CLASSES).feature
        assert student.data.frames == teacher.data.frames
        assert student.teacher == teacher.run


def test_stages_of_the_sample_follow_each_other():
    made = {load_config(f"configs/{stage}.py").run for stage in STAGES}
    for stage in STAGES:
        config = load_config(f"configs/{stage}.py")
        makers = dict(config.makers)
        for path in dependencies.paths(config).values():
            assert path in makers
            assert path in made or path.startswith("data/sample/")


SWEEPS = (sweep_study, sweep_multi_label, sweep_paper, sweep_ablations, sweep_listen, sweep_closer)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.__name__)
def test_sweep_builds_in_order(file):
    """Every input was made before, by the sweep itself or, for what `make ablations` runs, by `make paper`; no demo."""
    before = (run["overrides"]["run"] for run in sweep_paper.get_runs("runs/paper") if "overrides" in run)
    done = set(before) if file in (sweep_ablations, sweep_multi_label) else set()
    for run in file.get_runs("out"):
        if "command" in run:
            assert run["command"][1] in done
            assert Path(run["makes"]).parent == Path(run["command"][1])
            continue
        config = sweep.config_of(run)
        for name, path in dependencies.paths(config).items():
            assert path in done or path.startswith("data/sample/"), (run["name"], name)
        assert config.run not in done
        done.add(config.run)


def test_who_weighs_the_looks():
    """The sample's skimmers do; what is called the paper's does not, nor do the full-size recipes as released."""
    weighs = lambda argument: load_config(f"configs/skim.py:{argument}").model.weigh
    assert {name: weighs(name) for name in skim.FULL} == {name: name == "sample" for name in skim.FULL}
    assert weighs("closer")
    arms = {
        sweep_paper: {"skim": True, "skim_soft": False, "pair_both": True, "pair_audio": True},
        sweep_study: {"skim_straight_through": True, "skim_soft": False, "skim_audio": True},
        sweep_listen: {"both": True},
        sweep_multi_label: {"skim_softmax": True, "skim_sigmoid": True},
    }
    for file, expected in arms.items():
        found = {run["name"]: sweep.config_of(run) for run in file.get_runs("out") if "overrides" in run}
        own = {name: config.model.weigh for name, config in found.items() if config.model.get("name") == "skimmer"}
        assert own == expected
        paper = [config.model for name, config in found.items() if name in ("soft", "skim_soft")]
        assert all((model.selection, model.count_start) == ("soft", True) for model in paper)
    own = {run["name"]: sweep.config_of(run).model for run in sweep_ablations.get_runs("out")}
    skims = {name.removeprefix("skim_"): model.weigh for name, model in own.items() if model.name == "skimmer"}
    assert {name for name, weigh in skims.items() if not weigh} == {
        "not_weighed",
        "start_counted",
        "soft_start_counted",
    }


def test_an_override_that_does_not_fit_is_named():
    run = {"name": "a", "config": "configs/skim.py", "seed": 0, "overrides": {"run": "out/a", "epoch": 3.0}}
    with pytest.raises(RunError, match="out/a: its overrides do not fit configs/skim.py.*epoch"):
        sweep.config_of(run)
    with pytest.raises(RunError, match="do not fit"):
        sweep.config_of(run | {"overrides": {"run": "out/a", "epochs": "three"}})


def test_defaults_live_in_common_alone():
    for file in Path("l2l").rglob("*.py"):
        assert "config.get(" not in file.read_text(), f"{file} hides a default"


def test_unknown_variant_lists_the_known():
    with pytest.raises(ValueError, match="choose from sample, kinetics400"):
        load_config("configs/distill.py:nope")


def test_a_config_of_this_package_is_named_wherever_one_is(tmp_path, monkeypatch):
    expected = plain(load_config("configs/distill.py:kinetics400"))
    monkeypatch.chdir(tmp_path)
    assert plain(load_config("distill:kinetics400")) == expected
    assert plain(load_config("configs/distill.py:kinetics400")) == expected, "as makers and finished runs write it"
    assert config.config_file("study", "sweep_") == str(config.CONFIGS / "sweep_study.py")
    assert len(sweep.load_sweep("study", "runs/study")) == len(sweep_study.get_runs("runs/study"))
    for name in ("common", "sweeps", "sweep_study", "distil"):
        with pytest.raises(RunError, match=f"there is no config {name}: name one of distill, extract, .*or a file"):
            load_config(name)


def test_a_config_of_ones_own_is_a_file(tmp_path, monkeypatch):
    """It is no other's, though it lies at a path that one of the package's has too."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "distill.py").write_text(
        "from configs.common import get_config as defaults\n"
        "def get_config():\n    c = defaults()\n    c.run = 'own'\n    return c\n"
    )
    monkeypatch.chdir(tmp_path)
    assert load_config("configs/distill.py").run == "own"
    assert load_config("distill").run == "runs/sample/distill"


def test_configs_need_no_folder_of_theirs_in_the_path(tmp_path, monkeypatch):
    """Installed, nothing called configs can be imported; or another project's can, which has a `common` of its own."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "configs"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(x for x in sys.path if x not in ("", str(Path.cwd())))])
    monkeypatch.chdir(tmp_path)
    assert load_config("distill:i3d").data.frames == 32
    assert sweep.load_sweep("study", "out")
    (tmp_path / "configs").mkdir()
    for name in ("common", "sweeps"):
        (tmp_path / "configs" / f"{name}.py").write_text("")
        del sys.modules[f"configs.{name}"]
    importlib.invalidate_caches()
    assert load_config("distill:i3d").data.frames == 32
    assert sweep.load_sweep("study", "out")
