"""Lists and what a preparation keeps, damaged: one line, or written anew; numbers of flags; two commands at once."""

import argparse
import dataclasses
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_prep import released_features, storage, verify, write_shards
from data_prep.datasets import lists
from data_prep.datasets.rows import MESSAGE, PrepareError, Row
from data_prep.sample import __main__ as sample
from data_prep.sample import write
from data_prep.shards import arrays, plan, prepare
from data_prep.shards import shard as shards
from data_prep.shards.locks import ACCOUNTS, locked
from l2l.data import schema
from l2l.media import policy
from l2l.media.container import MediaError
from tests.helpers.videos import write_video
from tests.hostile.shards import BOMB, text

ROOT = Path(__file__).parents[2]
POLICY = policy.ClipPolicy(frames=2, short_side=16)


def line_of(work) -> str:
    with pytest.raises(PrepareError) as caught:
        work()
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < MESSAGE + 10
    return said


LONG = b"x" * 2_000_000  # one line


def read_all(path: Path) -> list:
    return [*lists.lines(path)]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.gz", BOMB, "it unpacks to more than 20 times its size"),
        ("a.gz", gzip.compress(LONG, mtime=0), "line 1: this is no list: it is longer than 1,048,576 characters"),
        ("a.txt", LONG, "line 1: this is no list: it is longer than 1,048,576 characters"),
        ("a.txt", b"x\na\0b\n", "line 2: this is no list: it has a character NUL"),
        ("a.gz", gzip.compress(b"x\n" * 1000, mtime=0)[:-20], "is not a text file"),
        ("a.gz", gzip.compress(b"x\n", mtime=0)[:10] + b"\xff" * 20, "is not a text file"),
        ("a.txt", b"\xff\xfe\x00", "is not a text file"),
    ],
)
def test_lines_that_are_no_list(name, data, says, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    said = line_of(lambda: read_all(path))
    assert said.startswith(str(path))
    assert says in said


def test_long_lists_are_read(tmp_path):
    """What is compressed as well as lists are, and lines of any usual length, is no bomb."""
    path = tmp_path / "a.gz"
    names = [f"https://www.youtube.com/watch?v={number:011d} {number % 487}" for number in range(20_000)]
    path.write_bytes(gzip.compress("\n".join(names).encode()))
    assert [line for _, line in lists.lines(path)] == names
    plain = tmp_path / "a.txt"
    plain.write_text("x\n" * 100_000)
    assert len(read_all(plain)) == 100_000


@pytest.mark.parametrize("read", [read_all, lambda path: [*lists.table(path, ["path"], [])], lists.load_json])
def test_a_pipe_is_no_list(read, tmp_path):
    """It cannot be read twice, and nobody may ever write to it."""
    os.mkfifo(tmp_path / "pipe")
    assert f"{tmp_path}/pipe: it is a pipe or a device" in line_of(lambda: read(tmp_path / "pipe"))
    assert "/dev/zero: it is a pipe or a device" in line_of(lambda: read(Path("/dev/zero")))


@pytest.mark.parametrize("value", ["@deep@", {"a": "@deep@"}])
def test_json_that_is_nested_too_deep(value, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text(value))
    assert line_of(lambda: lists.load_json(path)).startswith(f"{path} is not a JSON file")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (Row("a\0b.mp4", ("x",), "train", video_id="a"), "no name that a file can have"),
        (Row("a.mp4", ("x",), "train", video_id="a\0b"), "no text that can be written"),
        (Row("a.mp4", ("x",), "train", video_id="a\ud800"), "no text that can be written"),
        (Row("a.mp4", ("\ud800" * 5000,), "train", video_id="a"), "no text that can be written"),
    ],
)
def test_names_that_cannot_be(row, says, tmp_path):
    assert says in line_of(lambda: plan.make([row], row.labels, tmp_path, POLICY, 1))


