"""What has to be known of single videos stands in the index; how files are read and how much is stored is bounded."""

import dataclasses
import json
import struct
from typing import ClassVar

import pytest

from data_prep import write_shards
from data_prep.datasets.rows import PrepareError, Row
from data_prep.shards import estimate, finish, plan, prepare, shard
from data_prep.shards.prepare import write_dataset
from l2l.data import schema
from l2l.media import video
from l2l.media.policy import USUAL, Reading
from l2l.report import files
from tests.helpers.prepared import LABELS, POLICY, Cutting, content, flags
from tests.helpers.videos import touch, write_video

NAMES = "usual", "second"
HDR, LATE = "HDR (HLG): tone-mapped", "sound begins 2.0 s late"


class Scripted:
    """A decoder that gives the same clips of every file, and the notes that its name calls for; it counts its calls."""

    calls: ClassVar[list] = []

    def __init__(self, clips, notes):
        self.cut, self.notes = clips, notes

    def clips(self, path, policy, start, end, reading):
        self.calls.append((path, reading))
        if path not in self.notes:
            raise video.MediaError("missing", path, "there is no such file")
        return Cutting(self.cut, self.notes[path])

    def close(self):
        pass


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return list(video.read_clips(write_video(tmp_path_factory.mktemp("film") / "a.mp4"), POLICY))


@pytest.fixture
def scripted(clips, monkeypatch):
    """Sets the notes of every file that is there; gives the calls."""
    monkeypatch.setattr(Scripted, "calls", [])

    def set_to(notes):
        monkeypatch.setattr(prepare, "Decoder", lambda time_limit: Scripted(clips, notes))
        return Scripted.calls

    return set_to


def rows_named(*names):
    return [Row(name, ("run",), "val" if name == "d" else "train", video_id=name) for name in names]


def test_notes_of_videos_stand_in_the_index(tmp_path, scripted, capsys):
    calls = scripted({"a": (HDR,), "b": (), "c": (LATE, HDR), "d": (HDR,)})
    listed = rows_named("a", "b", "c", "d", "late")
    index = write_dataset(listed, LABELS, tmp_path / "out", POLICY, shards=1)
    said = [
        {"path": name, "split": "val" if name == "d" else "train", "notes": notes}
        for name, notes in {"a": [HDR], "c": [LATE, HDR], "d": [HDR]}.items()
    ]
    assert sorted(index.noted, key=lambda x: x["path"]) == said
    assert schema.load_index(tmp_path / "out") == index
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if HDR in line or LATE in line] == [f"{HDR}: 3 videos", f"{LATE}: 1 video"]
    scripted({"a": (), "b": (), "c": (), "d": (), "late": (LATE,)})
    calls.clear()
    index = write_dataset(listed, LABELS, tmp_path / "out", POLICY, shards=1, retry_failed=True)
    assert [path for path, _ in calls] == ["late"]
    assert sorted(index.noted, key=lambda x: x["path"]) == [*said, {"path": "late", "split": "train", "notes": [LATE]}]


def test_without_notes_an_index_is_as_ever(tmp_path, scripted):
    scripted({"a": (), "d": ()})
    index = write_dataset(rows_named("a", "d"), LABELS, tmp_path, POLICY)
    assert index.noted == ()
    assert "noted" not in json.loads((tmp_path / schema.INDEX).read_text())


def test_an_account_of_an_earlier_release_is_read(tmp_path, scripted):
    calls = scripted({"a": (HDR,), "d": (HDR,)})
    write_dataset(rows_named("a", "d"), LABELS, tmp_path, POLICY)
    before = content(tmp_path)
    for path in (tmp_path / shard.ACCOUNTS).glob("clips*"):
        account = json.loads(path.read_text())
        assert account.pop("notes") == [[HDR]]
        path.write_text(json.dumps(account))
    calls.clear()
    assert write_dataset(rows_named("a", "d"), LABELS, tmp_path, POLICY).noted == ()
    assert calls == []
    assert all(content(tmp_path)[name] == data for name, data in before.items() if "tfrecord" in name)


def test_many_different_notes_are_cut_short(capsys):
    finish.report(schema.Index("clips", (), {}, {}, noted=tuple({"notes": [f"number {i}"]} for i in range(25))))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines == [
        *(f"number {i}: 1 video" for i in range(20)),
        "... and 5 other notes of videos; all are in index.json",
    ]


