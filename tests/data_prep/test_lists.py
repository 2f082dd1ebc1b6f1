"""What the readers of lists share."""

import gzip

import pytest

from data_prep.datasets import lists
from data_prep.datasets.rows import PrepareError
from tests.helpers.videos import touch


def test_videos_by_name(tmp_path):
    touch(tmp_path, ["b/x.mp4", "a/x.webm", "a/deep/y.MKV", "z.v2.avi", "a/.hidden.mp4", "a/notes.txt", "a/w.mp4.part"])
    found = lists.videos_by_name(tmp_path)
    assert {
        name: str(tmp_path / path) for name, path in {"z.v2": "z.v2.avi", "y": "a/deep/y.MKV", "x": "a/x.webm"}.items()
    } == found


@pytest.mark.parametrize(("names", "says"), [([], "holds no videos"), (["a.txt"], "holds no videos")])
def test_no_videos(tmp_path, names, says):
    touch(tmp_path, names)
    with pytest.raises(PrepareError, match=says):
        lists.videos_by_name(tmp_path)
    with pytest.raises(PrepareError, match="nowhere does not exist"):
        lists.videos_by_name(tmp_path / "nowhere")


def test_path_of():
    found = {"b": "there/b.avi", "c": "there/c.mp4"}
    assert lists.path_of(["a", "b", "c"], found, "there") == "there/b.avi"
    assert lists.path_of(["a", "d"], found, "there") == "there/a.mp4"


def test_lines(tmp_path):
    data = "\ufeff one \r\n\r\n\ntwo 2\n".encode()
    (tmp_path / "a.txt").write_bytes(data)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(data))
    for name in ("a.txt", "a.txt.gz"):
        path = tmp_path / name
        assert list(lists.lines(path)) == [(f"{path}, line 1", "one"), (f"{path}, line 4", "two 2")]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"\n \n", "a.txt is empty"),
        ("a.txt", b"caf\xe9", "not a text file in UTF-8"),
        ("a.gz", b"plain", "not a text file"),
        ("a.gz", gzip.compress(b"cut off", mtime=0)[:-9], "not a text file"),
    ],
)
def test_mistakes_in_lines(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PrepareError, match=says):
        list(lists.lines(tmp_path / name))
    with pytest.raises(PrepareError, match="nowhere does not exist"):
        list(lists.lines(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": {"b": 1, "c": 2,\n "b": 3}}', "'b' stands twice, on lines 1 and 2; remove one"),
        ('{"a": {"b": 1}, "d": {"b": 1, "b": 3}}', "'b' stands twice; remove one"),
        ("{", "not a JSON file"),
        ("", "not a JSON file"),
    ],
)
def test_mistakes_in_json(tmp_path, text, says):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PrepareError, match=says) as caught:
        lists.load_json(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


def test_misfit():
    assert lists.misfit(["a", "b"], {"a", "b", "c"}) is None
    assert lists.misfit(["a", "d"], {"a", "b", "c"}) == ("wrong_label", "'d' is not one of the 3 classes")
    assert lists.misfit([], {"a"}) == ("wrong_label", "the list gives it no label")
