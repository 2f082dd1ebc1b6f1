"""The decoding process: what it gives back, and that it is replaced when it hangs, dies or needs too much."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from l2l.data import decoder as decoder_module
from l2l.data.decoder import MEMORY, Decoder, Stopped
from l2l.data.media import MediaError, read_clips
from tests.prepared import POLICY, alive, hanging, wait_until
from tests.videos import write_video


@pytest.fixture
def decoder():
    with Decoder(time_limit=60) as one:
        yield one


def pids(path, count):
    for _ in range(count):
        yield os.getpid()


def fails(path):
    yield 1
    raise ValueError("no good")


def is_missing(path):
    yield 1
    raise MediaError("missing", path, "gone")


def takes_too_much(path):
    yield np.ones(MEMORY // 8 + 1).sum()


def dies(path, times):
    """Dies of a signal after its second value, so many times."""
    yield 1
    yield 2
    marks = Path(path)
    if len(marks.read_text()) < times:
        marks.write_text(marks.read_text() + "x")
        os.kill(os.getpid(), signal.SIGSEGV)
    yield 3


def stalls(path):
    """Gives values, but for ever."""
    while True:
        time.sleep(0.05)
        yield path


def test_one_process_serves_many_calls(decoder):
    first = list(decoder.run(pids, "x", 3))
    assert len(set(first)) == 1
    assert first[0] != os.getpid()
    with pytest.raises(MediaError, match="x: gone") as caught:
        list(decoder.run(is_missing, "x"))
    assert caught.value.status == "missing"
    assert list(decoder.run(pids, "x", 3)) == first


def test_clips_are_those_of_this_process(decoder, tmp_path):
    path = write_video(tmp_path / "a.mp4", clicks=[0.3])
    there, here = (list(run) for run in (decoder.run(read_clips, str(path), POLICY), read_clips(path, POLICY)))
    assert len(there) == len(here) == 2
    for mine, yours in zip(there, here, strict=True):
        assert mine.jpegs == yours.jpegs
        assert (mine.audio == yours.audio).all()


@pytest.mark.parametrize(
    ("function", "status", "says"),
    [(fails, "crashed", "ValueError: no good"), (takes_too_much, "undecodable", "more than 4 GiB of memory")],
)
def test_errors_and_memory(decoder, function, status, says):
    with pytest.raises(MediaError, match=says) as caught:
        list(decoder.run(function, "x"))
    assert caught.value.status == status
    assert list(decoder.run(pids, "x", 1))


def test_one_death_is_made_good(decoder, tmp_path):
    marks = tmp_path / "marks"
    marks.write_text("")
    assert list(decoder.run(dies, str(marks), 1)) == [1, 2, 3]


def test_two_deaths_are_the_videos_fault(decoder, tmp_path):
    marks = tmp_path / "marks"
    marks.write_text("")
    with pytest.raises(MediaError, match="died twice: SIGSEGV") as caught:
        list(decoder.run(dies, str(marks), 9))
    assert caught.value.status == "crashed"
    assert len(marks.read_text()) == 2
    assert list(decoder.run(pids, "x", 1))


def test_time_limit(tmp_path):
    path = hanging(tmp_path / "h.avi")
    with Decoder(time_limit=0.5) as decoder:
        (before,) = decoder.run(pids, "x", 1)
        for function, args in ((read_clips, (POLICY,)), (stalls, ())):
            begin = time.monotonic()
            with pytest.raises(MediaError, match="longer than 0.5 s") as caught:
                list(decoder.run(function, path, *args))
            assert caught.value.status == "timed_out"
            assert time.monotonic() - begin < 30
            (after,) = decoder.run(pids, "x", 1)
            assert after != before
            before = after


def test_time_asleep_does_not_count(decoder, monkeypatch):
    """Ctrl-Z, or a laptop that is closed: the clock jumps by minutes between two looks at the pipe."""
    clock = itertools.count(step=300.0)
    monkeypatch.setattr(decoder_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert len(list(decoder.run(pids, "x", 20))) == 20


def test_a_call_that_is_given_up(decoder):
    values = decoder.run(stalls, "x")
    assert next(values) == "x"
    values.close()
    assert len(list(decoder.run(pids, "x", 2))) == 2


def test_closed_at_work(decoder):
    values = decoder.run(stalls, "x")
    next(values)
    decoder.close()
    with pytest.raises(Stopped):
        list(values)
    with pytest.raises(Stopped):
        list(decoder.run(pids, "x", 1))


def test_no_video_is_blamed_for_a_process_that_does_not_start(tmp_path):
    """A script without a guard starts itself again in every process, which Python refuses."""
    script = tmp_path / "script.py"
    script.write_text("from l2l.data.decoder import Decoder\nlist(Decoder().run(print, 'x'))\n")
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    result = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("a decoding process cannot be started: exit status 1")


def test_it_ends_with_its_parent(tmp_path):
    """Even in the middle of reading a file that has no end."""
    code = (
        "import sys; from l2l.data.decoder import Decoder; from tests.test_decoder import *; decoder = Decoder(); "
        "print(*decoder.run(pids, 'x', 1), flush=True); list(decoder.run(read_clips, sys.argv[1], POLICY))"
    )
    start = [sys.executable, "-c", code, hanging(tmp_path / "h.avi")]
    process = subprocess.Popen(start, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert int(process.stdout.readline()) != process.pid
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not alive(process.pid))
