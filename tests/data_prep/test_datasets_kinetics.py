"""Kinetics' lists, and Kinetics-Sounds out of them. Excerpts in the published format, with invented ids."""

from pathlib import Path

import pytest

from data_prep.datasets import kinetics, kinetics_sounds
from data_prep.datasets.rows import PrepareError
from tests.helpers.videos import touch, write_video

LISTS = Path(__file__).parents[1] / "lists"
TRAIN, VAL, SOUNDS = (LISTS / f"kinetics_{name}.csv" for name in ("train", "val", "sounds"))


def test_rows(tmp_path):
    touch(
        tmp_path,
        [
            "train/washing dishes/aaaaaaaaaa1_000010_000020.mp4",
            "train/abseiling/-aaaa_aaaa3_84_94.webm",
            "wrong_folder/-aaaa_aaaa3.mkv",
            "aaaaaaaaaa4.mp4",
            "val/bbbbbbbbbb1_000005_000015.AVI",
            "val/bbbbbbbbbb1.mp4",
        ],
    )
    rows, labels = kinetics.read(tmp_path, [TRAIN, VAL])
    assert labels == ["abseiling", "massaging person's head", 'playing "gong", loudly', "washing dishes"]
    at = lambda row: (str(Path(row.path).relative_to(tmp_path)), row.labels[0], row.split, row.start, row.end)
    assert {row.video_id: at(row) for row in rows} == {
        "aaaaaaaaaa1_000010_000020": (
            *("train/washing dishes/aaaaaaaaaa1_000010_000020.mp4", "washing dishes"),
            *("train", None, None),
        ),
        "aaaaaaaaaa2_000000_000010": (
            *("aaaaaaaaaa2_000000_000010.mp4", 'playing "gong", loudly'),
            *("train", None, None),
        ),
        "-aaaa_aaaa3_000084_000094": ("train/abseiling/-aaaa_aaaa3_84_94.webm", "abseiling", "train", None, None),
        "-aaaa_aaaa3_000120_000130": ("wrong_folder/-aaaa_aaaa3.mkv", "abseiling", "train", 120, 130),
        "aaaaaaaaaa4_001003_001013": ("aaaaaaaaaa4.mp4", "massaging person's head", "train", 1003, 1013),
        "bbbbbbbbbb1_000005_000015": ("val/bbbbbbbbbb1_000005_000015.AVI", "abseiling", "val", None, None),
        "bbbbbbbbbb2_000007_000017": ("bbbbbbbbbb2_000007_000017.mp4", "washing dishes", "val", None, None),
        "bbbbbbbbbb3_000007_000017": ("bbbbbbbbbb3_000007_000017.mp4", "wasching dishes", "val", None, None),
    }
    assert [(row.video_id, row.problem) for row in rows if row.problem] == [
        ("bbbbbbbbbb3_000007_000017", ("wrong_label", "'wasching dishes' is not one of the 4 classes"))
    ]


def test_validation_list_alone_gives_its_own_classes(tmp_path):
    touch(tmp_path, ["bbbbbbbbbb1.mp4"])
    rows, labels = kinetics.read(tmp_path, [VAL])
    assert labels == ["abseiling", "wasching dishes", "washing dishes"]
    assert not any(row.problem for row in rows)


def test_trimmed(tmp_path):
    touch(tmp_path, ["aaaaaaaaaa1.mp4"])
    rows, _ = kinetics.read(tmp_path, [TRAIN], trimmed=True)
    assert (rows[0].path, rows[0].start, rows[0].end) == (str(tmp_path / "aaaaaaaaaa1.mp4"), None, None)


def test_cut_files_and_whole_ones_are_told_apart(tmp_path):
    short, long = tmp_path / "short", tmp_path / "long"
    for folder, seconds in ((short, 10), (long, 24)):
        folder.mkdir()
        write_video(folder / "aaaaaaaaaa1.mp4", seconds=seconds, fps=2, audio=False)
    with pytest.raises(PrepareError, match="aaaaaaaaaa1.mp4 ends before its clip does, .* add --trimmed"):
        kinetics.read(short, [TRAIN])
    with pytest.raises(PrepareError, match="aaaaaaaaaa1.mp4 is longer than its clip, .* leave out --trimmed"):
        kinetics.read(long, [TRAIN], trimmed=True)
    assert kinetics.read(short, [TRAIN], trimmed=True)[0][0].end is None
    assert kinetics.read(long, [TRAIN])[0][0].end == 20


HEAD = "label,youtube_id,time_start,time_end,split\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ((LISTS / "kinetics_test.csv").read_text(), "no column 'label'"),
        ("label,youtube_id,time_start,time_end,split,views\na,b,0,1,train,9\n", "'views', which means nothing"),
        (HEAD, "lists no videos"),
        (HEAD + ",b,0,10,train\n", "line 2: label is empty"),
        (HEAD + "a,b,0,10,train\na,,0,10,train\n", "line 3: youtube_id is empty"),
        (HEAD + "a,b,0,10,training\n", "line 2: split must be one of train, val, .* got 'training'"),
        (HEAD + "a,b,0:10,10,train\n", "line 2: time_start must be seconds from 0 on, got '0:10'"),
        (HEAD + "a,b,10,10,train\n", "line 2: time_end '10' is not after time_start '10'"),
        (HEAD + "a,b,10,,train\n", "line 2: time_end '' is not after"),
        (HEAD + "a,b,10,20\n", "line 2: another number of cells"),
        (HEAD + "a,b,10,20,train\nc,b,10,20,val\n", "line 3: 'b_000010_000020' stands already in .*list.csv, line 2"),
    ],
)
def test_mistakes(tmp_path, text, says):
    touch(tmp_path, ["b.mp4"])
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(PrepareError, match=says) as caught:
        kinetics.read(tmp_path, [tmp_path / "list.csv"])
    assert "list.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_kinetics_sounds(tmp_path):
    touch(tmp_path, ["gggggggg001.mp4", "gggggggg002_000002_000012.mp4"])
    for version, gone in ((31, {"petting animal (not cat)", "strumming guitar", "using computer"}), (34, set())):
        rows, labels = kinetics_sounds.read(tmp_path, [SOUNDS], classes=version)
        assert len(labels) == version
        assert labels == sorted(labels)
        assert {"blowing out candles", "dribbling basketball", "mowing lawn", "stomping grapes"} <= set(labels)
        assert not gone & set(labels)
        assert not {"abseiling", "zumba", "whistling"} & {row.labels[0] for row in rows}
        assert {row.labels[0] for row in rows if row.split == "train"} == set(labels)
        assert [row.labels for row in rows if row.split == "val"] == [("singing",)]
        assert [(r.start, r.end) for r in rows[:2]] == [(1, 11), (None, None)]


def test_kinetics_sounds_of_another_list(tmp_path):
    touch(tmp_path, ["x.mp4"])
    with pytest.raises(PrepareError, match=r"no video of class 'blowing nose' \(31 of 31 classes are absent\)"):
        kinetics_sounds.read(tmp_path, [TRAIN])