def test_a_video_that_would_fill_the_disk_is_set_aside(tmp_path, clips, scripted):
    """With room for just its records it is stored; with a byte less nothing of it stays; it may be tried again."""
    scripted({"a": (), "d": ()})
    whole = write_dataset(rows_named("a", "d"), LABELS, tmp_path / "whole", POLICY)
    size = whole.splits["val"][0].bytes
    assert write_dataset(rows_named("a", "d"), LABELS, tmp_path / "out", POLICY, most_bytes=size) == whole
    long = [dataclasses.replace(clips[0], clips=2), dataclasses.replace(clips[1], start=7.5, clips=2)]
    room = write_dataset(rows_named("a", "d"), LABELS, tmp_path / "out", POLICY, most_bytes=size - 1)
    assert room == whole, "what is there stays"
    none = r"fill the [\d,]+ bytes of --most_bytes: allow more, or store fewer with --hop or --clips"
    with pytest.raises(PrepareError, match=f"none of the 2 videos .* the clips of its first 0 s, 1 of 2, {none}"):
        write_dataset(rows_named("a", "d"), LABELS, tmp_path / "less", POLICY, most_bytes=size - 1)
    assert [path.stat().st_size for path in (tmp_path / "less").glob("clips-*")] == [0, 0]
    again = {"most_bytes": size, "retry_failed": True}
    assert write_dataset(rows_named("a", "d"), LABELS, tmp_path / "less", POLICY, **again) == whole
    job = plan.make(rows_named("a"), LABELS, tmp_path / "late", POLICY, 1, most_bytes=size - 1).jobs[0]
    (tmp_path / "late" / shard.ACCOUNTS).mkdir(parents=True)
    account = shard.write_shard(job, Scripted(long, {"a": ()}))
    assert account.failed[0]["status"] == "too_large"
    assert account.failed[0]["reason"].startswith("the clips of its first 8 s, 1 of 2, fill")


def test_more_clips_than_a_video_may_have(tmp_path):
    film = write_video(tmp_path / "a.mp4")
    with pytest.raises(video.MediaError, match="clips, 100,000 are the most; for fewer, a larger --hop, --clips, or a"):
        video.open_film(film, dataclasses.replace(POLICY, hop=1e-6))


def test_how_files_are_read_is_a_matter_of_the_plan(tmp_path, scripted):
    """The decoder is told; the usual way is not recorded, so that what an earlier release began goes on."""
    calls, rows = scripted({"a": (), "d": ()}), rows_named("a", "d")
    second = Reading(audio_track=2, trust_length=False)
    for name, how in (("usual", {}), ("second", {"reading": second})):
        write_dataset(rows, LABELS, tmp_path / name, POLICY, **how)
    assert [reading for _, reading in calls] == [USUAL] * 2 + [second] * 2
    facts = {name: json.loads((tmp_path / name / shard.ACCOUNTS / "plan.json").read_text())["facts"] for name in NAMES}
    assert facts["second"] == facts["usual"] | {"reading audio_track": 2, "reading trust_length": False}
    assert schema.load_index(tmp_path / "second").notes[:2] == (
        "of every video the sound track number 2 is read (--audio_track)",
        "a file may end before the length that its header says (--trust_length=no)",
    )
    for name, how in (("usual", {"reading": second}), ("second", {})):
        with pytest.raises(PrepareError, match="reading audio_track: .* there, .* asked"):
            write_dataset(rows, LABELS, tmp_path / name, POLICY, **how)


def test_flags(tmp_path, capsys):
    touch(tmp_path / "videos", [f"a/{i}.mp4" for i in range(3)])
    where = tmp_path / "videos", tmp_path / "out"
    asked = lambda *more: write_shards.asked_for(write_shards.parse(flags(*where, *more))).jobs[0]
    assert (asked().reading, asked().most_bytes) == (USUAL, 8e9)
    more = asked("--audio_track=3", "--trust_length=no", "--most_bytes=2e9")
    assert (more.reading, more.most_bytes) == (Reading(3, False), 2e9)
    assert asked("--most_bytes=1").plan == asked().plan != more.plan
    capsys.readouterr()
    for flag, says in {
        "--audio_track=0": "audio_track=0: sound tracks are counted from 1",
        "--most_bytes=0": "must be positive",
    }.items():
        assert write_shards.main(flags(*where, flag)) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line


def test_a_page_reads_what_was_read(tmp_path):
    """A film whose header says that it is longer than it is: prepared, noted, and shown by the same flag."""
    film = write_video(tmp_path / "a.mkv", seconds=2, clicks=[0.5])
    data = film.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3
    film.write_bytes(data[:at] + struct.pack(">d", 10_000.0) + data[at + 8 :])
    rows, reading = [Row(str(film), ("run",), "train", video_id="a")], Reading(trust_length=False)
    with pytest.raises(PrepareError, match="cut short: .*--trust_length=no"):
        write_dataset(rows, LABELS, tmp_path / "usual", POLICY)
    index = write_dataset(rows, LABELS, tmp_path / "out", POLICY, reading=reading)
    assert estimate.estimate(rows, POLICY, 60) is None
    assert estimate.estimate(rows, POLICY, 60, reading).film == pytest.approx(2, abs=0.1)
    (noted,) = index.noted
    assert noted["path"] == str(film)
    assert noted["notes"][0].startswith("its header says that it lasts 10.0")
    listed = {"path": "../a.mkv", "start": None, "end": None, "reading": {"trust_length": False}}
    assert json.loads((tmp_path / "out" / schema.VIDEOS).read_text()) == {"a": listed}
    cut = list(video.read_clips(film, POLICY, reading=reading))
    times = [clip.start + clip.duration / 2 for clip in cut]
    found, missing = files.Files(tmp_path / "out", index.policy).clips("a", times)
    assert (missing, [clip.jpegs[0] for clip in found]) == ("", [clip.jpegs[0] for clip in cut])
