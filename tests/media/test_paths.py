"""Files, folders, patterns and lists on the command line."""

import os
import unicodedata

import pytest

from l2l.media.paths import paths_of
from l2l.media.scan import MediaError
from tests.helpers.videos import touch

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


def test_a_folder_s_files_are_looked_at(folder, capsys):
    """Whatever the suffix, also by links; what is passed over is said on the standard error."""
    (folder / "sub/none").write_bytes(b"\x1a\x45\xdf\xa3")
    (folder / "sub/film.part").write_bytes(b"\x1a\x45\xdf\xa3")
    (folder / "sub/again").symlink_to(".")
    (folder / "sub/f.mp4").symlink_to("d.MP4")
    assert paths_of(["sub"], []) == ["sub/d.MP4", "sub/deeper/e.avi", "sub/none"]
    assert capsys.readouterr() == (
        "",
        "sub: 1 file passed over: 1 .part\n"
        "sub: 1 further name of videos passed over, such as sub/f.mp4 (sub/d.MP4)\n"
        "sub: 1 linked folder passed over, listed already, such as sub/again (the folder itself)\n".replace("sub/", ""),
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_as_other_systems_write_them(folder, encoding, end):
    """With marks, quotes, blanks and remarks; a file that is called so is that file."""
    touch(folder, ['"q".mp4', "#r.mp4", " s.mp4 ", "é t.mp4", "u's.mp4"])
    lines = ["# my films", '"a.mp4"', "'sub/d.MP4'", "  sub/deeper/*.avi ", "", '"q".mp4', "#r.mp4", " s.mp4 "]
    lines += ['"é t.mp4"\t', "u's.mp4", '"gone.mp4"', "  # no more"]
    (folder / "list.txt").write_bytes(end.join(lines).encode(encoding))
    expected = [
        "a.mp4",
        "sub/d.MP4",
        "sub/deeper/e.avi",
        '"q".mp4',
        "#r.mp4",
        " s.mp4 ",
        "é t.mp4",
        "u's.mp4",
        "gone.mp4",
    ]
    assert paths_of(["@list.txt"], []) == expected


def test_a_list_that_is_no_text_is_told(folder):
    (folder / "list.txt").write_bytes(b"\xff\xfea\0.\0m")
    (told,) = paths_of(["@list.txt"], [])
    assert "cannot be read" in told.reason


def test_names_in_another_unicode_form(folder):
    composed, split = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    touch(folder, [f"{split}.mp4", f"{composed}x/y.mp4"])
    (folder / "list.txt").write_text(f"{composed}.mp4\n{split}x\n")
    assert paths_of([f"{composed}.mp4", f"{split}x", "@list.txt"], []) == [f"{split}.mp4", f"{composed}x/y.mp4"] * 2


def test_names_that_no_system_has(folder):
    """With a zero in it, or too long: a file that is missing, a pattern that nothing matches."""
    (folder / "list.txt").write_text(f"a\0.mp4\nx\0/*.mp4\n{'é' * 5000}\n", encoding="utf-8")
    plain, pattern, long = paths_of(["@list.txt"], [])
    assert (plain, long) == ("a\0.mp4", "é" * 5000)
    assert "nothing matches" in pattern.reason
