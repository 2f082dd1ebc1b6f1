"""The decoding process: what it gives back, and that it is replaced when it hangs, dies or needs too much."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from l2l.media import video
from l2l.media.decoding import decoder as decoder_module
from l2l.media.decoding.decoder import Decoder, DecoderError, Decoders, Stopped
from l2l.media.picture import thumbnails
from l2l.media.policy import ClipPolicy
from l2l.media.video import MediaError, read_clips
from tests.helpers.prepared import POLICY, alive, hanging, wait_until
from tests.helpers.stand_in_worker import COMMAND, read
from tests.helpers.videos import write_video

ROOT = Path(__file__).parents[2]


@pytest.fixture
def decoder():
    with Decoder(time_limit=60, command=COMMAND) as one:
        yield one


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("films") / "a.mp4", seconds=3, clicks=[0.3, 2.1])


def asked(decoder, operation, path="x", **how):
    return read(decoder.run(operation, path, **how))


def same(mine, yours):
    """Asserts that two lists of clips are."""
    assert len(mine) == len(yours) > 0
    for one, other in zip(mine, yours, strict=True):
        assert one.jpegs == other.jpegs
        np.testing.assert_array_equal(one.audio, other.audio)
        for name in ("index", "clips", "start", "duration", "frames_valid", "audio_valid", "has_audio"):
            assert getattr(one, name) == getattr(other, name), name


def test_one_process_serves_many_calls(decoder):
    first = asked(decoder, "pids", count=3)
    assert len(set(first)) == 1
    assert int(first[0]) != os.getpid()
    with pytest.raises(MediaError, match="x: gone") as caught:
        asked(decoder, "is_missing")
    assert caught.value.status == "missing"
    assert asked(decoder, "pids", count=3) == first


def test_clips_are_those_of_this_process(decoder, film):
    cutting = decoder.clips(film, POLICY, 0.5)
    same(list(cutting), list(read_clips(film, POLICY, 0.5)))
    whole = video.open_film(film, POLICY, 0.5)
    list(whole.cut(range(len(whole.clips)), POLICY.frames))
    assert (cutting.has_audio, cutting.notes, cutting.tally.decoded) == (True, whole.notes, whole.tally.decoded)


def test_facts_pictures_and_sound_are_those_of_this_process(decoder, film):
    assert decoder.probe(film) == video.probe(film)
    times = [2.2, 0.4]
    assert decoder.pictures(film, times, short_side=40) == thumbnails.read_pictures(film, times, short_side=40)
    (there, covered), (here, expected) = decoder.audio(film), video.read_audio(film)
    np.testing.assert_array_equal(there, here)
    assert covered == expected
    assert decoder.audio(write_video(film.with_name("silent.mp4"), audio=False)) is None


def test_a_film_is_looked_at_here_and_there(decoder, film):
    """As in this process, also where the process that held it open was ended in between."""
    other = ClipPolicy(frames=2, short_side=24, hop=1.0, audio=False)
    far, near = decoder.film(film, POLICY), video.open_film(film, POLICY)
    assert (far.stop, far.has_audio, far.tally.decoded) == (near.stop, near.has_audio, near.tally.decoded)
    for look in range(3):
        same(list(far.seen([2 * look, 5], 1)), list(near.seen([2 * look, 5], 1)))
        np.testing.assert_array_equal(far.sound(8000 * look, 16_000), near.sound(8000 * look, 16_000))
        same(list(far.recut(other).seen([look], 2)), list(near.recut(other).seen([look], 2)))
        if look == 0:
            assert far.tally.decoded == near.tally.decoded
        if look == 1:
            with pytest.raises(MediaError, match="no good"):
                asked(decoder, "fails")
            decoder.run("stalls", "x").close()
            values = decoder.run("stalls", "x")
            next(values)
            values.close()
    assert not far.muted().has_audio
    same(list(far.muted().cut([0, 1], 4)), list(near.muted().cut([0, 1], 4)))


def test_two_films_at_once_have_their_own_sound(decoder, film):
    one, other = decoder.film(film, POLICY), decoder.film(film, POLICY)
    late = one.sound(32_000, 40_000)
    assert np.abs(other.sound(0, 8000)).max() > 1000  # the click at 0.3 s
    np.testing.assert_array_equal(one.sound(32_000, 40_000), late)
    assert np.abs(late).max() > 1000  # the one at 2.1 s


def test_a_name_that_is_no_text(decoder, film, tmp_path, monkeypatch):
    """Bytes that are no UTF-8, and a path that is relative to where the caller is now."""
    name = os.fsdecode(b"caf\xe9 \n.mp4")
    (tmp_path / name).write_bytes(film.read_bytes())
    decoder.probe(film)
    monkeypatch.chdir(tmp_path)
    for path in (name, Path(name), os.fsencode(name)):
        assert decoder.probe(path).frames == video.probe(film).frames


@pytest.mark.parametrize(
    ("operation", "status", "says"),
    [("fails", "crashed", "ValueError: no good"), ("takes_too_much", "undecodable", "more than 4 GiB of memory")],
)
def test_errors_and_memory(decoder, operation, status, says):
    with pytest.raises(MediaError, match=says) as caught:
        asked(decoder, operation)
    assert caught.value.status == status
    assert asked(decoder, "pids", count=1)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not say what a process holds")
def test_one_that_keeps_much_memory_is_replaced_between_two_films(decoder, film):
    """Not by little, nor while it holds a film that is open: then before the next one is opened."""
    (first,) = asked(decoder, "keeps", size=decoder_module.KEPT // 8)
    assert asked(decoder, "keeps", size=decoder_module.KEPT // 2) == [first]
    assert asked(decoder, "keeps", size=decoder_module.KEPT // 2) == [first]  # it answers, and then goes
    (second,) = asked(decoder, "keeps", size=decoder_module.KEPT + (16 << 20), film=1)
    assert (second != first, decoder.outgrown) == (True, 1)
    assert asked(decoder, "keeps", size=1, film=1) == [second]
    same(list(decoder.film(film, POLICY).seen([1], 1)), list(video.open_film(film, POLICY).seen([1], 1)))
    (third,) = asked(decoder, "pids", count=1)
    assert (third != second, decoder.outgrown) == (True, 2)
    assert not any(Path(f"/proc/{pid}").exists() for pid in (first, second))


def test_one_that_is_closed_is_not_replaced(decoder, monkeypatch):
    monkeypatch.setattr(decoder_module, "KEPT", -1)
    values = decoder.run("pids", "x", count=1)
    next(values)
    decoder._closed = True
    assert list(values) == []
    with pytest.raises(Stopped):
        asked(decoder, "pids", count=1)


def test_one_death_is_made_good(decoder, tmp_path):
    marks = tmp_path / "marks"
    marks.write_text("")
    assert asked(decoder, "dies", marks, times=1) == ["1", "2", "3"]


def test_a_death_in_between_is_no_videos_fault(decoder, tmp_path):
    marks = tmp_path / "marks"
    marks.write_text("")
    (pid,) = map(int, asked(decoder, "pids", count=1))
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert asked(decoder, "dies", marks, times=1) == ["1", "2", "3"]


def test_two_deaths_are_the_videos_fault(decoder, tmp_path):
    marks = tmp_path / "marks"
    marks.write_text("")
    with pytest.raises(MediaError, match=r"died twice: SIGSEGV \(free\(\): bad thing\)") as caught:
        asked(decoder, "dies", marks, times=9, said="much else\nfree():\x1b bad   thing\n\n")
    assert caught.value.status == "crashed"
    assert len(marks.read_text()) == 2
    assert asked(decoder, "pids", count=1)


def test_time_limit(tmp_path):
    path = hanging(tmp_path / "h.avi")
    with Decoder(time_limit=0.5, command=COMMAND) as decoder:
        (before,) = asked(decoder, "pids", count=1)
        for call in (lambda: list(decoder.clips(path, POLICY)), lambda: asked(decoder, "stalls")):
            begin = time.monotonic()
            with pytest.raises(MediaError, match="longer than 0.5 s") as caught:
                call()
            assert caught.value.status == "timed_out"
            assert time.monotonic() - begin < 30
            (after,) = asked(decoder, "pids", count=1)
            assert after != before
            before = after


def test_time_asleep_does_not_count(decoder, monkeypatch):
    """Ctrl-Z, or a laptop that is closed: the clock jumps by minutes between two looks at the pipe."""
    clock = itertools.count(step=300.0)
    monkeypatch.setattr(decoder_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert len(asked(decoder, "pids", count=20)) == 20


def test_a_call_that_is_given_up(decoder):
    values = decoder.run("stalls", "/x")
    assert read([next(values)]) == ["/x"]
    values.close()
    assert len(asked(decoder, "pids", count=2)) == 2


def test_closed_at_work(decoder):
    values = decoder.run("stalls", "x")
    next(values)
    threading.Timer(0.2, decoder.close).start()
    with pytest.raises(Stopped):
        list(values)
    with pytest.raises(Stopped):
        asked(decoder, "pids", count=1)


def test_what_libraries_print_and_ctrl_c_do_no_harm(decoder):
    assert asked(decoder, "prints") == ["still here"]
    assert asked(decoder, "ignores_ctrl_c") == ["still here"]


def test_it_is_small(decoder):
    assert asked(decoder, "modules") == ["[]"]


def test_no_video_is_blamed_for_a_process_that_does_not_start(tmp_path):
    for command, says in (
        ((sys.executable, "-c", "import sys; sys.exit('no such library')"), r"exit status 1 \(no such library\)"),
        ((str(tmp_path / "nowhere"),), "No such file"),
        ((sys.executable, "-c", "import os, sys; os.write(int(sys.argv[2]), b'x' * 99)"), "no decoder says"),
    ):
        with pytest.raises(DecoderError, match=f"a decoding process cannot be started: .*{says}"):
            Decoder(command=command).probe("x")


@pytest.mark.parametrize("how", ["script", "stdin"])
def test_whatever_program_asks(film, tmp_path, how):
    """A script without a guard, or one that comes through the standard input; from where no package is."""
    code = f"from l2l.media.decoding.decoder import Decoder\nprint(Decoder().probe({str(film)!r}).frames)\n"
    (tmp_path / "script.py").write_text(code)
    (tmp_path / "l2l").mkdir()  # not the package
    words, given = ([tmp_path / "script.py"], None) if how == "script" else (["-"], code)
    (tmp_path / "json.py").write_text("raise ImportError('this is not the library')")
    path = {"PYTHONPATH": str(ROOT)} | ({"PYTHONSAFEPATH": "1"} if how == "script" else {})
    how = {"input": given, "env": os.environ | path, "cwd": tmp_path if how == "script" else "/"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, **how)
    assert (done.stdout, done.stderr) == (f"{video.probe(film).frames}\n", "")


def test_threads_have_decoders_of_their_own(film):
    decoders = Decoders(command=COMMAND)
    one, other = (decoders.run("pids", "x", count=2) for _ in range(2))
    first = read([next(one), next(other)])
    assert len(set(first)) == 2
    assert [*read(one), *read(other)] == first
    again = decoders.run("pids", "x", count=1)
    assert read(again)[0] in first


def test_it_ends_with_its_parent(tmp_path):
    """Even in the middle of reading a file that has no end."""
    code = (
        "import sys; from l2l.media.decoding.decoder import Decoder; from tests.media.test_decoder import *; "
        "decoder = Decoder(command=COMMAND); print(*asked(decoder, 'pids', count=1), flush=True); "
        "list(decoder.clips(sys.argv[1], POLICY))"
    )
    start = [sys.executable, "-c", code, hanging(tmp_path / "h.avi")]
    process = subprocess.Popen(start, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert int(process.stdout.readline()) != process.pid
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not alive(process.pid))
