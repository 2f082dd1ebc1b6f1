"""Which files below a folder are videos: by suffix, by first bytes, by links, and what is said of the rest."""

import os
import unicodedata

import pytest

from l2l.core import texts
from l2l.media import folders, policy, video
from l2l.media.folders import listing, there
from tests.helpers.videos import numbers, touch, write_video

MPEG4 = {"codec": "mpeg4", "audio_codec": "mp2", "sample_format": "s16"}
MADE = {
    "mp4": {},
    "mov": {},
    "mkv": {},
    "webm": {"codec": "libvpx", "audio_codec": "libopus", "rate": 48_000, "sample_format": "flt"},
    "avi": MPEG4,
    "flv": {},
    "ts": {},
    "m2ts": {},
    "asf": MPEG4,
    "nut": MPEG4,
    "vob": {**MPEG4, "codec": "mpeg2video", "fps": 25, "rate": 48_000},
    "m2v": {"codec": "mpeg2video", "fps": 25, "audio": False},
    "h264": {"fps": 25, "audio": False, "options": {"bf": "0"}},
    "y4m": {"codec": "wrapped_avframe", "audio": False},
    "ogg": {"codec": "libvpx", "audio": False},
    "mxf": {"codec": "mpeg2video", "fps": 25, "audio": False},
    "ivf": {"codec": "libvpx", "audio": False},
    "gif": {"codec": "gif", "pix_fmt": "rgb8", "audio": False},
}


@pytest.mark.parametrize("kind", MADE)
def test_a_video_without_its_suffix_is_found_and_read(tmp_path, kind):
    """Also with one that says something else to others; and it is the film that it was."""
    made = write_video(tmp_path / f"film.{kind}", seconds=0.6, **MADE[kind])
    (tmp_path / "films").mkdir()
    for name in ("none", "other.dat", "version 1.2"):
        (tmp_path / "films" / name).write_bytes(made.read_bytes())
    found = listing(tmp_path / "films")
    assert sorted(found.videos) == ["none", "other.dat", "version 1.2"]
    assert list(found.notes()) == []
    (clip,) = video.read_clips(tmp_path / "films/none", policy.ClipPolicy(frames=4, fps=8, hop=9, short_side=72))
    assert len(numbers(clip)) == 4
    assert numbers(clip)[0] == 0


NOT_VIDEOS = {
    "a": b"",
    "b.text": b"the free software of the mdat kind\n" * 40,
    "c.tracker": b"GGGG" * 3 + b"x" * 1000,
    "d": b"\x89PNG\r\n\x1a\n" + b"\0" * 900,
    "e": b"\xff\xd8\xff\xe0" + b"\0" * 900,
    "f": b"RIFF\0\0\0\0WAVEfmt ",
    "g": b"RIFF\0\0\0\0WEBPVP8 ",
    "h": b"\0\0\0\x20ftypheic" + b"\0" * 900,
    "i.thing": b"\0\0\0\x20ftypM4A " + b"\0" * 900,
    "j": b"ID3\x04" + b"\0" * 900,
    "k": b"\0\0\x01\0\x01\0" + b"\0" * 900,
    "l.mp4.part": b"\0\0\0\x20ftypisom" + b"\0" * 900,
    "m.webm.crdownload": b"\x1a\x45\xdf\xa3" + b"\0" * 900,
    "n.JPG": b"\0\0\0\x20ftypisom",
}


def test_what_is_no_video_is_passed_over_and_counted(tmp_path):
    for name, data in NOT_VIDEOS.items():
        (tmp_path / name).write_bytes(data)
    touch(tmp_path, ["film.F4V", "sub/film.rmvb", ".hidden", "sub/.part/film.mp4"])
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere.mkv").symlink_to("gone.mkv")
    (tmp_path / "nowhere.txt").symlink_to("gone.txt")
    found = listing(tmp_path)
    assert list(found.videos) == ["film.F4V", "sub/film.rmvb", "nowhere.mkv"]
    assert found.passed.total() == len(NOT_VIDEOS) + 2
    (note,) = found.notes()
    assert note.startswith(f"{tmp_path}: 16 files passed over: 9 without a suffix, 1 .")
    assert note.endswith(", 2 others")


def test_notes_count_by_suffix(tmp_path):
    touch(tmp_path, [f"{i}.txt" for i in range(10)] + ["a.jpg", "b.JPG", "c.mp4"])
    assert list(listing(tmp_path).notes()) == [f"{tmp_path}: 12 files passed over: 10 .txt, 2 .jpg"]


def test_links_are_followed_and_each_file_is_listed_once(tmp_path):
    """What lies in the folder itself comes before what links lead to; a circle ends."""
    touch(tmp_path, ["films/b/1.mp4", "films/c/2.mp4", "elsewhere/3.mp4", "elsewhere/deep/4.mp4"])
    films = tmp_path / "films"
    (films / "a").symlink_to("b")
    (films / "b/up").symlink_to("..")
    (films / "c/self").symlink_to(".")
    (films / "far").symlink_to(tmp_path / "elsewhere")
    (films / "b/0.mp4").symlink_to("../c/2.mp4")
    os.link(films / "b/1.mp4", films / "c/5.mp4")
    (films / "d.mp4").symlink_to("d.mp4")
    found = listing(films)
    assert found.videos == {
        "b/1.mp4": ["c/5.mp4"],
        "c/2.mp4": ["b/0.mp4"],
        "far/3.mp4": [],
        "far/deep/4.mp4": [],
        "d.mp4": [],
    }
    assert found.again == {"a": "b", "b/up": "", "c/self": "c"}
    assert list(found.notes()) == [
        f"{films}: 2 further names of videos passed over, such as c/5.mp4 (b/1.mp4)",
        f"{films}: 3 linked folders passed over, listed already, such as a (b)",
    ]


def test_names_in_notes_stand_on_one_line():
    odd = os.fsdecode(b"caf\xe9 \xc3\xa9\n.mp4")
    assert texts.printable(odd) == "caf\\xe9 é\\n.mp4"


def test_empty_files_are_known(tmp_path):
    touch(tmp_path, ["a.mp4"])
    (tmp_path / "b.mp4").touch()
    assert listing(tmp_path).empty == {"b.mp4"}


def test_a_folder_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    touch(tmp_path, ["a/b.mp4", "shut/c.mp4"])
    real = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)
    found = listing(tmp_path)
    assert list(found.videos) == ["a/b.mp4"]
    assert list(found.notes()) == [f"{tmp_path}: 1 folder not readable, such as shut"]


def test_a_path_in_another_unicode_form(tmp_path):
    """Composed, decomposed, or part by part; a file that comes later is found too; what is nowhere stays as it is."""
    composed, split = (unicodedata.normalize(form, "Café/Año/é.mp4") for form in ("NFC", "NFD"))
    mixed = unicodedata.normalize("NFD", "Café") + "/" + unicodedata.normalize("NFC", "Año/é.mp4")
    touch(tmp_path, [mixed])
    for asked in (composed, split, mixed):
        assert there(str(tmp_path / asked)) == str(tmp_path / mixed)
    for gone in ("Café/ü.mp4", "Ño/é.mp4", "plain.mp4"):
        assert there(str(tmp_path / gone)) == str(tmp_path / gone)
    touch(tmp_path, [f"{mixed}.mkv"])
    assert there(str(tmp_path / f"{split}.mkv")) == str(tmp_path / f"{mixed}.mkv")
