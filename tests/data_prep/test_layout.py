"""Folders that say splits and classes, whatever links lead where: only names matter here, nothing is decoded."""

import json
import os
import unicodedata

import pytest

from data_prep import write_shards
from data_prep.datasets import folder, lists, unlabelled
from data_prep.datasets.rows import DECIDED, PrepareError
from l2l.data import schema
from tests.helpers.prepared import flags
from tests.helpers.videos import touch, write_video


@pytest.fixture(autouse=True)
def said():
    """What was decided, from here on."""
    DECIDED.clear()
    return DECIDED


def found(rows):
    return {row.video_id: (*row.labels, row.split) for row in rows}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("Training", "VALIDATION", "Testing"), ("train", "val", "test")),
        (("train", "valid"), ("train", "val")),
        (("train",), ("train",)),
        (("test",), ("test",)),
    ],
)
def test_folders_of_splits(tmp_path, said, names, splits):
    """Class folders may lack in some; other folders without videos do not matter."""
    inside = [f"{top}/{label}/{i}.mp4" for top in names for label in ("cat", "dog") for i in range(2)]
    touch(tmp_path, [*inside, f"{names[0]}/emu/deep/0.mp4", "annotations/all.json"])
    (tmp_path / "empty").mkdir()
    rows, labels = folder.read(tmp_path)
    assert labels == ["cat", "dog", "emu"]
    split_of = dict(zip(names, splits, strict=True))
    assert found(rows) == {
        name: (name.split("/")[1], split_of[name.split("/")[0]]) for name in (*inside, f"{names[0]}/emu/deep/0.mp4")
    }
    mapped = ", ".join(f"{top} is {split}" for top, split in sorted(split_of.items()))
    assert said == [
        f"{tmp_path}: 1 file passed over: 1 .json",
        f"{tmp_path} is laid out as SPLIT/CLASS/VIDEO: {mapped}",
    ]


def test_shares_beside_folders_of_splits(tmp_path, said):
    touch(tmp_path, ["train/a/0.mp4", "train/a/1.mp4", "test/a/0.mp4"])
    assert found(folder.read(tmp_path, val=0.5)[0]) == found(folder.read(tmp_path)[0])
    assert f"the folders of {tmp_path} decide: --val and --test change nothing" in said


@pytest.mark.parametrize(
    "names", [["train/0.mp4", "plane/0.mp4"], ["train/steam/0.mp4", "plane/0.mp4"], ["test/0.mp4"]]
)
def test_a_class_may_have_the_name_of_a_split(tmp_path, said, names):
    touch(tmp_path, names)
    rows, labels = folder.read(tmp_path, val=0, test=0)
    assert labels == sorted({name.split("/")[0] for name in names})
    assert {row.split for row in rows} == {"train"}
    assert said == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            ["train/a/0.mp4", "val/a/0.mp4", "more/b/0.mp4"],
            r"mixes folders of splits \(train, val\) with others \(more\)",
        ),
        (["train/a/0.mp4", "val/0.mp4"], "val/0.mp4 lies in the folder of a split, but in no class folder"),
        (["train/0.mp4", "val/0.mp4"], "train/0.mp4 lies in the folder of a split, but in no class folder"),
        (["train/a/0.mp4", "val/a/0.mp4", "valid/a/1.mp4"], "several folders of one split among train, val, valid"),
    ],
)
def test_mixed_layouts_are_refused(tmp_path, names, says):
    touch(tmp_path, names)
    with pytest.raises(PrepareError, match=says) as caught:
        folder.read(tmp_path)
    assert any(cure in str(caught.value) for cure in ("SPLIT/CLASS/VIDEO", "join them"))
    assert "\n" not in str(caught.value)


