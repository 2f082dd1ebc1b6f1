"""Tables from run folders: every number against plain computation, and the same in all files."""

import csv
import html.parser
import json
import re
import statistics

import numpy as np
import pytest

from l2l.core import atomic
from l2l.report import __main__ as report
from l2l.report.tables import formats, paper
from l2l.report.tables import groups as tables_groups
from l2l.report.tables.table import Claim, Row, claim, claim_lines
from l2l.runs import provenance, run_folder
from l2l.runs.run_folder import RunError
from tests.helpers import tables_runs
from tests.helpers.tables_runs import SEEDS, SMALL, SOFT, at

# What a split of silent and sounding examples adds, in the last release and in this one: the tables are of all of it.
OF_THE_SILENT = (
    {"with_audio_top1": 0.9, "without_audio_top1": 0.1, "without_audio_examples": 4},
    {f"{part}_{key}": 0.3 for part in ("with_audio", "without_audio") for key in ("top1", "top5", "mAP")}
    | {"with_audio_examples": 3, "without_audio_examples": 3},
)
STUDENTS = [(m, d) for m in ("image", "audio", "both") for d in (False, True)]


@pytest.fixture(scope="module")
def paper_runs(tmp_path_factory):
    """A sweep like that of `make paper`, with made-up results; (folder, curves, sure files, metrics by path)."""
    out, rng = tmp_path_factory.mktemp("paper"), np.random.default_rng(0)
    metrics, curves, sures = {}, {}, {}

    def add(name, seed, file, **more):
        values = {key: float(rng.uniform()) for key in ("top1", "mAP", "agree", "soft_top1", "soft_mAP")}
        values |= OF_THE_SILENT[seed % 2]
        metrics[name, seed] = values
        return tables_runs.finished(out / name / str(seed), file, values, seed=seed, **more)

    for seed in SEEDS:
        add("finetune_teacher", seed, "teacher.py", init="t")
        for modality, distilled in STUDENTS:
            what = {"model__modality": modality, "init": "s" if distilled else ""}
            what |= {} if distilled else {"epochs": 40.0}
            add(f"{modality}_{distilled}", seed, "finetune.py", **what)
        skims = {"skim": {}, "soft": SOFT, "pair": {"recogniser": "teacher.py"}}
        for name, change in skims.items():
            path = add(name, seed, "skim.py", **SMALL, **change)
            curves[name, seed] = tables_runs.curves(path, rng)
        sures[seed] = tables_runs.sure(out / "skim" / str(seed), rng)
    add("teacher", 0, "teacher.py", data="source")
    return out, curves, sures, metrics


@pytest.fixture(scope="module")
def made(paper_runs, tmp_path_factory):
    """The page of all tables and the folder that it lies in."""
    page = tmp_path_factory.mktemp("made") / "deep/report.html"
    assert report.main(["--table=all", str(paper_runs[0]), f"--out={page}"]) == 0
    return page, json.loads((page.parent / "results.json").read_text())


def cells(found, table, row):
    return next(r for r in found["tables"][table]["rows"] if r["name"] == row)["cells"]


def same(cell, values):
    assert list(cell["values"].values()) == pytest.approx(values)
    assert cell["mean"] == pytest.approx(np.mean(values))
    assert cell["spread"] == pytest.approx(np.std(values, ddof=1))


def test_table1(paper_runs, made):
    curves, found = paper_runs[1], made[1]
    own = [100 * at(curves["skim", s], "hard", 1, 4)["top1"] for s in SEEDS]
    same(cells(found, "table1", "skim (straight-through, looks weighed), hard")["top1"], own)
    same(
        cells(found, "table1", "skim (straight-through, looks weighed), hard, s = 5")["gmacs"],
        [at(curves["skim", s], "hard", 5, 4)["gmacs"] for s in SEEDS],
    )
    same(
        cells(found, "table1", "skim (soft, start counted), soft")["mAP"],
        [100 * at(curves["soft", s], "soft", 1, 4)["mAP"] for s in SEEDS],
    )
    whole = [p for s in SEEDS for p in curves["skim", s]["selections"] if p["steps"] == 4]
    choice = lambda s, name: [p for p in whole if p["way"] == name][s]
    uniform = [100 * choice(s, "uniform")["top1"] for s in SEEDS]
    same(cells(found, "table1", "uniform")["top1"], uniform)
    table = found["tables"]["table1"]
    one = next(c for c in table["orderings"] if c["text"] == "skim (straight-through, looks weighed) above uniform")
    assert one["differences"] == pytest.approx([a - b for a, b in zip(own, uniform, strict=True)])
    assert one["paper"] == pytest.approx(paper.TABLE1["skimmer"] - paper.TABLE1["uniform"])
    assert not any("pair" in source["run"] for source in table["sources"])


