"""Mini-Sports1M out of Sports-1M's lists. Excerpts in the published format, with invented ids."""

import gzip
import shutil
from pathlib import Path

import pytest

from data_prep.datasets import mini_sports1m
from data_prep.datasets.rows import PrepareError
from tests.helpers.videos import touch, write_video

LISTS = Path(__file__).parents[1] / "lists/sports1m"
DURATIONS = [LISTS.parent / f"sports1m_{name}.json" for name in ("train", "test")]
LABELS = ["boomerang", "yağlı güreş", "t'ai chi ch'uan"]


def table(rows):
    return {(row.video_id, row.labels, row.split) for row in rows}


def test_listed_durations(tmp_path, capsys):
    touch(tmp_path, ["deep/eeeeeeeeee2.webm"])
    rows, labels = mini_sports1m.read(tmp_path, LISTS, durations=DURATIONS)
    assert labels == LABELS
    assert table(rows) == {
        ("eeeeeeeeee2", ("boomerang",), "train"),
        ("-eeeeeeee_4", ("yağlı güreş",), "train"),
        ("ffffffffff1", ("boomerang",), "val"),
    }
    assert {row.path for row in rows} == {
        str(tmp_path / name) for name in ("deep/eeeeeeeeee2.webm", "-eeeeeeee_4.mp4", "ffffffffff1.mp4")
    }
    said = capsys.readouterr().out
    assert (
        "train partition: 2 videos of 2 to 5 minutes; 3 classes have fewer than 30, \"t'ai chi ch'uan\" has 0" in said
    )


def test_probed_durations(tmp_path):
    lengths = {"eeeeeeeeee1": 118, "eeeeeeeeee2": 121, "-eeeeeeee_4": 299, "eeeeeeeeee5": 303, "ffffffffff3": 150}
    for name, seconds in lengths.items():
        write_video(tmp_path / f"{name}.mp4", seconds=seconds, fps=1, size=(32, 32), audio=False)
    (tmp_path / "ffffffffff1.mp4").write_text("no video")
    rows, _ = mini_sports1m.read(tmp_path, LISTS)
    assert table(rows) == {
        ("eeeeeeeeee2", ("boomerang",), "train"),
        ("-eeeeeeee_4", ("yağlı güreş",), "train"),
        ("ffffffffff3", ("t'ai chi ch'uan",), "val"),
    }


def partitions(train=90, test=30):
    """Three classes with as many videos each."""
    made = {"train": train, "test": test}
    return {kind: {f"{kind}{i:03d}": (i % 3,) for i in range(count)} for kind, count in made.items()}


def test_thirty_and_ten_of_a_class():
    chosen = mini_sports1m.choose(partitions(train=300, test=60), lambda _: 180.0, seed=0)
    assert {kind: len(ids) for kind, ids in chosen.items()} == {"train": 90, "test": 30}
    for kind, count in (("train", 30), ("test", 10)):
        for label in range(3):
            assert sum(ids == (label,) for ids in chosen[kind].values()) == count
        assert all(video_id.startswith(kind) for video_id in chosen[kind])


def test_the_seed_settles_the_choice():
    given = partitions(train=300, test=60)
    backwards = {kind: dict(reversed(ids.items())) for kind, ids in given.items()}
    chosen = mini_sports1m.choose(given, lambda _: 180.0, seed=0)
    assert mini_sports1m.choose(backwards, lambda _: 180.0, seed=0) == chosen
    assert mini_sports1m.choose(given, lambda _: 180.0, seed=1) != chosen
    gone = next(iter(chosen["train"]))
    fewer = mini_sports1m.choose(given, lambda x: None if x == gone else 180.0, seed=0)
    assert len(set(chosen["train"]) - set(fewer["train"])) == len(set(fewer["train"]) - set(chosen["train"])) == 1
    assert fewer["test"] == chosen["test"]


def test_the_choice_is_kept(tmp_path, capsys):
    touch(tmp_path, ["eeeeeeeeee2.mp4"])
    choice = tmp_path / "deep" / "choice"
    first = mini_sports1m.read(tmp_path, LISTS, durations=DURATIONS, choice=choice)
    assert (choice / "test_partition.txt").read_text() == "https://www.youtube.com/watch?v=ffffffffff1 0\n"
    capsys.readouterr()
    assert mini_sports1m.read(tmp_path, LISTS, choice=choice, seed=7) == first
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: 2 files passed over: 2 .txt",
        f"taking the videos chosen in {choice}",
    ]
    (choice / "test_partition.txt").unlink()  # as a kill between the two files leaves it
    assert mini_sports1m.read(tmp_path, LISTS, durations=DURATIONS, choice=choice) == first


def test_a_given_list(tmp_path):
    touch(tmp_path, ["x.mp4"])
    (tmp_path / "train_partition.txt.gz").write_bytes(gzip.compress(b"https://www.youtube.com/watch?v=x 2,0\ny 1\n"))
    (tmp_path / "test_partition.txt").write_text("z 2\n")
    rows, _ = mini_sports1m.read(tmp_path, LISTS, choice=tmp_path)
    assert [(row.video_id, row.labels, row.split) for row in rows] == [
        ("x", (LABELS[2], LABELS[0]), "train"),
        ("y", (LABELS[1],), "train"),
        ("z", (LABELS[2],), "val"),
    ]
    (tmp_path / "test_partition.txt").write_text("x 2\n")
    with pytest.raises(PrepareError, match="test_partition.txt, line 1: 'x' stands already in .*line 1"):
        mini_sports1m.read(tmp_path, LISTS, choice=tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("labels.txt", "", "labels.txt is empty"),
        ("original/train_partition.txt", "x 0\nx 3\n", "line 2: label 3 is not one of 0 to 2"),
        ("original/train_partition.txt", "https://vimeo.com/1 0\n", "line 1: expected https://www.youtube.com"),
        ("original/train_partition.txt", "x\n", "line 1: expected .* got 'x'"),
        ("original/train_partition.txt", "x a,b\n", "line 1: expected .* got 'x a,b'"),
        ("original/test_partition.txt", "", "test_partition.txt is empty"),
        ("original/test_partition.txt", None, "has no test_partition.txt"),
    ],
)
def test_mistakes(tmp_path, name, text, says):
    shutil.copytree(LISTS, tmp_path / "lists")
    touch(tmp_path, ["x.mp4"])
    path = tmp_path / "lists" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(PrepareError, match=says):
        mini_sports1m.read(tmp_path, tmp_path / "lists", durations=DURATIONS)


@pytest.mark.parametrize(
    ("text", "says"),
    [('{"id": "x"}', "is not a list of videos"), ('[{"id": "x"}]', "entry 1: expected an id and a duration")],
)
def test_mistakes_in_durations(tmp_path, text, says):
    touch(tmp_path, ["x.mp4"])
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(PrepareError, match=says):
        mini_sports1m.read(tmp_path, LISTS, durations=[tmp_path / "d.json"])
