"""ActivityNet's list. An excerpt in the published format, with invented ids."""

import json
from pathlib import Path

import pytest

from data_prep.datasets import activitynet
from data_prep.datasets.rows import PrepareError
from tests.helpers.videos import touch

LIST = Path(__file__).parents[1] / "lists/activitynet.json"
FILES = ["v_ddddddddd_1.mp4", "deep/ddddddddd_2.mkv", "v_v_ddddddd_3.webm", "v_ddddddddd_7.mp4"]


@pytest.fixture
def videos(tmp_path):
    touch(tmp_path, FILES)
    return tmp_path


def table(rows, folder):
    return [(r.video_id, str(Path(r.path).relative_to(folder)), r.labels, r.split, r.start, r.end) for r in rows]


def test_whole_videos(videos, capsys):
    rows, labels = activitynet.read(videos, LIST)
    assert labels == ["Archery", "Rafting"]
    assert table(rows, videos) == [
        ("ddddddddd_1", FILES[0], ("Rafting",), "train", None, None),
        ("ddddddddd_2", FILES[1], ("Rafting", "Archery"), "train", None, None),
        ("v_ddddddd_3", FILES[2], ("Archery",), "val", None, None),
        ("ddddddddd_4", "v_ddddddddd_4.mp4", ("Archerie",), "val", None, None),
        ("ddddddddd_5", "v_ddddddddd_5.mp4", (), "val", None, None),
        ("ddddddddd_7", FILES[3], ("Archery",), "test", None, None),
    ]
    assert [row.problem for row in rows[3:5]] == [
        ("wrong_label", "'Archerie' is not one of the 2 classes"),
        ("wrong_label", "the list gives it no label"),
    ]
    assert sum(row.problem is not None for row in rows) == 2
    assert [row.actions for row in rows] == [
        ((6.195294851794072, 77.73085420904837),),
        ((0.01, 0.02), (1.5, 9.0), (12.0, 20.25)),  # each time once, the one of 0 s left out
        ((0.01, 12.260135),),
        ((3.0, 14.0),),
        None,
        ((3.0, 14.0),),
    ]
    assert capsys.readouterr().out == "1 videos of the subset testing have no labels and are left out\n"


def test_segments(videos):
    rows, labels = activitynet.read(videos, LIST, unit="segment")
    assert labels == ["Archery", "Rafting"]
    assert table(rows, videos) == [
        ("ddddddddd_1@6.195-77.731", FILES[0], ("Rafting",), "train", 6.195, 77.731),
        ("ddddddddd_2@1.500-9.000", FILES[1], ("Rafting", "Archery"), "train", 1.5, 9),
        ("ddddddddd_2@12.000-20.250", FILES[1], ("Archery",), "train", 12, 20.25),
        ("ddddddddd_2@0.000-0.000", FILES[1], ("Archery",), "train", 0, 0),
        ("ddddddddd_2@0.010-0.020", FILES[1], ("Archery",), "train", 0.01, 0.02),
        ("v_ddddddd_3@0.010-12.260", FILES[2], ("Archery",), "val", 0.01, 12.26),
        ("ddddddddd_4@3.000-14.000", "v_ddddddddd_4.mp4", ("Archerie",), "val", 3, 14),
        ("ddddddddd_5", "v_ddddddddd_5.mp4", (), "val", None, None),
        ("ddddddddd_7@3.000-14.000", FILES[3], ("Archery",), "test", 3, 14),
    ]
    assert [row.problem and row.problem[0] for row in rows] == [
        *(None, None, None, "too_short", "too_short", None, "wrong_label", "wrong_label", None)
    ]
    assert rows[4].problem[1] == "the segment from 0.01 to 0.02 s is shorter than 0.1 s"


def entry(**change):
    return {"subset": "training", "annotations": [{"segment": [0, 1], "label": "a"}]} | change


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], 'no videos under "database"'),
        ({"database": {}}, 'no videos under "database"'),
        ({"database": {"x": entry(subset="train")}}, "video 'x': subset must be one of training, .* got 'train'"),
        ({"database": {"x": 3}}, "video 'x': subset must be .* got 3"),
        ({"database": {"x": {"subset": "training"}}}, "video 'x': annotations must be a list, got None"),
        ({"database": {"x": entry(annotations=[{"segment": [0, 1]}])}}, "video 'x': an annotation needs a label"),
        ({"database": {"x": entry(annotations=[{"segment": [0], "label": "a"}])}}, r"\[start, end\] .* got \[0\]"),
        ({"database": {"x": entry(annotations=[{"segment": [0, "1"], "label": "a"}])}}, "got .0, '1'."),
        ({"database": {"x": entry(annotations=[{"segment": [-1, 2], "label": "a"}])}}, "from 0 on, got .-1, 2."),
    ],
)
def test_mistakes(videos, value, says):
    (videos / "list.json").write_text(json.dumps(value))
    with pytest.raises(PrepareError, match=says) as caught:
        activitynet.read(videos, videos / "list.json", unit="segment")
    assert "list.json" in str(caught.value)


def test_a_video_that_stands_twice(videos):
    one = json.dumps(entry())
    (videos / "list.json").write_text(f'{{"database": {{"x": {one}, "x": {one}}}}}')
    with pytest.raises(PrepareError, match="'x' stands twice"):
        activitynet.read(videos, videos / "list.json")
