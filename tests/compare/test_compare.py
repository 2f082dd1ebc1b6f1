"""A comparison from choice to table: what is chosen, refused and kept, and the numbers of the table."""

import dataclasses
import json

import numpy as np
import pytest

from l2l.compare import choice, measure, results
from l2l.compare.arms import Arm
from l2l.compare.study import Difference, Study, readers
from tests.compare.made import made

GLANCE = {"steps": 3, "hidden": 8, "context": 3, "dropout": 0.0, "stride": 2}
RATES = {"lr": (1e-3, 3e-2), "epochs": (4,)}
ARMS = [
    Arm("LSTM", "skimmer", model={"steps": 3, "hidden": 8, "key": 4, "query": 8, "selection": "straight_through"}),
    Arm("glance", "glance", model=GLANCE),
    Arm("sampler", "sampler", model=GLANCE),
    *readers("uniform", 3),
    readers("sampler", 3)[1],
]
FIXED = {"lr": (1e-2,), "epochs": (4,)}
GRIDS = {"LSTM": FIXED, "glance": RATES, "sampler": FIXED, "judge of 3": FIXED}
GRIDS["mean of 3"] = FIXED | {"classifier": (0.1, 1.0)}
DIFFERENCES = [
    Difference("glance, all", "best LSTM, best"),
    Difference("glance, T=3", "uniform 3, judge, all"),
    Difference("glance, T=3", "uniform 3, clip model, all", where="silent"),
]


def study(asked, features=made):
    """Two students on the same videos; `asked` hears which splits are opened."""

    def groups(splits):
        asked.append(tuple(splits))
        own = [features(seed) for seed in (0, 1)]
        kept = [dataclasses.replace(x, splits={name: x.splits[name] for name in splits}) for x in own]
        for x in kept[1:]:  # the same videos: the labels are, and the rest may be
            for name in splits:
                x.splits[name]["labels"] = kept[0].splits[name]["labels"]
                x.splits[name]["has_audio"] = kept[0].splits[name]["has_audio"]
        return [{"own": x} for x in kept]

    return Study(groups, ARMS, GRIDS, DIFFERENCES, crossed=True, lstm=("LSTM",), exits="glance", seeds=range(2))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out, asked = tmp_path_factory.mktemp("compare"), []
    own = study(asked)
    with pytest.raises(choice.ChoiceError, match="does not exist: choose again"):
        measure.measure(own, out)
    assert all("test" not in splits for splits in asked)
    choice.choose(own, out)
    assert all("test" not in splits for splits in asked)
    found = results.Results(own, *measure.measure(own, out), out)
    return own, out, found, results.write(found, out)


def test_the_best_of_every_grid_is_chosen(finished, tmp_path):
    own, out, _, _ = finished
    record = json.loads((out / choice.FILE).read_text())
    trials = choice.Trials(own, tmp_path)
    tried = {lr: trials.value(ARMS[1], {"lr": lr, "epochs": 4}) for lr in RATES["lr"]}
    assert record["families"]["glance"]["chosen"]["lr"] == max(tried, key=tried.get)
    assert record["families"]["glance"]["val"] == max(tried.values())
    assert record["best_lstm"] == "LSTM"


def test_the_table_has_what_was_answered(finished):
    own, out, _, text = finished
    record = json.loads((out / results.JSON).read_text())
    labels = own.groups(("test",))[0]["own"].splits["test"]["labels"]
    with np.load(measure.path_of(out, 1, ARMS[1])) as answers:
        right = labels.argmax(1) == answers["steps"][:, :, 2].argmax(-1)
    others = np.load(measure.path_of(out, 0, ARMS[1]))["steps"][:, :, 2].argmax(-1) == labels.argmax(1)
    row = next(row for row in record["rows"] if (row["arm"], row["way"]) == ("glance", "T=3"))
    assert row["top1"] == pytest.approx(50 * (right.mean() + others.mean()))
    assert row["gmacs"] is None
    difference = record["differences"][1]
    judge = np.load(measure.path_of(out, 1, own.arm("uniform 3, judge")))["all"].argmax(-1) == labels.argmax(1)
    judges = np.load(measure.path_of(out, 0, own.arm("uniform 3, judge")))["all"].argmax(-1) == labels.argmax(1)
    wanted = (right.mean() + others.mean() - judge.mean() - judges.mean()) / 2
    assert difference["mean"] == pytest.approx(wanted)
    assert difference["low"] <= wanted <= difference["high"]
    assert record["differences"][2]["videos"] == 4
    assert "| glance, T=3 - uniform 3, judge, all |" in text
    curve = {point["looks"]: point for point in record["curves"] if point["arm"] == "glance"}
    assert sorted(curve) == [1, 2, 3]
    assert curve[3]["top1"] == pytest.approx(row["top1"])
    assert curve[1]["top1"] == pytest.approx(100 * np.mean([right_after(out, n, labels, 0) for n in (0, 1)]))
    assert (out / results.PICTURE).read_bytes().startswith(b"\x89PNG")
    assert record["early_exit"][-1]["looks"] >= record["early_exit"][1]["looks"] >= 1


def right_after(out, group, labels, look):
    """Share of the videos that the glance of a group answers rightly after a look."""
    with np.load(measure.path_of(out, group, ARMS[1])) as answers:
        return (labels.argmax(1) == answers["steps"][:, :, look].argmax(-1)).mean()


def test_what_is_there_is_kept(finished, capsys):
    own, out, _, text = finished
    path = measure.path_of(out, 1, ARMS[1])
    kept, path_of_other = path.stat().st_mtime_ns, measure.path_of(out, 0, ARMS[0])
    path_of_other.unlink()
    capsys.readouterr()
    again = results.write(results.Results(own, *measure.measure(own, out), out), out)
    assert "[1/1] 0, LSTM" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == kept
    assert again == text


def test_what_was_chosen_otherwise_is_refused(finished, tmp_path):
    own, out, _, _ = finished
    with pytest.raises(choice.ChoiceError, match="other features or seeds"):
        measure.measure(study([], lambda seed: made(seed, 2.0)), out)
    with pytest.raises(choice.ChoiceError, match="other arms"):
        measure.measure(dataclasses.replace(own, grids={}), out)
    record = json.loads((out / choice.FILE).read_text())
    record["threshold"] = 0.123
    (tmp_path / choice.FILE).write_text(json.dumps(record))
    with pytest.raises(choice.ChoiceError, match="was edited"):
        measure.measure(own, tmp_path)


def test_stopping_early_by_hand():
    steps = np.log(
        np.array([[[[0.6, 0.4], [0.9, 0.1]], [[0.955, 0.045], [0.2, 0.8]]]])
    )  # one seed, two videos, two looks
    labels = np.array([[1, 0], [0, 1]])
    assert choice.stopped(steps, labels, 0.5) == (0.5, 1.0)
    assert choice.stopped(steps, labels, 0.99) == (1.0, 2.0)
    assert choice.threshold(steps, labels) == pytest.approx(0.96)


def test_what_is_chosen_is_of_the_training_or_of_the_model():
    values = {"lr": 0.1, "epochs": 4, "weight_decay": 0.3, "classifier": 1.0, "dropout": 0.7, "hidden": 64}
    found = choice.settings_of(values)
    assert (found.lr, found.epochs, found.weight_decay, found.lr_scale) == (0.1, 4, 0.3, (("classifier/.*", 1.0),))
    assert choice.numbers_of(values) == {"dropout": 0.7, "hidden": 64}
