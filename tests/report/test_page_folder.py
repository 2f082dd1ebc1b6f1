"""Pages of videos in one folder, from several runs and several processes at once: none is lost or half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from l2l.report import page_folder
from l2l.report.page_folder import PageFolder
from tests.helpers import xla
from tests.helpers.served import ROOT
from tests.helpers.untrained import clip_run
from tests.helpers.videos import write_video

# Writes a page for each of its arguments so many times, and says where.
WRITES = """
import sys; from l2l.report.page_folder import PageFolder
folder, times, *videos = sys.argv[1:]
for number in range(int(times)):
    pages = PageFolder(folder)
    for video in videos: print(video, pages.write(video, f"<p>{video}" * 2000))
"""


def texts(folder):
    """Name and first line of every page."""
    return {path.name: path.read_text().splitlines()[0] for path in folder.iterdir()}


def test_names(tmp_path):
    pages = PageFolder(tmp_path / "deep" / "pages")
    for video, name in (
        ("films/a b.mp4", "a_b.html"),
        ("other/a b.mp4", "a_b-2.html"),
        ("A B.mp4", "A_B-3.html"),  # another file where case does not count
        ("films/a b.mp4", "a_b-4.html"),  # asked for twice
        (".mp4", ".mp4.html"),
        ("x" * 90 + ".mp4", "x" * 80 + ".html"),
    ):
        assert pages.write(video, f"<p>{video}\n") == str(tmp_path / "deep" / "pages" / name)
        assert texts(tmp_path / "deep" / "pages")[name] == f"<p>{video}"


@pytest.mark.parametrize("links", [True, False])
def test_a_page_is_replaced_by_its_own_video_alone(tmp_path, monkeypatch, links):
    """Whatever else is there stays, and so does a page of the other video that has the same name."""
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError("no links here")))
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "film-2.html").write_text("my own page")
    (folder / "film-3.html").mkdir()
    (folder / "film-4.html").symlink_to("nowhere")
    for videos in (("a/film.mp4", "b/film.mp4"), ("b/film.mp4", "a/film.mp4"), ("b/film.mp4",)):
        for video in videos:
            name = "film.html" if video[0] == "a" else "film-5.html"
            assert PageFolder(folder).write(str(tmp_path / video), f"{video} of {videos}\n") == str(folder / name)
            assert (folder / name).read_text().startswith(f"{video} of {videos}\n")
    assert (folder / "film-2.html").read_text() == "my own page"
    assert sorted(os.listdir(folder)) == [*(f"film-{i}.html" for i in (2, 3, 4, 5)), "film.html"]


def test_a_folder_that_was_moved_with_its_films_knows_its_pages(tmp_path):
    (tmp_path / "before").mkdir()
    PageFolder(tmp_path / "before/pages").write(str(tmp_path / "before/film.mp4"), "old\n")
    (tmp_path / "before").rename(tmp_path / "after")
    PageFolder(tmp_path / "after/pages").write(str(tmp_path / "after/film.mp4"), "new\n")
    assert texts(tmp_path / "after/pages") == {"film.html": "new"}


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(page_folder, "_placed", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        PageFolder(tmp_path).write("film.mp4", "x")
    assert not any(tmp_path.iterdir())


def test_processes_that_write_at_once(tmp_path):
    """Both write one film's page again and again, and each one of its own with the same name."""
    start = lambda own: subprocess.Popen(
        [sys.executable, "-c", WRITES, tmp_path / "pages", "200", f"{own}/film.mp4", "both.mp4"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    started = [start(own) for own in "ab"]
    said = [process.communicate(timeout=60)[0].splitlines() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    where = dict(line.split() for lines in said for line in lines)
    assert len({line for lines in said for line in lines}) == len(where) == 3  # each page kept its name
    assert sorted(os.listdir(tmp_path / "pages")) == ["both.html", "film-2.html", "film.html"]
    for video, path in where.items():
        first, mark = Path(path).read_text().splitlines()
        assert first == f"<p>{video}" * 2000
        assert mark.startswith("<!-- of video ")


def test_two_commands_at_once(tmp_path):
    """With pages in one folder, and answers appended to one file."""
    run = clip_run(tmp_path / "run")
    films = {name: tmp_path / name for name in ("a/film.mp4", "b/film.mp4", "both.mp4")}
    for path in films.values():
        path.parent.mkdir(exist_ok=True)
        write_video(path)
    environment = os.environ | {"XLA_FLAGS": xla.flags(1)}

    def start(out, *names):
        flags = (f"--run={run}", f"--html={tmp_path / 'pages'}", "--json")
        words = [sys.executable, "-m", "l2l.infer", *(films[name] for name in names), *flags]
        return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.PIPE, text=True)

    with (tmp_path / "out.jsonl").open("ab") as out:
        started = [start(out, f"{own}/film.mp4", "both.mp4") for own in "ab"]
        errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(x["path"] for x in told) == sorted(map(str, [*films.values(), films["both.mp4"]]))
    assert {Path(x["page"]).name for x in told} == {*os.listdir(tmp_path / "pages")}
    assert len(os.listdir(tmp_path / "pages")) == 3
    for x in told:
        page = Path(x["page"]).read_text(encoding="utf-8")
        assert f'"../{os.path.relpath(x["path"], tmp_path)}"' in page
        assert page.splitlines()[-1].startswith("<!-- of video ")
