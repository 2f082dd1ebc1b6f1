"""What the report says of classes and mistakes, against plain counting; and runs of all kinds of label lists."""

import html.parser

import numpy as np
import pytest

from l2l.core import atomic
from l2l.evaluate import metrics
from l2l.report import classes as report_classes
from l2l.report import files, run_page
from l2l.runs import run_folder
from l2l.runs.run_folder import RunError
from tests.helpers import tables_runs

NOWHERE = files.Files(None, {})


class Tables(html.parser.HTMLParser):
    """The rows of every table of a page, as texts."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.open, self.text = [], False, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.open = True

    def handle_endtag(self, tag):
        self.open = self.open and tag not in ("td", "th")

    def handle_data(self, data):
        self.text += " ".join(data.split()) + " "
        if self.open:
            self.tables[-1][-1][-1] += data.strip()

    def under(self, *heads):
        """The rows of the tables whose head starts with these cells."""
        return [table[1:] for table in self.tables if table[0][: len(heads)] == list(heads)]


def numbers(classes, examples, seed=0, several=1):
    """(scores, truth, labels); the last class has no example, and no score is the highest twice."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((examples, classes))
    for row in truth:
        row[rng.choice(max(classes - 1, 1), several, replace=False)] = 1
    scores = metrics.probabilities(rng.normal(size=truth.shape) + 1.5 * truth, several > 1)
    return scores, truth, [f"class {i}" for i in range(classes)]


@pytest.mark.parametrize(("classes", "several"), [(5, 1), (1, 1), (30, 1), (6, 2)])
def test_recall_and_precision_of_every_class(classes, several):
    scores, truth, labels = numbers(classes, 60, several=several)
    found = {c.label: c for c in report_classes.by_class(scores, truth, labels, multi_label=several > 1)}
    said = [{j for j in range(classes) if (s[j] >= 0.5 if several > 1 else s[j] == max(s))} for s in scores]
    for j, label in enumerate(labels):
        own, answered = {i for i in range(60) if truth[i, j]}, {i for i in range(60) if j in said[i]}
        one = found[label]
        assert (one.count, one.said) == (len(own), len(answered))
        assert one.recall == (pytest.approx(100 * len(own & answered) / len(own)) if own else None)
        assert one.precision == (pytest.approx(100 * len(own & answered) / len(answered)) if answered else None)
        ap = 100 * metrics.average_precision(scores[:, j], truth[:, j]) if own else None
        assert one.ap == (pytest.approx(ap) if own else None)
    order = [c.ap for c in found.values() if c.ap is not None]
    assert order == sorted(order)
    assert all(c.ap is None for c in list(found.values())[len(order) :])


def test_confusions_are_counted_and_the_largest_listed():
    for classes in (4, 21):
        scores, truth, labels = numbers(classes, 300)
        truth[:7, :2] = 1  # several labels: of which class would it be?
        truth[7:10] = 0
        found = report_classes.confusions(scores, truth, labels)
        counts = np.zeros((classes, classes), int)
        for s, y in zip(scores, truth, strict=True):
            if sum(y) == 1:
                counts[list(y).index(1), list(s).index(max(s))] += 1
        assert (found.examples, found.left_out) == (counts.sum(), 300 - counts.sum())
        if classes == 4:
            assert [row for _, row, _ in found.matrix] == counts.tolist()
            assert [sum(shares) for _, _, shares in found.matrix][:-1] == pytest.approx([100] * 3)
            continue
        assert found.matrix is None
        off = sorted((counts[i, j] for i in range(21) for j in range(21) if i != j), reverse=True)
        assert [one.count for one in found.largest] == off[:20]
        for one in found.largest:
            i, j = labels.index(one.truth), labels.index(one.said)
            assert one.count == counts[i, j]
            assert one.share == pytest.approx(100 * counts[i, j] / counts[i].sum())
        assert found.other == sum(n > 0 for n in off) - 20


def test_the_most_confident_wrong_answers_come_first():
    scores, truth, labels = numbers(5, 80)
    wrong = sorted((i for i in range(80) if not truth[i, scores[i].argmax()]), key=lambda i: -scores[i].max())
    assert report_classes.worst(scores, truth) == wrong[:6]
    assert report_classes.worst(truth, truth) == []
    arrays = {"video_id": np.arange(80).astype(str), "labels": truth, "times": np.arange(80.0)}
    one = report_classes.mistake(wrong[0], scores, arrays, labels, NOWHERE)
    assert (one.said, one.score) == (labels[scores[wrong[0]].argmax()], 100 * scores[wrong[0]].max())
    assert (one.truth, one.own) == (
        [labels[truth[wrong[0]].argmax()]],
        100 * scores[wrong[0]][truth[wrong[0]] > 0].max(),
    )
    assert (one.name, one.at, one.image, one.missing) == (str(wrong[0]), wrong[0], "", NOWHERE.missing)