def test_names_that_are_no_utf8_can_be(tmp_path):
    row = Row(os.fsdecode(b"\xff.mp4"), ("x",), "train", video_id="a")
    assert len(plan.make([row], ["x"], tmp_path, POLICY, 1).jobs) == 1


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A finished directory of two videos in one shard, its plan, and the account of the shard."""
    folder = tmp_path_factory.mktemp("prepared")
    rows = [Row(str(write_video(folder / f"{i}.mp4", seconds=0.5)), ("x",), "train", video_id=str(i)) for i in (0, 1)]
    out = folder / "out"
    prepare.write_dataset(rows, ["x"], out, POLICY, shards=1)
    asked = plan.make(rows, ["x"], out, POLICY, 1)
    return asked, out / ACCOUNTS / f"{asked.jobs[0].file}.json"


def test_an_account_that_does_not_fit_is_none(prepared):
    asked, path = prepared
    good, job = json.loads(path.read_text()), asked.jobs[0]
    assert dataclasses.asdict(shards.read_account(job)) == good | {
        "videos": tuple(map(tuple, good["videos"])),
        "failed": (),
        "notes": tuple(map(tuple, good["notes"])),
    }
    videos, shard = good["videos"], good["shard"]
    wrong = [
        {"videos": [[1, 10**18], videos[1]]},  # would be copied for ever
        {"videos": [videos[0]]},
        {"videos": [[1, -5], videos[1]]},
        {"videos": "x"},
        {"notes": [[]]},
        {"notes": [[5], []]},
        {"shard": shard | {"bytes": shard["bytes"] + 1}},
        {"shard": shard | {"file": "../../x"}},
        {"shard": shard | {"records": 10**18}},
        {"shard": None},
        {"failed": [{"path": 5}]},
        {"more": 1},
    ]
    try:
        for changes in wrong:
            path.write_text(json.dumps(good | changes))
            assert shards.read_account(job) is None, changes
        for data in ("@deep@", [], None, "x"):
            path.write_text(text(data))
            assert shards.read_account(job) is None, data
        path.write_bytes(b"\xff\xfe\0")
        assert shards.read_account(job) is None
        old = {key: value for key, value in good.items() if key != "notes"}  # of releases that knew none
        path.write_text(json.dumps(old))
        assert shards.read_account(job).notes == ((), ())
    finally:
        path.write_text(json.dumps(good))


def test_a_plan_that_is_damaged_is_another(prepared):
    asked, _ = prepared
    path = Path(asked.out, ACCOUNTS, "plan.json")
    good = path.read_text()
    assert plan.is_recorded(asked)
    facts = asked.facts
    try:
        for value in ("@deep@", [], {"facts": 5}, {"facts": facts | {"videos of split train": "many"}}, {"facts": {}}):
            path.write_text(text(value))
            assert "was begun with other settings" in line_of(lambda: plan.is_recorded(asked))
        many = {f"fact {number}": "x" * 150 for number in range(10_000)}
        path.write_text(json.dumps({"facts": facts | many}))
        assert "was begun with other settings" in line_of(lambda: plan.is_recorded(asked))
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(OSError, match="pipe or a device"):
            plan.is_recorded(asked)
    finally:
        path.unlink()
        path.write_text(good)


def test_a_store_of_pipes_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "x")
    for work in (storage.read, lambda path: storage.local_copy(path).__enter__()):
        with pytest.raises(OSError, match="pipe or a device"):
            work(str(tmp_path / "x"))


@pytest.mark.parametrize("header", [(10**9, 10**6), (3, 5), (0, 4), (-1, 4)])
def test_released_features_that_say_they_are_larger(header, tmp_path):
    """An array in a file of its own reserves nothing for what its header claims."""
    folder = tmp_path / "image_features"
    folder.mkdir()
    good = np.ones((3, 4), np.float16)
    np.save(folder / "good.npy", good)
    read = lambda name: arrays.bank(arrays.Modality(folder, 1.0, 4), Row(name, (), "train", video_id=name[:-4]))
    np.testing.assert_array_equal(read("good.npy"), good)
    data = (folder / "good.npy").read_bytes()
    (folder / "odd.npy").write_bytes(data.replace(b"(3, 4), }", f"{header}, }}".encode()))
    with pytest.raises(MediaError, match=r"odd.npy"):
        read("odd.npy")
    os.mkfifo(folder / "pipe.npy")
    with pytest.raises(MediaError, match="pipe or a device"):
        read("pipe.npy")


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\0", b"[]", b'{"made_by": ', b"[" * 100_000])
def test_a_marker_of_the_sample_that_is_damaged(data, tmp_path):
    marker = tmp_path / "videos" / "trimmed" / write.MADE_BY
    marker.parent.mkdir(parents=True)
    marker.write_bytes(data)
    said = line_of(lambda: write.make_part("trimmed", tmp_path, seed=0, workers=1))
    assert said.startswith(f"{marker} is damaged; delete {marker.parent}")


NUMBERS = ("nan", "inf", "-inf", "-1", "0", "1e400", "text", "", "9" * 5000, "1000000000000000000")


def numeric(parser: argparse.ArgumentParser) -> list[str]:
    taken = [action for action in parser._actions if action.type is not None and action.type is not Path]
    return [action.option_strings[0] for action in taken if action.option_strings[0] != "--splits"]


@pytest.mark.parametrize("dataset", ["folder", "mini_sports1m", "kinetics_sounds", "ucf101"])
def test_numbers_of_every_flag_that_prepares(dataset, tmp_path, monkeypatch, capsys):
    """A line and status 1 or 2, or a plan: whatever the number is."""
    for name in ("a/1.mp4", "a/2.mp4", "b/3.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    planned = []
    monkeypatch.setattr(write_shards, "run", lambda asked, args: planned.append(asked))
    given = [f"--dataset={dataset}", f"--videos={tmp_path}", f"--out={tmp_path / 'out'}"]
    given += [f"--lists={tmp_path}"] if dataset != "folder" else []
    flags = numeric(write_shards.parser(dataset))
    assert {"--workers", "--frames", "--fps", "--time_limit", "--most_bytes"} < {*flags}
    for flag, number in [(flag, number) for flag in flags for number in NUMBERS]:
        try:
            status = write_shards.main([*given, f"{flag}={number}"])
        except SystemExit as error:
            status = error.code
        said = capsys.readouterr().err.splitlines()
        if status:
            assert status in (1, 2)
            assert "error: " in said[-1]
            assert status == 2 or len(said) == 1
        if number in ("nan", "text", "-inf", ""):
            assert status, flag
    if dataset == "folder":
        assert planned
        for asked in planned:  # what can be asked for can be read again
            schema.save_index(tmp_path, schema.Index("clips", ("a",), {}, dataclasses.asdict(asked.policy)))
            assert schema.load_index(tmp_path).policy == dataclasses.asdict(asked.policy)


@pytest.mark.parametrize("flag", ["--workers", "--seed"])
def test_numbers_of_the_sample(flag, monkeypatch, capsys):
    made = []
    monkeypatch.setattr(write, "make_part", lambda part, out, **how: made.append(how))
    for number in NUMBERS:
        if (flag, number) in (("--seed", "0"), ("--seed", "1000000000000000000")):
            continue
        with pytest.raises(SystemExit) as caught:
            sample.main([f"{flag}={number}"])
        assert caught.value.code == 2
        assert f"argument {flag}: must be a whole number" in capsys.readouterr().err.splitlines()[-1]
    assert not made


HOLDS = "import sys; from data_prep.shards.locks import locked\n"
HOLDS += "with locked(sys.argv[1]): print('held', flush=True); input()"


def test_two_that_write_to_one_directory(prepared, tmp_path, monkeypatch):
    """The second is told so: preparing, rendering the sample, and converting the released features."""
    asked, _ = prepared
    out, videos = Path(asked.out), tmp_path / "sample" / "videos"
    features, (one, two) = tmp_path / "released", (released_features.Video(f"{name}.npy", 0) for name in "ab")
    monkeypatch.setattr(released_features, "read_lists", lambda folder: {"train": [one], "val": [two]})
    for kind in ("image", "audio"):
        (tmp_path / f"{kind}_features").mkdir()
        np.save(tmp_path / f"{kind}_features/a.npy", np.ones((2, 3)))
    for directory, work in (
        (out, lambda: plan.claimed(asked, 0, 1).__enter__()),
        (videos, lambda: write.make_part("trimmed", videos.parent, seed=0, workers=1)),
        (features, lambda: released_features.convert(tmp_path, tmp_path, features, ["x"])),
    ):
        with subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(directory)], stdin=-1, stdout=-1, text=True, cwd=ROOT
        ) as other:
            try:
                assert other.stdout.readline() == "held\n"
                assert line_of(work) == f"another process is writing to {directory}; wait for it to end"
            finally:
                other.communicate("\n")
        with locked(directory):
            pass


def test_two_preparations_and_who_reads_meanwhile(tmp_path):
    """Two real processes on one directory: what is there at the end is what one alone makes."""
    folder = tmp_path / "videos" / "x"
    folder.mkdir(parents=True)
    for number in range(4):
        write_video(folder / f"{number}.mp4", seconds=0.5)
    how = ["--val=0", "--test=0", "--frames=2", "--short_side=16", "--workers=1", "--shards=4"]
    command = [sys.executable, "-m", "data_prep.write_shards", f"--videos={tmp_path / 'videos'}", *how]
    start = lambda out: subprocess.Popen(
        [*command, f"--out={tmp_path / out}"], stdout=-1, stderr=-1, text=True, cwd=ROOT
    )
    both = [start("out"), start("out")]
    meanwhile = set()
    while any(process.poll() is None for process in both):
        meanwhile |= {"\n" in line or str(tmp_path) not in line for line in verify.problems(tmp_path / "out")}
    said = [process.communicate()[1] for process in both]
    assert True not in meanwhile
    assert 0 in [process.returncode for process in both]
    for process, error in zip(both, said, strict=True):
        if process.returncode:
            assert process.returncode == 1
            assert error.strip().splitlines()[-1].startswith("error: another process is writing to")
    assert not [*verify.problems(tmp_path / "out")]
    assert write_shards.main([*command[3:], f"--out={tmp_path / 'alone'}"]) == 0
    names = sorted(path.name for path in (tmp_path / "alone").glob("*.tfrecord-*"))
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
