"""Files, folders, patterns and lists on the command line."""

import os

import pytest

from l2l.data.scan import MediaError
from l2l.video_paths import paths_of
from tests.videos import touch

NAMES = (
    "a.mp4",
    "b[1].mkv",
    "@c.webm",
    "new\nline.mov",
    "sub/d.MP4",
    "sub/deeper/e.avi",
    ".hidden/f.mp4",
    ".g.mp4",
    "h.txt",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    touch(tmp_path, [*NAMES, ".g.mp4", "h.txt"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_all_below_it(folder):
    expected = ["@c.webm", "a.mp4", "b[1].mkv", "new\nline.mov", "sub/d.MP4", "sub/deeper/e.avi"]
    assert paths_of([str(folder)], []) == [str(folder / name) for name in expected]


def test_patterns(folder):
    assert paths_of(["*.mp4", "**/*.avi", "sub/?.MP4"], []) == ["a.mp4", "sub/deeper/e.avi", "sub/d.MP4"]


def test_a_file_that_exists_is_that_file(folder):
    assert paths_of(["b[1].mkv", "@c.webm", "h.txt"], []) == ["b[1].mkv", "@c.webm", "h.txt"]


def test_lists(folder):
    name = os.fsdecode(b"not utf\xff8.mp4")
    touch(folder, [name])
    (folder / "list.txt").write_bytes(b"a.mp4\r\n\nsub\n" + os.fsencode(name) + b"\n@list.txt\n")
    expected = ["a.mp4", "sub/d.MP4", "sub/deeper/e.avi", name, "@list.txt"]
    assert paths_of(["@list.txt"], []) == paths_of([], ["list.txt"]) == expected
    assert paths_of(["a.mp4"], ["list.txt"]) == ["a.mp4", *expected]


def test_what_names_nothing_is_told_in_its_place(folder):
    (folder / "empty").mkdir()
    found = paths_of(["empty", "a.mp4", "*.xyz", "@nowhere.txt", "nowhere.mp4"], ["nowhere.txt"])
    told = [x.reason if isinstance(x, MediaError) else x for x in found]
    assert told[1] == "a.mp4"
    assert told[4] == "nowhere.mp4"  # whoever opens it says what is wrong
    for i, message in {
        0: "no videos in this folder",
        2: "nothing matches",
        3: "cannot be read",
        5: "cannot be read",
    }.items():
        assert message in told[i]
