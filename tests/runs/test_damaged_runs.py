"""Every field of the JSON of a run folder, every array and every piece of a checkpoint made wrong in every way."""

import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import l2l
from l2l import infer
from l2l.core import trees
from l2l.report import __main__ as report
from l2l.report import runs
from l2l.runs import fits, prediction_rules, provenance, run_folder
from l2l.tasks import from_config
from l2l.train import checkpoint
from l2l.train.log import MetricLog
from tests.helpers.mutated_json import WRONG, faults, harmless, one_line, text
from tests.hostile import runs as hostile_runs

HERE = Path(__file__).parents[1]
RELEASE = HERE / "release"
TEXTS = {"a text", "elsewhere"}
LARGE = {"10^18"}
COSTS = r"(val|test|curve/0|fixed/0)/(looks|gmacs)"
# What may be otherwise, and how, without harm: files, places, and what is admitted there.
HARMLESS = {
    "config.json": [
        (r".*cache_teacher", TEXTS | {"nothing", "true"}),
        (r".*(dir|run|student|teacher|init|train|val|test|recognition|path)", TEXTS | {"nothing"}),
        (r".*/hash", TEXTS | {"nothing", "null"}),
        (r".*/(draw|mute|multi_label|recognition|distill_feature)", {"deleted"}),
        (r".*/model/(?!name).*", {"deleted"}),
        (r".*/(multi_label|profile|count_start|masking|weigh|remat)", {"true"}),
        (r".*/data/mean/\d", {"-5"} | LARGE),
        (r".*/(std/\d|\w*epochs|distill_\w+|head|optim/\w+|patience|lr_scale/0/1)", LARGE),
        (r".*/mesh/\d", LARGE | {"10^400"}),
        (r".*/best", {"nothing"}),
        (r".*/lr_scale/0/0", TEXTS | {"nothing", "NUL"}),
        (r"part/0", TEXTS | {"nothing", "NUL"}),
        (r".*/(makers|lr_scale)|labels|part", {"[]"}),
        (r".*/(lr_scale/0|lengths/\d|stages/\d)|inputs/\w+|part(/0)?|finished|order|recogniser|labels/\d", {"deleted"}),
        (r"recogniser", {"null"}),
        (r"inputs|versions|recogniser/policy|policy", {"{}"}),
        (r"versions/.*", TEXTS | {"deleted", "nothing", "NUL"}),
        (r"labels/\d", TEXTS),
        (r"policy/\w+", {"deleted"}),  # as in the index of clips
        (r"policy/hop", {"null"}),
    ],
    "done.json": [
        (r"hash", {"a text"}),
        (r"metrics", {"{}"}),
        (r"metrics/\w+", {"deleted", "NaN"} | LARGE),
        (r"code|kept/why", TEXTS | {"nothing", "deleted"}),
        (r"finished|kept", {"deleted"}),
        (r"kept/value", set(WRONG)),  # nothing reads it
    ],
    "curves.json": [
        (r"run", {"a text"}),
        (r"split|(points|selections)/0/way", TEXTS),
        (r"positions|(points|selections)/0/(indexing|skimming|recognition|gmacs)", LARGE),
        (r"points|selections", {"[]"}),
        (r"(points|selections)/0", {"deleted"}),
        (r"(points|selections)/0/steps", {"null"}),
        (r"(points|selections)/0/mAP", {"-5", "NaN"} | LARGE),
    ],
    "sure.json": [
        (r"run", {"a text"}),
        (COSTS, LARGE),
        (r".*/(difference|low|high)", {"-5"} | LARGE),
        (r"fixed/0/(difference|low|high)", set(WRONG)),  # nothing reads them
        (r"curve", {"[]"}),
        (r"curve/0", {"deleted"}),
    ],
    "sound_trials.json": [(r"run", {"a text"}), (r"trials", {"{}"}), (r"trials/[\w ]+", {"deleted"})],
    "videos.json": [
        (r"", {"{}"}),
        (r"v\d+|v\d+/path", TEXTS | {"nothing"}),
        (r"v\d+|v\d+/(start|end|reading|reading/\w+)", {"deleted"}),
        (r"v\d+/(start|end)", {"-5", "null"} | LARGE),
        (r"v\d+/reading", {"{}"}),
        (r"v\d+/reading/\w+", {"null", "true"}),
    ],
    "actions.json": [
        (r"", {"{}"}),
        (r"v\d+", {"deleted", "[]"}),
        (r"v\d+/0", {"deleted"}),
        (r"v\d+/0/[01]", {"-5"} | LARGE),
    ],
}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return hostile_runs.finished(tmp_path_factory.mktemp("runs")).parent


