"""Lists of the user's own videos. Only names matter here: nothing is decoded."""

from collections import Counter

import pytest

from data_prep.datasets import folder, unlabelled
from data_prep.datasets.rows import PrepareError
from tests.helpers.videos import touch


def splits(rows):
    return {row.video_id: row.split for row in rows}


def sizes(rows):
    """Split -> how many of its videos each class has."""
    found = {}
    for row in rows:
        found.setdefault(row.split, Counter()).update(row.labels or ("",))
    return {split: dict(counts) for split, counts in found.items()}


def test_folder_of_class_folders(tmp_path, capsys):
    touch(tmp_path, [f"{c}/{i}.mp4" for c in ("b", "a") for i in range(10)])
    touch(tmp_path, ["a/notes.txt", "a/.hidden.mp4", "a/deep/x y.AVI", ".git/z.mp4"])
    rows, labels = folder.read(tmp_path)
    assert labels == ["a", "b"]
    assert {r.labels for r in rows if r.video_id.startswith("a/")} == {("a",)}
    assert "a/deep/x y.AVI" in splits(rows)
    assert sizes(rows) == {"train": {"a": 7, "b": 6}, "val": {"a": 2, "b": 2}, "test": {"a": 2, "b": 2}}
    assert capsys.readouterr().out == f"{tmp_path}: 1 file passed over: 1 .txt\n"


def test_split_depends_on_names_alone(tmp_path):
    names = [f"{c}/{i}.mp4" for c in "abc" for i in range(7)]
    touch(tmp_path / "one", names)
    touch(tmp_path / "two", reversed(names))
    assert splits(folder.read(tmp_path / "one")[0]) == splits(folder.read(tmp_path / "two")[0])


# What an earlier release, which made no test split, gave to validation of 7 videos a class.
EARLIER = {
    0.2: ["a/2.mp4", "b/4.mp4"],
    0.5: [*(f"a/{i}.mp4" for i in (1, 2, 4, 6)), *(f"b/{i}.mp4" for i in (1, 2, 3, 4))],
}


@pytest.mark.parametrize("val", [None, 0.2, 0.5])
def test_without_a_test_split_as_ever(tmp_path, val):
    """A test split takes its videos from training, so that --test=0 continues what an earlier release began."""
    touch(tmp_path, [f"{c}/{i}.mp4" for c in "ab" for i in range(7)])
    held = lambda rows, split: sorted(name for name, where in splits(rows).items() if where == split)
    before = folder.read(tmp_path, val=val, test=0)[0]
    assert sizes(before).keys() == {"train", "val"}
    assert held(before, "val") == EARLIER[val or 0.2]
    assert held(folder.read(tmp_path, val=val)[0], "val") == EARLIER[val or 0.2]


@pytest.mark.parametrize(
    ("count", "val", "test", "made"),
    [
        (1, 0.2, 0, (1, 0, 0)),
        (2, 0.2, 0, (1, 1, 0)),
        (3, 0.9, 0, (1, 2, 0)),
        (10, 0.5, 0, (5, 5, 0)),
        (4, 0, 0, (4, 0, 0)),
        (1, None, 0.2, (1, 0, 0)),
        (2, None, 0.2, (1, 0, 1)),
        (2, 0.2, 0.2, (1, 0, 1)),
        (3, None, 0.2, (2, 0, 1)),
        (3, 0.2, 0.2, (1, 1, 1)),
        (4, None, 0.2, (2, 1, 1)),
        (10, None, 0.5, (3, 2, 5)),
        (10, 0, 0.3, (7, 0, 3)),
        (30, None, 0.2, (18, 6, 6)),
    ],
)
@pytest.mark.parametrize("labels", [True, False])
def test_shares(tmp_path, capsys, count, val, test, made, labels):
    """Of a class, and of videos without any."""
    touch(tmp_path, [f"a/{i}.mp4" for i in range(count)])
    rows, _ = (folder if labels else unlabelled).read(tmp_path, val=val, test=test)
    where = [row.split for row in rows]
    assert tuple(where.count(split) for split in ("train", "val", "test")) == made
    said = capsys.readouterr().out
    assert ("too small for a validation split" in said) == (val is None and test > 0 and count < 4)


def test_too_small_for_a_validation_split(tmp_path, capsys):
    """The smallest class decides, unless the share is given; what small classes lack is listed at the end."""
    touch(tmp_path, ["b/0.mp4", *(f"a/{i}.mp4" for i in range(30))])
    assert sizes(folder.read(tmp_path)[0]) == {"train": {"a": 24, "b": 1}, "test": {"a": 6}}
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "too small for a validation split (class b has 1 video): trainings keep their last step; --val"
    )
    rows = folder.read(tmp_path, val=0.2)[0]
    assert sizes(rows) == {"train": {"a": 18, "b": 1}, "val": {"a": 6}, "test": {"a": 6}}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (1.0, 0), (float("nan"), 0), (0.2, 0.8), (0.2, -1), (0, 1)])