def test_clips(paper_runs, made):
    metrics, found = paper_runs[3], made[1]
    top1 = lambda name: [100 * metrics[name, s]["top1"] for s in SEEDS]
    same(cells(found, "clips", "image-audio, distilled")["top1"], top1("both_True"))
    same(cells(found, "clips", "audio, undistilled")["top1"], top1("audio_False"))
    same(cells(found, "clips", "teacher, R(2+1)D, fine-tuned")["top1"], top1("finetune_teacher"))
    table = found["tables"]["clips"]
    assert len(table["rows"]) == 7, "a teacher of other clips is no row"
    assert next(r for r in table["rows"] if r["name"] == "image, distilled")["paper"] == {"top1": 38.5}
    gmacs = {row["name"]: row["cells"]["gmacs"]["mean"] for row in table["rows"]}
    assert gmacs["image, distilled"] < gmacs["image-audio, distilled"] < gmacs["teacher, R(2+1)D, fine-tuned"]


def test_along_strides_and_looks(paper_runs, made):
    curves, found = paper_runs[1], made[1]
    own = lambda way, stride, steps: [100 * at(curves["skim", s], way, stride, steps)["top1"] for s in SEEDS]
    same(cells(found, "stride", "s = 5")["0_soft"], own("soft", 5, 4))
    same(cells(found, "steps", "T = 3")["0_hard"], own("hard", 1, 3))
    assert [row["name"] for row in found["tables"]["stride"]["rows"]] == ["s = 1", "s = 5", "s = 10"]
    one = found["tables"]["steps"]["orderings"][0]
    assert one["text"].startswith("T = 3 at most a point below T = 4")
    assert one["differences"] == pytest.approx(np.subtract(own("hard", 1, 3), own("hard", 1, 4)))


def test_frontier(paper_runs, made):
    curves, found = paper_runs[1], made[1]
    for part in ("mAP", "gmacs", "recognition"):
        scale = 100 if part == "mAP" else 1
        values = [scale * at(curves["pair", s], "hard", 1, 2)[part] for s in SEEDS]
        same(cells(found, "frontier", "image-audio | R(2+1)D, s = 1, T = 2")[part], values)
    names = {row["name"] for row in found["tables"]["frontier"]["rows"]}
    assert {"uniform, R(2+1)D recognises", "uniform, the student recognises"} <= names
    text = {c["text"] for c in found["tables"]["frontier"]["orderings"]}
    assert "image-audio | R(2+1)D, s = 1, T = 4 above uniform, same recognition" in text


def test_sure(paper_runs, made):
    sures, found = paper_runs[2], made[1]
    same(cells(found, "sure", "stops when sure")["looks"], [sures[s]["test"]["looks"] for s in SEEDS])
    same(cells(found, "sure", "all looks")["top1"], [100 * sures[s]["fixed"][-1]["top1"] for s in SEEDS])
    assert found["tables"]["sure"]["orderings"][2]["differences"] == pytest.approx(
        [100 * sures[s]["test"]["low"] for s in SEEDS]
    )


def test_what_every_result_carries(paper_runs, made):
    found = made[1]
    assert found["code"] == provenance.code_version()
    source = next(s for s in found["tables"]["table1"]["sources"] if s["run"].endswith("skim/1"))
    config = run_folder.read_json(paper_runs[0] / "skim/1/config.json")["config"]
    assert source["examples"] == 9
    assert source["seed"] == 1
    assert source["labels"] == atomic.hash_of(list(tables_runs.LABELS))
    assert source["data"] == "d"
    assert source["hash"] == run_folder.hash_at(paper_runs[0] / "skim/1")
    assert source["config_hash"] == atomic.hash_of(run_folder.completed({"config": config, "student": None})["config"])
    assert source["code"] == "abc"


def test_all_says_what_it_left_out(made):
    found = made[1]
    assert set(found["left_out"]) == {"ablations", "multi_label", "closer", "sound"}
    assert "multi_label=True" in found["left_out"]["multi_label"]