def shortened(name, value):
    """With one of everything that there are many of."""
    if name == "config.json":
        more = {"order": 2, "part": ["params/.*"], "finished": provenance.utc()}
        student = value["student"] | {"data": value["student"]["data"] | {"lengths": [4]}, "makers": []}
        value["config"]["data"]["lengths"] = [4]
        return value | more | {"student": student, "recogniser": None, "versions": {"jax": "1"}}
    if name == "done.json":
        return value | {"finished": provenance.utc(), "kept": {"step": 3, "why": "best", "value": 0.5}}
    if name == "videos.json":
        place = {"path": "a.mp4", "start": 1.0, "end": 2.0, "reading": {"audio_track": 2, "trust_length": False}}
        return {"v0": "a.mp4", "v1": place}
    return {key: own[:1] if isinstance(own, list) else own for key, own in value.items()}


@pytest.mark.parametrize("name", HARMLESS)
def test_every_field(work, tmp_path, name):
    (found,) = [x for x in work.glob(f"*/{name}") if x.parent.name in ("run", "clips")]
    good, path, count = shortened(name, json.loads(found.read_text())), tmp_path / name, 0
    path.write_text(text(good))
    assert run_folder.read_json(path) == good
    for place, fault, mutant in faults(good):
        if place.startswith("student/") and "/model" not in place:
            continue  # looked at as the config is
        count += 1
        path.write_text(text(mutant))
        try:
            run_folder.read_json(path)
        except run_folder.RunError as error:
            one_line(error, str(path))
        else:
            assert harmless(HARMLESS[name], place, fault), f"{place}: {fault}"
    assert count > 60


def test_a_recogniser_is_looked_at_as_a_student_is(work, tmp_path):
    good, path = json.loads((work / "run" / run_folder.CONFIG).read_text()), tmp_path / run_folder.CONFIG
    other = {"config": good["student"], "policy": good["policy"]}
    path.write_text(text(good | {"recogniser": other}))
    assert run_folder.read_json(path)["recogniser"] == other
    wrong = {"policy": {"frames": 0}}, {"config": good["config"]}, {"config": None}, {"more": 1}
    for change, reason in zip(wrong, ("policy", "model.name is 'skimmer'", "recogniser.config", "more"), strict=True):
        path.write_text(text(good | {"recogniser": other | change}))
        with pytest.raises(run_folder.RunError, match=reason) as caught:
            run_folder.read_json(path)
        one_line(caught.value, str(path))


@pytest.mark.parametrize("where", hostile_runs.PLACES)
def test_no_file_in_its_place(work, tmp_path, where, capsys):
    """As every command meets it that opens a run; of a pipe nothing waits for the other end."""
    run = shutil.copytree(work / "run", tmp_path / "run")
    path = run / run_folder.CONFIG
    path.unlink()
    hostile_runs.PLACES[where](path)
    with pytest.raises(run_folder.RunError) as caught:
        run_folder.load_run(run)
    one_line(caught.value, str(path))
    for main in (
        lambda: report.main([str(run), f"--out={tmp_path}/x.html"]),
        lambda: infer.main([f"--run={run}", "a"]),
    ):
        assert main() == 1
        (said,) = capsys.readouterr().err.splitlines()
        assert str(run) in said


