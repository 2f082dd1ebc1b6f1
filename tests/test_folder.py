"""Lists of the user's own videos. Only names matter here: nothing is decoded."""

import pytest

from data_prep.datasets import folder, unlabelled
from data_prep.rows import PrepareError
from tests.videos import touch


def splits(rows):
    return {row.video_id: row.split for row in rows}


def test_folder_of_class_folders(tmp_path):
    touch(tmp_path, [f"{c}/{i}.mp4" for c in ("b", "a") for i in range(10)])
    touch(tmp_path, ["a/notes.txt", "a/.hidden.mp4", "a/deep/x y.AVI", ".git/z.mp4"])
    rows, labels = folder.read(tmp_path)
    assert labels == ["a", "b"]
    assert len(rows) == 21
    assert {r.labels for r in rows if r.video_id.startswith("a/")} == {("a",)}
    assert "a/deep/x y.AVI" in splits(rows)
    for label in labels:
        held = [r for r in rows if r.labels == (label,) and r.split == "val"]
        assert len(held) == 2


def test_split_depends_on_names_alone(tmp_path):
    names = [f"{c}/{i}.mp4" for c in "abc" for i in range(7)]
    touch(tmp_path / "one", names)
    touch(tmp_path / "two", reversed(names))
    assert splits(folder.read(tmp_path / "one")[0]) == splits(folder.read(tmp_path / "two")[0])


@pytest.mark.parametrize(
    ("count", "val", "held"), [(1, 0.2, 0), (2, 0.2, 1), (3, 0.2, 1), (3, 0.9, 2), (10, 0.5, 5), (4, 0, 0)]
)
def test_share_of_validation(tmp_path, count, val, held):
    touch(tmp_path, [f"a/{i}.mp4" for i in range(count)])
    rows, _ = folder.read(tmp_path, val=val)
    assert sum(r.split == "val" for r in rows) == held
    assert sum(r.split == "train" for r in rows) == count - held


@pytest.mark.parametrize("val", [-0.1, 1.0, float("nan")])
def test_impossible_share(tmp_path, val):
    touch(tmp_path, ["a/0.mp4"])
    with pytest.raises(PrepareError, match="at least 0 and below 1"):
        folder.read(tmp_path, val=val)


@pytest.mark.parametrize(
    ("names", "says"),
    [([], "holds no videos"), (["x.mp4"], "one folder per class"), (["a/x.mp4", "b/x.txt"], "fill or")],
)
def test_folder_without_videos(tmp_path, names, says):
    touch(tmp_path, names)
    with pytest.raises(PrepareError, match=says):
        folder.read(tmp_path)


def test_any_folder_without_labels(tmp_path):
    touch(tmp_path, [f"{i}.mp4" for i in range(8)] + ["deep/down/x.avi", "deep/y.mp4", "notes.txt", ".git/z.mp4"])
    rows, labels = unlabelled.read(tmp_path)
    assert labels == []
    assert {row.labels for row in rows} == {()}
    assert len(rows) == 10
    assert {"deep/down/x.avi", "deep/y.mp4", "0.mp4"} < splits(rows).keys()
    assert sorted(splits(rows).values()) == ["train"] * 8 + ["val"] * 2
    assert {row.split for row in unlabelled.read(tmp_path, val=0)[0]} == {"train"}


@pytest.mark.parametrize(
    ("name", "says"), [("nowhere", "is not a folder"), ("notes.txt", "is not a folder"), (".", "no videos")]
)
def test_no_folder_of_videos(tmp_path, name, says):
    touch(tmp_path, ["notes.txt"])
    with pytest.raises(PrepareError, match=says):
        unlabelled.read(tmp_path / name)


def test_nothing_there(tmp_path):
    with pytest.raises(PrepareError, match="nowhere does not exist"):
        folder.read(tmp_path / "nowhere")


def csv(tmp_path, text):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


def test_csv(tmp_path):
    lines = ["path,label,split,start,end", "v/a.mp4,run|jump,train,,", '"v/b, ""c"".mp4",run,held_out,1.5,4']
    text = "\ufeff" + "\n".join([*lines, "v/a.mp4,jump,train,2,"])
    rows, labels = folder.read(csv(tmp_path, text))
    assert labels == ["jump", "run"]
    assert [r.labels for r in rows] == [("run", "jump"), ("run",), ("jump",)]
    assert [r.split for r in rows] == ["train", "held_out", "train"]
    assert [(r.start, r.end) for r in rows] == [(None, None), (1.5, 4.0), (2.0, None)]
    assert [r.video_id for r in rows] == ["v/a.mp4", 'v/b, "c".mp4@1.5-4', "v/a.mp4@2-"]
    assert rows[0].path == str(tmp_path / "v/a.mp4")


HEAD = "path,label,split,start,end\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label\na,b\n", "no column 'split'"),
        ("path,label,split,weight\na,b,c,1\n", "'weight', which means nothing"),
        ("", "no column 'path'"),
        (HEAD, "lists no videos"),
        (HEAD + "a.mp4,,train,,\n", "line 2: label is empty"),
        (HEAD + "a.mp4,x|,train,,\n", "line 2: label is empty"),
        (HEAD + ",x,train,,\n", "line 2: path is empty"),
        (HEAD + "a.mp4,x,train,,\nb.mp4,x,,,\n", "line 3: split is empty"),
        (HEAD + "a.mp4,x,train\n", "line 2: another number of cells"),
        (HEAD + "a.mp4,x,train,1,2,3\n", "line 2: another number of cells"),
        (HEAD + "a.mp4,x,train,soon,\n", "line 2: start must be seconds"),
        (HEAD + "a.mp4,x,train,nan,\n", "line 2: start must be seconds"),
        (HEAD + "a.mp4,x,train,3,2\n", "line 2: end 2 is not after start 3"),
        (HEAD.encode() + b"caf\xe9.mp4,x,train,,\n", "not a CSV file in UTF-8"),
    ],
)
def test_mistakes_in_a_csv(tmp_path, text, says):
    with pytest.raises(PrepareError, match=says) as caught:
        folder.read(csv(tmp_path, text))
    assert "list.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
