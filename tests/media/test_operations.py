"""What a decoding process does with files, asked in this one: a file is scanned once for all that is asked of it."""

import dataclasses

import numpy as np
import pytest

from l2l.media import video
from l2l.media.decoding import operations
from l2l.media.policy import USUAL
from l2l.media.scan import MediaError
from tests.helpers.prepared import POLICY
from tests.helpers.videos import write_video

HOW = {"reading": dataclasses.asdict(USUAL)}
CUT = {"policy": dataclasses.asdict(POLICY)} | HOW


@pytest.fixture
def scans(monkeypatch):
    """The files that were scanned, in their order."""
    seen = []

    def walk(path, reading):
        seen.append(path)
        return video.walk(path, reading)

    monkeypatch.setattr(operations, "walk", walk)
    monkeypatch.setattr(operations, "_SCANS", {})
    monkeypatch.setattr(operations, "_FILMS", {})
    return seen


def page(path):
    """All that a page asks of a file."""
    pictures = operations.read_pictures(path, times=[0.5, 0.1], short_side=40, slack=0.0, **HOW)
    return [*operations.probe(path, **HOW)], [*pictures], [*operations.read_audio(path, **HOW)]


def test_a_page_scans_a_film_no_further_time(scans, tmp_path):
    path = str(write_video(tmp_path / "a.mp4", seconds=1, clicks=[0.3]))
    first = list(operations.opened(path, film=1, **CUT))
    list(operations.cut(path, film=1, positions=[0, 1], frames=1, sound=True, **CUT))
    probed, pictures, sounds = page(path)
    assert scans == [path]
    assert probed == [video.probe(path)]
    np.testing.assert_array_equal(np.concatenate([x.wave for x in sounds]), video.read_audio(path)[0])
    assert len(pictures) == 2
    assert list(operations.opened(path, film=2, **CUT))[1].decoded == first[1].decoded  # counted for each film alone
    assert scans == [path]


def test_another_file_and_one_that_changed_are_scanned_again(scans, tmp_path):
    path, other = (str(write_video(tmp_path / name, seconds=1)) for name in ("a.mp4", "b.mp4"))
    page(path)
    page(other)
    page(path)
    assert scans == [path, other, path]
    write_video(tmp_path / "a.mp4", seconds=2)
    ((longer,), _, _) = page(path)
    assert longer == video.probe(path)
    assert longer.duration == pytest.approx(2, abs=0.1)
    assert scans == [path, other, path, path]


def test_a_file_that_has_gone_is_missed(scans, tmp_path):
    path = str(write_video(tmp_path / "a.mp4", seconds=1))
    page(path)
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(MediaError) as caught:
        page(path)
    assert caught.value.status == "missing"