def test_impossible_shares(tmp_path, val, test):
    touch(tmp_path, ["a/0.mp4"])
    with pytest.raises(PrepareError, match=rf"--val={val:g} --test={test:g}: shares must be at least 0 and below 1"):
        folder.read(tmp_path, val=val, test=test)


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
    assert sizes(rows) == {"train": {"": 6}, "val": {"": 2}, "test": {"": 2}}
    assert {row.split for row in unlabelled.read(tmp_path, val=0, test=0)[0]} == {"train"}


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
    rows, labels = folder.read(csv(tmp_path, text), splits=("train", "held_out"))
    assert labels == ["jump", "run"]
    assert [r.labels for r in rows] == [("run", "jump"), ("run",), ("jump",)]
    assert [r.split for r in rows] == ["train", "held_out", "train"]
    assert [(r.start, r.end) for r in rows] == [(None, None), (1.5, 4.0), (2.0, None)]
    assert [r.video_id for r in rows] == ["v/a.mp4", 'v/b, "c".mp4@1.5-4', "v/a.mp4@2-"]
    assert rows[0].path == str(tmp_path / "v/a.mp4")


def test_rows_of_one_file_are_one_video(tmp_path):
    """Its labels are theirs, and their stretches its labelled ones."""
    lines = ["a.mp4,run,train,5,6.5", "b.mp4,run,val,,", "a.mp4,jump|run,train,1,2", "./a.mp4,jump,train,8,9"]
    rows, labels = folder.read(csv(tmp_path, HEAD + "\n".join(lines)), unit="video")
    assert labels == ["jump", "run"]
    assert [(r.video_id, r.labels, r.split, r.start, r.end, r.actions) for r in rows] == [
        ("a.mp4", ("run", "jump"), "train", None, None, ((1.0, 2.0), (5.0, 6.5), (8.0, 9.0))),
        ("b.mp4", ("run",), "val", None, None, None),
    ]
    unsplit = "path,label,start,end\n" + "".join(f"{i}.mp4,x,{s},{s + 1}\n" for i in range(5) for s in (0, 3))
    rows, _ = folder.read(csv(tmp_path, unsplit), unit="video")
    assert sizes(rows) == {"train": {"x": 3}, "val": {"x": 1}, "test": {"x": 1}}
    assert {r.actions for r in rows} == {((0.0, 1.0), (3.0, 4.0))}
    for wrong, says in (
        ("a.mp4,x,train,5,\n", "line 2: with --unit=video a stretch needs start and end"),
        ("a.mp4,x,train,5,6\na.mp4,x,val,7,8\n", "line 3: with --unit=video a file is in one split"),
    ):
        with pytest.raises(PrepareError, match=says):
            folder.read(csv(tmp_path, HEAD + wrong), unit="video")
    with pytest.raises(PrepareError, match="--unit=video is about a CSV"):
        folder.read(tmp_path, unit="video")


def test_shares_beside_a_column_of_splits(tmp_path, capsys):
    listed = csv(tmp_path, "path,label,split\na,b,train\n")
    assert sizes(folder.read(listed)[0]) == sizes(folder.read(listed, val=0.5)[0]) == {"train": {"b": 1}}
    assert capsys.readouterr().out == f"the column split of {listed} decides: --val and --test change nothing\n"


def test_csv_without_splits(tmp_path):
    """Rows are shared out as the videos of a folder are, whatever their order; all stretches of a file together."""
    names = [f"{c}/{i}.mp4" for c in "ab" for i in range(7)]
    touch(tmp_path, names)
    lines = [f"{name},{name[0]},{start},{start + 1}" for name in names for start in (0, 2)]
    for listed in (lines, lines[::-1]):
        rows, labels = folder.read(csv(tmp_path, "\n".join(["path,label,start,end", *listed])))
        assert (labels, len(rows)) == (["a", "b"], 28)
        assert {r.video_id.partition("@")[0]: r.split for r in rows} == splits(folder.read(tmp_path)[0])
        assert sizes(rows) == {"train": {"a": 10, "b": 10}, "val": {"a": 2, "b": 2}, "test": {"a": 2, "b": 2}}
    lines = ["path,label", *(f"gs://bucket/{i}.mp4,b|{'a' if i % 2 else 'c'}" for i in range(16))]
    rows, labels = folder.read(csv(tmp_path, "\n".join(lines)))
    assert (labels, rows[3].path) == (["a", "b", "c"], "gs://bucket/3.mp4")
    assert {s: n["b"] for s, n in sizes(rows).items()} == {"train": 8, "val": 4, "test": 4}
    rows, labels = folder.read(csv(tmp_path, "path,label\n" + "".join(f"{i}.mp4,only\n" for i in range(5))))
    assert (labels, sizes(rows)) == (["only"], {"train": {"only": 3}, "val": {"only": 1}, "test": {"only": 1}})


HEAD = "path,label,split,start,end\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,split\na,b\n", "no column 'label'"),
        (HEAD + "a.mp4,x,training,,\n", "line 2: split 'training' is none of train, val, test: mend it, or name"),
        (HEAD + "a.mp4,x,train,,\nb.mp4,x,val,,\n./a.mp4,y,val,,\n", "line 4: 'a.mp4' stands already in .*, line 2;"),
        (HEAD + "a.mp4,x,train,1,\na.mp4,x,train,1.0,\n", "line 3: 'a.mp4@1-' stands already in .*, line 2;"),
        ("path,label\na.mp4,x\na.mp4,x\n", "line 3: 'a.mp4' stands already in .*, line 2;"),
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


def test_named_splits_are_for_a_list_that_names_them(tmp_path):
    touch(tmp_path, ["a/0.mp4", "a/1.mp4"])
    for videos in (tmp_path, csv(tmp_path, "path,label\na,b\n")):
        with pytest.raises(PrepareError, match="has no column split, which --splits=train,late is about"):
            folder.read(videos, splits=("train", "late"))