def test_a_giant_file(work, tmp_path):
    path = tmp_path / run_folder.DONE
    path.write_text("{")
    os.truncate(path, 2**40)
    with pytest.raises(run_folder.RunError, match="more than 67,108,864; delete"):
        run_folder.read_json(path)


def changed(path, name, value, out):
    arrays = trees.load_arrays(path)
    flat = {"/".join(k): v for k, v in _flat(arrays)}
    flat.pop(name)
    np.savez(out, **flat, **({} if value is None else {name: value}))


def _flat(tree, at=()):
    for key, value in tree.items():
        yield from _flat(value, (*at, key)) if isinstance(value, dict) else [((*at, key), value)]


def test_variables_that_do_not_fit_are_named(tmp_path):
    """Before anything is computed by commands that measure; of one that answers, as soon as it fails."""
    shutil.copytree(RELEASE / "skim", tmp_path / "run")
    path, kernel = tmp_path / "run/variables.npz", "model/params/classifier/kernel"
    for name, value, reason in (
        (kernel, None, "params/classifier/kernel is missing"),
        (kernel, np.zeros((7, 3), np.float32), r"params/classifier/kernel is \(7, 3\), the model has"),
        ("student/params/fusion/hidden/kernel", None, "of its student, params/fusion/hidden/kernel is missing"),
        (kernel, np.array("text"), "classifier/kernel is not finite"),
    ):
        changed(RELEASE / "skim/variables.npz", name, value, path)
        with pytest.raises(run_folder.RunError, match=reason) as caught:
            fits.check(run_folder.load_run(tmp_path / "run"))
        one_line(caught.value, run_folder.VARIABLES)
    changed(RELEASE / "skim/variables.npz", kernel, None, path)
    with pytest.raises(run_folder.RunError, match="params/classifier/kernel is missing in the weights"):
        l2l.load(tmp_path / "run").classify(RELEASE / "film.mp4")


def test_what_the_last_release_wrote_fits():
    fits.check(run_folder.load_run(RELEASE / "skim"))


def test_every_array_of_predictions(work):
    """Every kind of wrong array in every place: refused, or the page is what it can be."""
    good, record = (
        trees.load_arrays(work / "run/predictions.npz"),
        run_folder.read_json(work / "run" / run_folder.CONFIG),
    )
    model, classes = from_config.numbers_of(record["config"]), len(record["labels"])
    assert prediction_rules.wrong(good, classes, model) == ""
    admitted = set()
    for name, fault in itertools.product(good, hostile_runs.MEMBERS):
        value = hostile_runs.MEMBERS[fault](good[name])
        arrays = good | {name: value} if value is not None else {k: v for k, v in good.items() if k != name}
        if not prediction_rules.wrong(arrays, classes, model):
            admitted.add((fault, name.partition("_")[0]))
    finite = {(fault, name) for fault in ("negative", "giant") for name in ("logits", "step", "modality", "weights")}
    zeros = {("float64", name) for name in ("logits", "labels", "step", "has", "modality", "weights")}
    rest = {("booleans", name) for name in ("logits", "labels", "step", "counted", "has", "modality", "weights")}
    rest |= {("texts", "video")}
    shapes = {("a row less", "weights"), ("another shape", "weights"), ("giant", "picked"), ("empty", "weights")}
    # Ways that not every run measures, and what version 0.1 did not write.
    optional = {("a member is missing", "logits"), ("a member is missing", "positions")}
    assert admitted <= finite | zeros | rest | shapes | optional
    assert prediction_rules.wrong(good, classes + 1, model).startswith("logits is (12, 3), expected (12, 4)")
    assert prediction_rules.wrong(good, classes, None) == ""