def test_folders_of_splits_without_labels(tmp_path, said):
    touch(tmp_path, ["Train/0.mp4", "Train/deep/1.mp4", "val/0.mp4"])
    rows, labels = unlabelled.read(tmp_path)
    assert (labels, found(rows)) == (
        [],
        {"Train/0.mp4": ("train",), "Train/deep/1.mp4": ("train",), "val/0.mp4": ("val",)},
    )
    assert said == [f"{tmp_path} is laid out as SPLIT/VIDEO: Train is train, val is val"]
    touch(tmp_path, ["loose.mp4"])
    with pytest.raises(PrepareError, match=r"mixes folders of splits \(Train, val\) with others \(loose.mp4\)"):
        unlabelled.read(tmp_path)


def test_one_folder_of_a_split_without_labels_is_shared_out(tmp_path):
    touch(tmp_path, [f"train/{i}.mp4" for i in range(10)])
    assert {row.split for row in unlabelled.read(tmp_path)[0]} == {"train", "val", "test"}


def test_linked_class_folders_and_videos(tmp_path, said):
    """A store beside the classes, a class elsewhere, a circle, and one video under two names of its class."""
    touch(tmp_path, ["elsewhere/dog/0.mp4", "elsewhere/dog/1.mp4", "films/stored.mp4", "films/loose.mp4"])
    films = tmp_path / "films"
    (films / "cat").mkdir()
    (films / "cat/0.mp4").symlink_to("../stored.mp4")
    (films / "cat/1.mp4").symlink_to("0.mp4")
    (films / "cat/up").symlink_to("..")
    (films / "dog").symlink_to(tmp_path / "elsewhere/dog")
    rows, labels = folder.read(films, val=0, test=0)
    assert labels == ["cat", "dog"]
    assert found(rows) == {name: (name[:3], "train") for name in ("cat/0.mp4", "dog/0.mp4", "dog/1.mp4")}
    assert said == [
        f"{films}: 2 further names of videos passed over, such as cat/0.mp4 (stored.mp4)",
        f"{films}: 1 linked folder passed over, listed already, such as cat/up (the folder itself)",
        f"{films}: 1 video outside class folders passed over, such as loose.mp4",
    ]


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("names", [("cat/0.mp4", "dog/0.mp4"), ("train/cat/0.mp4", "val/cat/1.mp4")])
def test_a_video_in_two_classes_or_splits_is_refused(tmp_path, names, hard):
    first, other = names
    touch(tmp_path, [first, other])
    (tmp_path / other).unlink()
    (os.link if hard else os.symlink)(tmp_path / first, tmp_path / other)
    touch(tmp_path, [other.replace(".mp4", "x.mp4")])
    with pytest.raises(PrepareError, match=f"{other} is the same as {first}, by a link, in another class or split"):
        folder.read(tmp_path)


@pytest.mark.parametrize(
    ("link", "first"), [("dog", "cat"), ("dog/more", "cat/some"), ("val/dog", "train/cat"), ("val", "train")]
)
def test_a_folder_that_is_two_classes_or_splits_is_refused(tmp_path, link, first):
    if first.startswith("train"):
        touch(
            tmp_path, ["train/cat/0.mp4", "train/dog/1.mp4", "val/cat/2.mp4"] if "/" in first else ["train/cat/0.mp4"]
        )
    else:
        touch(tmp_path, [f"{first}/0.mp4", *(["dog/1.mp4"] if "/" in link else [])])
    (tmp_path / link).symlink_to(tmp_path / first)
    with pytest.raises(PrepareError, match=f"{link} is the same as {first}, by a link"):
        folder.read(tmp_path)


def test_a_name_in_two_unicode_forms_is_one_class(tmp_path, said):
    composed, split = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    touch(tmp_path, [*(f"{composed}/{i}.mp4" for i in range(2)), *(f"{split}/{i}.mp4" for i in (2, 3)), "bar/4.mp4"])
    rows, labels = folder.read(tmp_path, val=0, test=0)
    assert labels == ["bar", composed]
    assert sorted(row.path for row in rows if row.labels == (composed,)) == sorted(
        str(tmp_path / name) for name in (f"{composed}/0.mp4", f"{composed}/1.mp4", f"{split}/2.mp4", f"{split}/3.mp4")
    )
    assert said == [f"{tmp_path}: class names that look alike are one, written as composed UTF-8: {composed}"]