def test_what_is_shown_of_a_mistake():
    times = np.array([[0.5, 1.5, 2.5, 0.0]])
    picks = {"picked_audio": np.array([[1, 2, 0]]), "counted": np.array([[False, True, True]])}
    assert report_classes.moment({"times": np.array([7.25])}, 0) == 7.25  # a clip
    assert report_classes.moment({"times": times} | picks, 0) == 2.5  # the first look that counts
    both = picks | {"picked_image": np.array([[2, 0, 1]])}
    assert report_classes.moment({"times": times} | both, 0) == 0.5
    assert report_classes.moment({"times": times}, 0) == 1.5  # the middle of what does not look


KINDS = {
    "one class": (1, 1, False),
    "many classes": (400, 1, False),
    "several labels": (6, 2, True),
    "several labels, one softmax": (6, 2, False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pages_of_all_kinds_of_labels(tmp_path, kind):
    """Of a clip model and of a skimmer; classes without an example are there."""
    classes, several, alone = KINDS[kind]
    _, truth, labels = numbers(classes, 40, several=several)
    paths, rng = [tmp_path / "clips", tmp_path / "skim"], np.random.default_rng(1)
    tables_runs.finished(paths[0], "finetune.py", {}, labels=labels, multi_label=alone)
    more = {"labels": labels, "described_by": "finetune.py", "multi_label": alone} | tables_runs.SMALL
    tables_runs.finished(paths[1], "skim.py", {}, **more)
    made = [tables_runs.clip_predictions(truth, rng), tables_runs.skim_predictions(truth, rng)]
    shown = [tables_runs.predicted(path, arrays) for path, arrays in zip(paths, made, strict=True)]
    page = Tables(run_page.page_of(paths, videos=2))
    found = page.under("class", "N", "said")
    assert [len(table) for table in found] == [classes, classes]
    for table, arrays in zip(found, made, strict=True):
        assert {row[0]: row[1] for row in table} == {
            label: str(int(n)) for label, n in zip(labels, arrays["labels"].sum(axis=0), strict=True)
        }
    matrices = [table for table in page.tables if table[0][1:] == labels]
    assert len(matrices) == (2 if kind == "one class" else 0)
    assert ("judged by itself" in page.text) == alone
    assert ("No example has exactly one label" in page.text) == (kind == "several labels, one softmax")
    assert len(page.under("class", "taken for")) == (2 if classes == 400 else 0)
    assert f"{100 * shown[1]['oracle_top1']:.1f}" in next(
        row for row in page.under("way")[0] if row[0].startswith("oracle")
    )
    assert "nan" not in page.text.split()


def test_strides_are_drawn_where_they_were_measured(tmp_path):
    """With curves of the run's own weights and split; else the page says what makes them."""
    _, truth, labels = numbers(4, 30)
    path = tables_runs.finished(
        tmp_path / "skim", "skim.py", {}, labels=labels, described_by="finetune.py", **tables_runs.SMALL
    )
    tables_runs.predicted(path, tables_runs.skim_predictions(truth, np.random.default_rng(2)))
    command = f"python -m l2l.curves {path}"
    line = "skim, 4 looks, at strides of 1 and more"
    assert f"{command} adds what it does at every stride" in Tables(run_page.page_of([path], videos=0)).text
    curves = tables_runs.curves(path, np.random.default_rng(2))
    split = run_folder.read_json(path / "config.json")["config"]["data"]["test"]
    for facts, drawn in (({"split": split}, True), ({"split": "other"}, False), ({"run": "other"}, False)):
        atomic.write_json(path / "curves.json", curves | {"split": split} | facts)
        text = run_page.page_of([path], videos=0)
        assert (f"{command} makes it again" in text) == (not drawn)
        assert (line in text) == drawn
        if drawn:
            for point in (p for p in curves["points"] if (p["way"], p["steps"]) == ("hard", 4)):
                assert f"{line}: {point['gmacs']:.4g}: {100 * point['top1']:.4g}" in text
            assert "uniform, as many positions" in text


def test_damaged_predictions_of_clips(tmp_path):
    _, truth, labels = numbers(3, 9)
    path = tables_runs.finished(tmp_path / "clips", "finetune.py", {}, labels=labels)
    arrays = tables_runs.clip_predictions(truth, np.random.default_rng(0))
    tables_runs.predicted(path, arrays)
    for change, reason in (
        ({"labels": truth[:, :2]}, r"labels is \(9, 2\), expected \(9, 3\)"),
        ({"times": None}, "lacks times"),
    ):
        kept = {name: value for name, value in (arrays | change).items() if value is not None}
        np.savez(path / "predictions.npz", **kept)
        with pytest.raises(RunError, match=f"predictions.npz is damaged: .*{reason}"):
            run_page.page_of([path], videos=0)
    (path / "predictions.npz").unlink()
    assert "Nothing is said of the classes of clips: there is no predictions.npz." in run_page.page_of([path], videos=0)
