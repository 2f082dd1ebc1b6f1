"""`l2l COMMAND ...`: what it lists, and that a command runs as `python -m` runs its module."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

import l2l
from l2l.__main__ import COMMANDS, GROUPS
from tests.helpers import commands

HEAVY = ("jax", "numpy", "tensorflow", "absl", "av")


def called(*words, **how):
    return subprocess.run([sys.executable, "-m", "l2l", *words], check=False, capture_output=True, text=True, **how)


def test_every_command_is_listed_once():
    assert sorted(x for x in commands.modules() if x.startswith(("l2l.", "data_prep."))) == sorted(COMMANDS.values())
    assert len(COMMANDS) == sum(map(len, GROUPS.values()))


def test_help_imports_next_to_nothing():
    code = "import runpy, sys; sys.argv = ['l2l', '--help']\ntry: runpy.run_module('l2l', run_name='__main__')\n"
    code += f"finally: print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=commands.ROOT, check=False, capture_output=True, text=True)
    *listed, loaded = done.stdout.splitlines()
    assert (done.returncode, done.stderr, loaded) == (0, "", "[]")
    for rows in GROUPS.values():
        for name, (_, line) in rows.items():
            assert f"  {name:<20}{line}" in listed
    assert max(map(len, listed)) <= 100
    assert called(cwd=commands.ROOT).stdout.splitlines() == listed


@pytest.mark.parametrize(
    ("word", "near"), [("trian", "train"), ("import-weights", "import_weights"), ("--infer", "infer")]
)
def test_an_unknown_command(word, near):
    done = called(word, "--help", cwd=commands.ROOT)
    said = f"error: there is no command {word!r}; did you mean {near!r}? See l2l --help\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_version():
    assert called("--version", cwd=commands.ROOT).stdout == f"l2l {l2l.__version__}\n"


def test_a_usage_line_says_how_it_was_called():
    assert called("infer", "--help", cwd=commands.ROOT).stdout.startswith("usage: l2l infer [-h]")
    as_module = [sys.executable, "-m", "l2l.infer", "--help"]
    shown = subprocess.run(as_module, cwd=commands.ROOT, check=True, capture_output=True, text=True).stdout
    assert shown.startswith("usage: python -m l2l.infer [-h]")


def test_exit_status_and_words_are_those_of_the_module(tmp_path):
    words = ["--run=nowhere", str(tmp_path)]
    ours = called("infer", *words, cwd=commands.ROOT)
    theirs = [sys.executable, "-m", "l2l.infer", *words]
    theirs = subprocess.run(theirs, cwd=commands.ROOT, check=False, capture_output=True, text=True)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert ours.returncode == 1


def test_processes_that_a_command_starts(tmp_path):
    """They begin as new Pythons, which import the command's module again, and do not run the command."""
    for name in "ab":
        (tmp_path / name).mkdir()
        shutil.copy(commands.ROOT / "tests" / "release" / "film.mp4", tmp_path / name / f"{name}.mp4")
    words = [f"--videos={tmp_path}", f"--out={tmp_path / 'out'}", "--workers=2", "--shards=2"]
    done = called("prepare", *words, cwd=commands.ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is finished") == 1
    assert len(list((tmp_path / "out").glob("*.tfrecord-*"))) == 2


def test_a_reader_that_has_gone():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "l2l", "--help"]
    done = subprocess.run(command, cwd=commands.ROOT, check=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")
