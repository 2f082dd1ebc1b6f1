"""UCF-101's lists. Excerpts in the published format, with invented videos."""

import shutil
from pathlib import Path

import pytest

from data_prep.datasets import ucf101
from data_prep.datasets.rows import PrepareError
from tests.helpers.videos import touch

LISTS = Path(__file__).parents[1] / "lists/ucf101"
FILES = ["YoYo/v_YoYo_g91_c01.avi", "HandstandPushups/v_HandstandPushups_g91_c01.avi", "v_YoYo_g81_c02.mp4"]


def test_rows(tmp_path):
    touch(tmp_path, FILES)
    rows, labels = ucf101.read(tmp_path, LISTS)
    assert labels == ["ApplyEyeMakeup", "HandstandPushups", "YoYo"]
    assert [(row.video_id, row.labels[0], row.split, str(Path(row.path).relative_to(tmp_path))) for row in rows] == [
        ("v_ApplyEyeMakeup_g91_c01", "ApplyEyeMakeup", "train", "ApplyEyeMakeup/v_ApplyEyeMakeup_g91_c01.avi"),
        ("v_HandStandPushups_g91_c01", "HandstandPushups", "train", FILES[1]),
        ("v_YoYo_g91_c01", "YoYo", "train", FILES[0]),
        ("v_YoYo_g92_c01", "YoYo", "train", "YoYo/v_YoYo_g92_c01.avi"),
        ("v_ApplyEyeMakeup_g81_c01", "ApplyEyeMakeup", "val", "ApplyEyeMakeup/v_ApplyEyeMakeup_g81_c01.avi"),
        ("v_YoYo_g81_c02", "YoYo", "val", FILES[2]),
        ("v_Juggling_g81_c01", "Juggling", "val", "Juggling/v_Juggling_g81_c01.avi"),
    ]
    assert [row.problem for row in rows] == [None] * 6 + [("wrong_label", "'Juggling' is not one of the 3 classes")]
    assert {(row.start, row.end) for row in rows} == {(None, None)}


def test_another_fold(tmp_path):
    touch(tmp_path, FILES)
    rows, labels = ucf101.read(tmp_path, LISTS, fold=2)
    assert len(labels) == 3
    assert [(row.video_id, row.split) for row in rows] == [("v_YoYo_g81_c02", "train"), ("v_YoYo_g91_c01", "val")]
    with pytest.raises(PrepareError, match="trainlist03.txt does not exist"):
        ucf101.read(tmp_path, LISTS, fold=3)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("classInd.txt", "1 YoYo\n3 Archery\n", "classInd.txt, line 2: expected the number 2 .* got '3 Archery'"),
        ("classInd.txt", "1 YoYo\n2 YoYo\n", "line 2: expected the number 2 and a new class name"),
        ("classInd.txt", "YoYo\n", "line 1: expected the number 1"),
        ("classInd.txt", "", "classInd.txt is empty"),
        ("trainlist01.txt", "YoYo/a.avi 3\nYoYo/b.avi 2\n", "line 2: YoYo has number 3 in classInd.txt, here '2'"),
        ("trainlist01.txt", "YoYo/a.avi 3 3\n", "line 1: expected CLASS/VIDEO"),
        ("trainlist01.txt", "a.avi 3\n", "line 1: expected CLASS/VIDEO, .* got 'a.avi 3'"),
        ("testlist01.txt", "YoYo/v_YoYo_g91_c01.avi\n", "'v_YoYo_g91_c01' stands already in .*trainlist01.txt, line 3"),
        ("testlist01.txt", "\n", "testlist01.txt is empty"),
    ],
)
def test_mistakes(tmp_path, name, text, says):
    shutil.copytree(LISTS, tmp_path / "lists")
    touch(tmp_path / "videos", FILES)
    (tmp_path / "lists" / name).write_text(text)
    with pytest.raises(PrepareError, match=says) as caught:
        ucf101.read(tmp_path / "videos", tmp_path / "lists")
    assert name in str(caught.value)