class Cells(html.parser.HTMLParser):
    """The text of all table cells of a page."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self.open = tag in ("td", "th")
        if self.open:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.open = False

    def handle_data(self, data):
        if self.open:
            self.rows[-1][-1] += data


def test_all_files_say_the_same(made):
    page, found = made
    shown = {tuple(row) for row in Cells(page.read_text(encoding="utf-8")).rows}
    text = (page.parent / "results.md").read_text(encoding="utf-8")
    in_text = {tuple(re.split(r" (?<!\\)\| ", line[2:-2])) for line in text.splitlines() if line.startswith("| ")}
    in_text = {tuple(cell.replace("\\|", "|") or "–" for cell in row) for row in in_text}
    for name, table in found["tables"].items():
        lines = {
            (r["row"], r["column"]): r for r in csv.DictReader((page.parent / f"{name}.csv").open(encoding="utf-8"))
        }
        for row in table["rows"]:
            own = next(r for r in shown if r[0] == row["name"] and any(" ± " in cell for cell in r))
            assert (own[0], *own[1:]) in {(r[0].strip(), *(c.strip() or "–" for c in r[1:])) for r in in_text}
            for key, cell in row["cells"].items():
                line = lines[row["name"], table["columns"][key]]
                assert float(line["mean"]) == cell["mean"]
                assert [float(x) for x in line["values"].split()] == list(cell["values"].values())
                digits = 3 if "GMACs" in table["columns"][key] or key in ("indexing", "skimming", "recognition") else 1
                digits = 2 if key == "looks" else digits
                spread = f" ± {cell['spread']:.{digits}f}" if cell["spread"] else ""
                assert f"{cell['mean']:.{digits}f}{spread}" in own


def test_one_table(paper_runs, tmp_path):
    out = tmp_path / "page.html"
    assert report.main(["--table=clips", str(paper_runs[0]), f"--out={out}"]) == 0
    assert {x.name for x in tmp_path.iterdir()} == {"page.html", "clips.json", "clips.md", "clips.csv"}


def test_ablations(tmp_path):
    rng = np.random.default_rng(1)
    arms = {"base": {}, "lambda": {"distill_weight": 1.0}, "no_l1": {"distill_feature": 0.0}}
    expected = {}
    for seed in SEEDS:
        for name, change in arms.items():
            path = tmp_path / f"distill_{name}/{seed}"
            tables_runs.finished(path, "distill.py", {"top1": rng.uniform(), "agree": 0.5}, seed=seed, **change)
            expected[name, seed] = float(rng.uniform())
            tuned = tmp_path / f"finetune_{name}/{seed}"
            start = run_folder.hash_at(path)
            tables_runs.finished(
                tuned, "finetune.py", {"top1": expected[name, seed]}, seed=seed, init=start, model__feature=64
            )
    (distillation,), _ = formats.build("ablations", [tmp_path])
    rows = {row.name: row for row in distillation.rows}
    assert set(rows) == {"reference", "distill_weight 1.0", "distill_feature 0.0"}
    after = [100 * expected["lambda", s] for s in SEEDS]
    assert list(rows["distill_weight 1.0"].values["tuned"].values()) == pytest.approx(after)
    (one,) = [c for c in distillation.claims if c.text == "reference above distill_weight 1.0"]
    assert one.differences == pytest.approx([100 * expected["base", s] - x for s, x in zip(SEEDS, after, strict=True)])
    heads, cells = claim_lines(distillation)
    assert heads[-1] == "held here", "the paper has no ablations"
    assert {len(line) for line in cells} == {len(heads)}


def test_the_reference_of_ablations_is_one_or_an_error(tmp_path):
    """Whatever the order of the runs; a tie names the candidates."""
    made = lambda name, **change: tables_runs.finished(tmp_path / name, "skim.py", {}, seed=0, **change)
    head, frozen = made("head", head=0.1), made("soft", model__selection="soft")
    with pytest.raises(RunError, match=f"which of these .* {head}, {frozen} differ from the rest in as many keys"):
        formats.build("ablations", [head, frozen])
    base, both = made("base"), made("both", head=0.1, model__selection="soft")
    with pytest.raises(RunError, match="which of these"):  # each of the four is one key from two of the others
        formats.build("ablations", [head, frozen, base, both])
    (both / "done.json").unlink()
    for order in ([head, frozen, base], [base, frozen, head]):
        ((table,), _) = formats.build("ablations", order)
        assert table.rows[0].name == "reference"
        assert {row.name for row in table.rows[1:]} == {"head 0.1", "model.selection soft"}


def test_multi_label(tmp_path):
    values = {(key, seed): (seed + key) / 10 for key in (False, True) for seed in SEEDS}
    for (key, seed), value in values.items():
        metrics = {"mAP": value, "mAP_micro": 0.3, "top1": 0.2}
        tables_runs.finished(tmp_path / f"{key}{seed}", "skim.py", metrics, seed=seed, multi_label=key)
    for seed in SEEDS:
        tables_runs.finished(tmp_path / f"g{seed}", "skim.py:glance", {"mAP": 0.7}, seed=seed, multi_label=True)
    (table,), _ = formats.build("multi_label", [tmp_path])
    softmax, sigmoid, glance = sorted(table.rows, key=lambda row: row.mean("mAP"))
    assert glance.name == "each class by itself (sigmoid), one glance"
    assert glance.mean("mAP") == pytest.approx(70)
    assert list(sigmoid.values["mAP"].values()) == pytest.approx([100 * values[True, s] for s in SEEDS])
    assert softmax.mean("mAP") == pytest.approx(10)
    assert table.claims[0].mean == pytest.approx(10)


def test_verdicts():
    assert Claim("", (3.0, 3.1, 2.9)).verdict == "yes"
    assert Claim("", (-3.0, -3.1, -2.9)).verdict == "no"
    assert Claim("", (9.0, -5.0, 1.0)).verdict == "yes, not certain"
    assert Claim("", (-9.0, 5.0, -1.0)).verdict == "no, not certain"
    assert Claim("", (0.2, 0.1, -0.2), -1.0, 1.0).verdict == "yes"
    assert Claim("", (2.0,)).verdict == "yes (one seed)"
    low, high = Claim("", (1.0, 2.0, 3.0)).interval
    half = 4.302653 * statistics.stdev((1, 2, 3)) / 3**0.5  # Student's t, two degrees of freedom
    assert (low, high) == pytest.approx((2 - half, 2 + half))


def test_differences_are_of_the_same_seeds():
    one = claim("", Row("", {"x": {0: 5.0, 1: 7.0, 2: 9.0}}), Row("", {"x": {2: 1.0, 0: 2.0}}), "x")
    assert one.differences == (3.0, 8.0)
    assert claim("", Row("", {"x": {0: 5.0}}), Row("", {"x": {1: 2.0}}), "x") is None


def test_what_is_missing_is_named(paper_runs, tmp_path, capsys):
    skim = tables_runs.finished(tmp_path / "a/skim", "skim.py", {}, seed=0)
    with pytest.raises(RunError, match=r"curves.json is missing: make it with python -m l2l.curves .*a/skim"):
        formats.build("table1", [tmp_path / "a"])
    found = tables_runs.curves(skim, np.random.default_rng(0))
    atomic.write_json(skim / "curves.json", found | {"run": "other"})
    with pytest.raises(RunError, match="made for another run"):
        formats.build("stride", [tmp_path / "a"])
    with pytest.raises(RunError, match="no student that was trained with labels"):
        formats.build("clips", [tmp_path / "a"])
    with pytest.raises(RunError, match="none of the tables can be made: table1, .*; clips: no student"):
        formats.build("all", [tmp_path / "a"])
    tables_runs.finished(tmp_path / "a/again", "skim.py", {}, seed=0)
    with pytest.raises(RunError, match="same configuration and the same seed"):
        formats.build("table1", [tmp_path / "a"])
    (skim / "done.json").unlink()
    with pytest.raises(RunError, match="a/skim has not finished"):
        formats.build("table1", [tmp_path / "a"])
    (tmp_path / "empty").mkdir()
    assert report.main(["--table=all", str(tmp_path / "empty"), f"--out={tmp_path / 'x.html'}"]) == 1
    assert "empty holds no runs" in capsys.readouterr().err
    assert report.main(["--table=table2", str(paper_runs[0]), f"--out={tmp_path / 'x.html'}"]) == 1
    assert "unknown table 'table2': choose from table1, clips" in capsys.readouterr().err


def test_places_and_seeds_do_not_tell_configurations_apart(tmp_path):
    a = tables_runs.finished(tmp_path / "a", "skim.py", {}, seed=0, student="x", data__dir="y")
    b = tables_runs.finished(tmp_path / "b", "skim.py", {}, seed=1, student="z", data__dir="w", log_every=3)
    c = tables_runs.finished(tmp_path / "c", "skim.py", {}, seed=1, epochs=3.0)
    found = tables_groups.grouped(tables_groups.find([a, b, c]))
    assert [[m.path for m in group.members] for group in found] == [[a, b], [c]]
    assert tables_groups.changes(found[1], found[0]) == "epochs 3.0"
