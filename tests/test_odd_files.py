"""A pipe, a folder, a link to nowhere, a device without end in place of a file: one line, from all that read."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from l2l import import_weights, infer, main, sweep
from l2l.core import texts
from l2l.media.decoding.decoder import Decoder
from l2l.media.paths import paths_of
from l2l.media.scan import MediaError
from l2l.serve import __main__ as serve
from tests.helpers import untrained
from tests.helpers.commands import ROOT
from tests.helpers.prepared import POLICY

ODD = ("pipe", "folder", "link", "zero", "secret", "missing")
SECONDS = 60


@pytest.fixture(params=ODD)
def odd(request, tmp_path):
    """The path of something odd; reading it may neither hang nor take memory without end."""
    path = tmp_path / request.param
    if request.param == "secret" and os.geteuid() == 0:
        pytest.skip("root may read every file")
    make = {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(tmp_path / "nowhere"),
        "zero": lambda: path.symlink_to("/dev/zero"),
        "secret": lambda: path.touch(0o000),
    }
    make.get(request.param, lambda: None)()
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield str(path)
    signal.alarm(0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (1 << 20)  # kB


def late(number, frame):
    raise AssertionError("it waits")


def told(capsys, name, command, *words):
    """What a command says of a file that it cannot use."""
    assert command.main([*words]) == 1
    out, err = capsys.readouterr()
    said = (out + err).strip()
    assert "\n" not in said
    assert said.startswith("error: ")
    assert name in said
    return said


def test_a_film(odd):
    (path,) = paths_of([odd], [])
    with Decoder(SECONDS) as decoder, pytest.raises(MediaError) as caught:
        list(decoder.clips(odd, POLICY) if isinstance(path, str) else raised(path))
    reasons = {
        "folder": "there are no videos in this folder",
        "secret": "it cannot be decoded: Permission denied",
        "pipe": "it is a folder, a pipe or a device",
        "zero": "it is a folder, a pipe or a device",
    }
    assert caught.value.reason == reasons.get(Path(odd).name, "there is no such file")


def test_a_film_opens_no_file_beside_it(tmp_path):
    """Subtitles in two files: whoever opens the first is led to the second, and finds no video in them."""
    index, beside = tmp_path / "film.idx", tmp_path / "film.sub"
    index.write_text("# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n")
    beside.write_bytes((ROOT / "tests" / "release" / "film.mp4").read_bytes())
    with Decoder(SECONDS) as decoder, pytest.raises(MediaError, match="it cannot be decoded: Invalid"):
        decoder.probe(index)


def raised(error):
    raise error


def test_a_list(odd):
    (found,) = paths_of([f"@{odd}"], [])
    assert isinstance(found, MediaError)
    assert found.path == odd
    assert found.reason.startswith("the list cannot be read: ")
    assert "\n" not in found.reason


def test_what_infer_says_of_them(tmp_path, capsys):
    run = untrained.clip_run(tmp_path / "run")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    odd = [str(tmp_path / "pipe"), str(tmp_path / "zero")]
    assert infer.main([*odd, *(f"@{path}" for path in odd), f"--run={run}"]) == 1
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line] == [
        f"{odd[0]}: it is a folder, a pipe or a device",
        f"{odd[1]}: it is a folder, a pipe or a device",
        f"{odd[0]}: the list cannot be read: it is no file, and nothing comes out of it",
        f"{odd[1]}: the list cannot be read: it is no file, and gives more than 64 MiB",
    ]
    assert "Traceback" not in err


def test_weights(odd, tmp_path, capsys):
    told(capsys, odd, import_weights, odd, "--model=r2plus1d_18", f"--out={tmp_path / 'out'}")


def test_labels(odd, tmp_path, capsys):
    file = str(ROOT / "tests" / "golden" / "files.npz")
    told(capsys, odd, import_weights, file, "--model=r2plus1d_18", f"--labels={odd}", f"--out={tmp_path / 'out'}")


@pytest.mark.parametrize("command", [infer, serve])
def test_an_export(odd, command, capsys):
    told(capsys, odd, command, *(["x.mp4"] if command is infer else []), f"--run={odd}")


def test_a_sweep(odd, tmp_path, capsys):
    told(capsys, odd, sweep, f"--sweep={odd}", f"--out={tmp_path / 'out'}")


def test_a_config(odd, capsys):
    with pytest.raises(SystemExit) as end:
        main.parse(["l2l.main", f"--config={odd}"])
    assert end.value.code == 1
    assert capsys.readouterr().err == f"error: config {odd} does not exist\nSee python -m l2l.main --help\n"


PYTHONS = {
    "NUL.py": (b"\0\xff", "SyntaxError"),
    "mistake.py": (b"def f(:\n", "SyntaxError"),
    "raises.py": (b"{}['a']\n", "KeyError: 'a'"),
    "several_lines.py": (b"raise RuntimeError('a\\nb')\n", "RuntimeError: a b"),
    "nothing.py": (b"", "has no attribute"),
    "film.mp4": (b"\0\0\0 ftypisom", "is no Python file: its name must end in .py"),
}


@pytest.mark.parametrize("name", PYTHONS)
def test_python_that_makes_nothing(name, tmp_path, capsys):
    path, (content, reason) = tmp_path / name, PYTHONS[name]
    path.write_bytes(content)
    assert reason in told(capsys, str(path), sweep, f"--sweep={path}", f"--out={tmp_path / 'out'}")
    with pytest.raises(SystemExit) as end:
        main.parse(["l2l.main", f"--config={path}"])
    said = capsys.readouterr().err
    assert end.value.code == 1
    assert said.startswith(f"error: config {path} ")
    assert reason in said
    assert said.count("\n") == 2


def test_a_pipe_that_something_writes_to_is_a_list(tmp_path):
    """As <(...) of a shell is."""
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    reader, writer = os.pipe()
    os.write(writer, b"\n".join(os.fsencode(tmp_path / name) for name in ("a.mp4", "b.mp4")))
    os.close(writer)
    assert paths_of([f"@/dev/fd/{reader}"], []) == [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]
    os.close(reader)


def test_a_shell_gives_labels_so():
    script = "import sys; from l2l import import_weights; print(import_weights.class_names(sys.argv[1]))"
    command = f"{sys.executable} -c '{script}' <(sleep 0.5; printf 'a\\nb\\n')"
    found = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr) == ("['a', 'b']\n", "")


def test_texts(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "a").write_text("é\nb\n", encoding=encoding)
        assert texts.text_of(tmp_path / "a") == "é\nb\n"
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"a is no text in UTF-8"):
        import_weights.class_names(str(tmp_path / "a"))
    assert texts.text_of(tmp_path / "a", "surrogateescape") == "\udcff"
