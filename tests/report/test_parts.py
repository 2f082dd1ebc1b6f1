"""Parts of the report on made-up numbers: shares of a split with silent examples, which videos are shown, charts."""

import json

import numpy as np
import pytest

from l2l.evaluate import evaluation
from l2l.report import charts, videos
from tests.helpers import tables_runs
from tests.helpers.pages import make, shares_of


def measured_apart(arrays, heard):
    """Plain metrics of the examples with sound, or of those without."""
    rows = arrays["has_audio"] == heard
    own = {name: arrays[name][rows] for name in ("logits", "labels", "has_audio")}
    found = evaluation.measure(own)
    error = (found["top1"] * (1 - found["top1"]) / rows.sum()) ** 0.5
    return found, [100 * found["top1"], 100 * error, 100 * found["top5"], 100 * found["mAP"], rows.sum()]


@pytest.mark.parametrize("stage", ["teacher.py", "skim.py"])
@pytest.mark.parametrize("release", ["last", "this"])
def test_silent_and_sounding_examples_have_their_own_counts(tmp_path, capsys, stage, release):
    """What the last release wrote, which knew top-1 alone, and what this one writes."""
    truth = np.eye(7)[np.arange(50) % 7]
    made = tables_runs.clip_predictions if stage == "teacher.py" else tables_runs.skim_predictions
    arrays, described = made(truth, np.random.default_rng(3)), "" if stage == "teacher.py" else "finetune.py"
    labels, steps = [f"class {i}" for i in range(7)], tables_runs.SMALL if described else {}
    path = tables_runs.finished(tmp_path / "run", stage, {}, labels=labels, described_by=described, **steps)
    parts = {name: measured_apart(arrays, name == "with_audio") for name in ("with_audio", "without_audio")}
    keys = ("top1", "top5", "mAP", "mAP_classes", "examples")
    known = {f"{name}_{key}": found[key] for name, (found, _) in parts.items() for key in keys}
    if release == "last":
        known = {key: known[key] for key in ("with_audio_top1", "without_audio_top1", "without_audio_examples")}
    whole = {name: arrays[name] for name in arrays if name.startswith("logits")} | {"labels": arrays["labels"]}
    tables_runs.predicted(path, arrays)
    done = json.loads((path / "done.json").read_text())
    done["metrics"] = evaluation.measure(whole | {"has_audio": np.ones(50, bool)}) | known
    (path / "done.json").write_text(json.dumps(done))
    page, _ = make(capsys, tmp_path / "report.html", path)
    for name, words in (("with_audio", "with sound"), ("without_audio", "without sound")):
        shown, expected = shares_of(page, f"run, {words}"), parts[name][1]
        if release == "last":
            assert shown[2:4] == [None, None]
            expected[2:4] = shown[2:4]
        assert shown == pytest.approx(expected, abs=0.051)
    first = shares_of(page, "run, hard" if described else "run")
    assert first[4] == 50


def test_choice_is_mixed_and_blind():
    names = np.array([f"v{i}" for i in range(40)])
    labels, right = np.eye(4)[np.arange(40) % 4], np.arange(40) % 5 > 0
    chosen = videos.choose(names, labels, right, 6)
    assert right[chosen].tolist() == [True] * 3 + [False] * 3
    assert len({int(labels[i].argmax()) for i in chosen[:3]}) == 3
    order = np.random.default_rng(0).permutation(40)
    again = videos.choose(names[order], labels[order], right[order], 6)
    assert names[order][again].tolist() == names[chosen].tolist()
    assert len(videos.choose(names, labels, np.ones(40, bool), 6)) == 6
    assert len(videos.choose(names[:2], labels[:2], right[:2], 6)) == 2


def test_charts():
    line = charts.Series("a", [(i, i % 7) for i in range(5000)], "train")
    found = charts.chart("t", "x", "y", [line, charts.Series("empty", [], "train")])
    assert [s.name for s in found.series] == ["a"]
    assert found.series[0].line.count("L") == charts.MOST_POINTS - 1
    assert [text for _, text in found.x_ticks] == ["0", "2000", "4000"]
    assert charts.chart("t", "x", "y", []) is None
    points = [(0.02, 50.0), (2.0, 100.0)]
    log = charts.chart("t", "x", "y", [charts.Series("a", points, "b")], log=True, percent=True)
    (x0, y0, _), (x1, y1, _) = (
        charts.chart("t", "x", "y", [charts.Series("a", points, "b", "circle")], log=True, percent=True).series[0].marks
    )
    assert log.left < x0 < x1 < log.right
    at = {text: pixel for pixel, text in log.x_ticks}
    assert at["1"] - at["0.1"] == pytest.approx((x1 - x0) / 2, abs=0.2)
    assert y1 == log.top
    assert y0 == pytest.approx((log.top + log.bottom) / 2)