def test_names_that_are_not_utf8_to_the_end(tmp_path, capsys):
    """Class and file names of any bytes are prepared, indexed and printed by the command, with what was passed over."""
    odd = os.fsdecode(b"caf\xe9")
    films = tmp_path / "films" / odd
    touch(films, [f"{odd}.txt"])
    for name in (f"{odd}1.mp4", f"{odd}2"):
        write_video(films / "film.mp4", seconds=0.4, audio=False).rename(films / name)
    (films / f"{odd}3.mp4").write_bytes(b"no film")
    assert write_shards.main(flags(tmp_path / "films", tmp_path / "out", "--val=0", "--test=0")) == 0
    said, index = capsys.readouterr().out.splitlines(), schema.load_index(tmp_path / "out")
    assert (index.labels, index.videos("train")) == (("caf\\xe9",), 2)
    assert index.failed[0]["path"] == f"{tmp_path}/films/caf\\xe9/caf\\xe93.mp4"
    assert index.notes == (
        f"{tmp_path}/films: 1 file passed over: 1 .txt",
        f"{tmp_path}/films: class names that look alike are one, written as composed UTF-8: caf\\xe9",
    )
    assert said[:2] == list(index.notes)
    assert any("caf\\xe93.mp4: " in line for line in said)
    places = json.loads((tmp_path / "out" / schema.VIDEOS).read_text())
    assert places == {f"caf\\xe9/caf\\xe9{i}": f"../films/{odd}/{odd}{i}" for i in ("1.mp4", "2")}


def test_labels_that_are_numbers_keep_the_order_of_text(tmp_path, said):
    """As in every earlier release, so that a directory goes on; where that is not the order of numbers it is said."""
    touch(tmp_path / "ten", [f"{i}/0.mp4" for i in (0, 1, 2, 10)])
    assert folder.read(tmp_path / "ten", val=0, test=0)[1] == ["0", "1", "10", "2"]
    assert said == [
        "the class names are numbers and in the order of text (0, 1, 10, 2, ...): a label id is not such a number"
    ]
    said.clear()
    touch(tmp_path / "few", [f"{i}/0.mp4" for i in (0, 1, 2, 9)])
    touch(tmp_path / "mixed", [f"{i}/0.mp4" for i in (2, 10, "cat")])
    for name in ("few", "mixed"):
        folder.read(tmp_path / name, val=0, test=0)
    assert said == []


def test_an_empty_file_does_not_hide_a_good_one(tmp_path, said):
    """Of several files with a name, in either Unicode form, the first that is not empty is taken, and that is said."""
    composed, split = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    touch(tmp_path, ["a/x.mkv", "b/x.mp4", "b/y.mp4", f"{split}.webm", "z.mp4.part", "z.mp4.ytdl", "w", "sub/y.mp4"])
    for name in ("a/x.avi", f"{composed}.mkv", "z.mp4", "w.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "w").write_bytes(b"\x1a\x45\xdf\xa3")
    by_name = lists.videos_by_name(tmp_path)
    assert by_name == {
        name: str(tmp_path / path)
        for name, path in {"x": "a/x.mkv", "y": "b/y.mp4", composed: f"{split}.webm", "w": "w", "z": "z.mp4"}.items()
    }
    assert said[1].startswith(f"{tmp_path}: 5 further files of such a name passed over, such as b/x.mp4 (a/x.mkv)")
    assert lists.path_of(["no", split], by_name, tmp_path) == str(tmp_path / f"{split}.webm")


def test_links_have_names_of_their_own_for_a_list(tmp_path):
    touch(tmp_path, ["store/0123.mp4"])
    for name in ("first.mp4", "second.mp4"):
        (tmp_path / name).symlink_to("store/0123.mp4")
    assert sorted(lists.videos_by_name(tmp_path)) == ["0123", "first", "second"]