def test_lines_of_metrics(tmp_path):
    """A line that was cut by a kill is none; what is no line of numbers is named; a training that goes on cuts it."""
    path, good = tmp_path / "metrics.jsonl", b'{"step": 1, "train/loss": 0.5}\n'
    path.write_bytes(good + b'{"step": 2, "train/lo')
    assert runs.read_log(path) == [{"step": 1, "train/loss": 0.5}]
    path.write_bytes(good + b'{"step": 2, "train/loss": Infinity, "val/top1": NaN}\n')
    shown = runs.Shown(tmp_path, "a", "", {}, "", 0, {}, runs.read_log(path), "", "")
    (chart,) = runs.curves(shown)
    assert [words for one in chart.series for *_, words in one.marks] == ["1: 0.5"]
    for bad in (
        b"\xff\xfe\n",
        b"\0\0\n",
        b"[]\n",
        b'{"step": "a"}\n',
        b'{"step": 1, "a": null}\n',
        b"[" * 10**5 + b"\n",
    ):
        path.write_bytes(good + bad)
        with pytest.raises(run_folder.RunError, match="is damaged in line 2: .*delete that line") as caught:
            runs.read_log(path)
        one_line(caught.value, str(path))
        MetricLog(tmp_path, lines=1, active=True).close()
        assert path.read_bytes() == good


@pytest.mark.parametrize("fault", ["missing", "a pipe", "cut"])
def test_every_piece_of_a_checkpoint(tmp_path, fault, capfd):
    """It is refused with what to delete, or what was saved comes back."""
    good, work, refused = hostile_runs.saved(tmp_path / "good"), tmp_path / "work", 0
    pieces = [path.relative_to(good) for path in sorted(good.rglob("*")) if path.is_file()]
    for piece in pieces:
        shutil.rmtree(work, ignore_errors=True)
        data = (shutil.copytree(good, work) / piece).read_bytes()
        if fault in hostile_runs.PLACES:
            (work / piece).unlink()
            hostile_runs.PLACES[fault](work / piece)
        else:
            (work / piece).write_bytes(data[: len(data) // 2])
        try:
            state = hostile_runs.restored(work)
        except ValueError as error:
            refused += 1
            one_line(error, f"delete {work}")
        else:
            jax.tree.map(np.testing.assert_array_equal, state, hostile_runs.state())
    assert refused > 3
    assert "Traceback" not in capfd.readouterr().err


def test_numbers_of_a_checkpoint(tmp_path):
    good = hostile_runs.saved(tmp_path / "good")
    path = next(good.glob("3/meta/metadata"))
    said = json.loads(path.read_text())
    for place, _, mutant in faults(said):
        if place in ("", "of/model", "of/model/name"):
            continue
        path.write_text(text(mutant))
        try:
            _, meta = checkpoint.Checkpoints(good, hostile_runs.OF).restore(3, hostile_runs.state())
        except ValueError as error:
            one_line(error, str(good))
        else:
            assert meta["best"] in (-5, 10**18, 1) or place == "best"


WRITER = """
import sys
from pathlib import Path
from l2l.core.atomic import write_json
for i in range(150):
    write_json(Path(sys.argv[1]), {"from": sys.argv[2], "rows": [i] * 5000})
"""


def test_two_that_write_one_measurement(tmp_path):
    """Whoever reads a file of a run that two commands write at the same time reads one of the two, whole."""
    path = tmp_path / "curves"
    both = [subprocess.Popen([sys.executable, "-c", WRITER, path, name], cwd=HERE.parent) for name in "ab"]
    seen = set()
    while any(one.poll() is None for one in both):
        if path.exists():
            found = json.loads(path.read_text())
            assert len(set(found["rows"])) == 1
            seen.add(found["from"])
    assert [one.returncode for one in both] == [0, 0]
    assert seen == {"a", "b"}
    assert [x.name for x in tmp_path.iterdir()] == ["curves"]


@pytest.mark.parametrize("kind", hostile_runs.KINDS, ids=lambda kind: kind.name)
def test_kinds(kind, tmp_path):
    """A few of each, the same every time but for what orbax names at random; all are `python -m tests.hostile`."""
    said = []
    for label, read in itertools.islice(kind.cases(tmp_path, random.Random(3)), 6):
        said.append(label)
        with contextlib.suppress(*kind.refusals):
            read()
    if kind.name == "metrics":
        assert said == [x for x, _ in itertools.islice(kind.cases(tmp_path, random.Random(3)), 6)]
