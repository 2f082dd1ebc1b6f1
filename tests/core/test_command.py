"""What every command does about its terminal: `| head`, `>&-`, a full disk, names that would move a cursor."""

import ast
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from l2l.core import command
from l2l.serve import __main__ as serve
from tests.helpers.commands import ROOT

LIGHT = ["l2l.infer", "data_prep.verify"]  # start in a fraction of a second
CLOSED = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable]  # Python without standard output
COMMANDS = [
    path
    for folder in ("l2l", "data_prep")
    for pattern in ("*.py", "*/__main__.py")
    for path in sorted((ROOT / folder).glob(pattern))
    if "if __name__ == " in path.read_text(encoding="utf-8")
    and path != ROOT / "l2l" / "__main__.py"  # it starts the others
]


def asked(module, *args, **how):
    return subprocess.run([sys.executable, "-m", module, *args], cwd=ROOT, text=True, check=False, **how)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_command_is_run_so(path):
    *_, last = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(last, ast.If)
    assert ast.unparse(last.body[-1]).startswith("command.run(")


def test_there_are_as_many_commands_as_the_readme_shows():
    assert {"infer", "serve", "main", "write_shards", "verify", "sample", "doctor", "export"} <= {
        x.parent.name if x.stem == "__main__" else x.stem for x in COMMANDS
    }
    assert len(COMMANDS) >= 18


@pytest.mark.parametrize("module", LIGHT)
def test_a_reader_that_has_gone(module):
    """The command ends as `yes` does, whose status a shell tells as 141."""
    reader, writer = os.pipe()
    os.close(reader)
    found = asked(module, "--help", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (found.returncode, found.stderr) == (-signal.SIGPIPE, "")


@pytest.mark.parametrize("module", LIGHT)
def test_closed_output(module):
    found = subprocess.run([*CLOSED, "-m", module, "--help"], cwd=ROOT, text=True, check=False, stderr=subprocess.PIPE)
    assert (found.returncode, found.stderr) == (0, "")


def test_what_is_opened_first_does_not_take_the_number_of_closed_output(tmp_path):
    script = (
        "import os, sys\n"
        "from l2l.core import command\n"
        "def main():\n"
        "    with open('kept', 'w') as file:\n"
        "        os.write(1, b'what a library prints')\n"
        "        file.write('kept')\n"
        "        return 3\n"
        "command.run(main)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([*CLOSED, "-c", script], check=False, env=environment, cwd=tmp_path).returncode == 3
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("module", LIGHT)
def test_output_that_cannot_be_written(module):
    with open("/dev/full", "w") as full:
        found = asked(module, "--help", stdout=full, stderr=subprocess.PIPE)
    assert found.returncode == 1
    assert found.stderr == "error: the output cannot be written: No space left on device\n"
    with open("/dev/full", "w") as full:
        assert asked(module, "--nonsense", stdout=full, stderr=full).returncode == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("tab\tand\r\n", "tab\tand\r\n"),
        ("café ✓ 犬", "café ✓ 犬"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m\x07\x00\x7f", "\\x9b31m\\x07\\x00\\x7f"),
        ("photo\u202egpj.exe", "photo\\u202egpj.exe"),
    ],
)
def test_names_that_would_move_a_cursor(text, expected):
    assert command.visible(text) == expected


def test_what_is_printed_of_names(tmp_path):
    """A path, a pattern that matches nothing, is told in an error; a class name goes the same way."""
    found = asked("l2l.infer", "--run=x\x1b[31m", "y", capture_output=True)
    assert found.returncode == 1
    assert "\x1b" not in found.stdout + found.stderr
    assert "x\\x1b[31m" in found.stderr


@pytest.mark.parametrize(("status", "expected"), [("None", 0), ("0", 0), ("7", 7), ("True", 1)])
@pytest.mark.parametrize("way", ["return {}", "import sys; sys.exit({})"])
def test_status(status, expected, way):
    script = (
        f"from l2l.core import command\ndef main():\n    print('said')\n    {way.format(status)}\ncommand.run(main)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (expected, "said\n", "")


NUMBERS = {"port": "99999", "memory": "inf", "patience": "nan", "seconds": "nan", "megabytes": "-1", "waiting": "0"}
NUMBERS |= {"connections": "1.5", "decoders": "0", "window": "-0.1", "most": "many", "stride": "0"}


@pytest.mark.parametrize(("flag", "value"), NUMBERS.items())
def test_numbers_that_cannot_be(capsys, flag, value):
    with pytest.raises(SystemExit) as end:
        serve.parser().parse_args(["--run=x", f"--{flag}={value}"])
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.search(rf"--{flag}: must be a (whole )?number (of at least|from) [\d.]+.*, got {value!r}$", last)
    assert vars(serve.parser().parse_args(["--run=x", "--port=0", "--window=0", "--memory=0.5"]))["memory"] == 0.5


def test_a_line_is_written_at_once():
    """However long it is: two commands that append to one file mix no lines. The socket keeps writes apart."""
    code = "from l2l.core.command import run; run(lambda: [print('x' * 50_000, flush=True) for _ in range(3)] and None)"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        started = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=theirs)
        ours.settimeout(60)
        assert [ours.recv(1 << 17) for _ in range(3)] == [b"x" * 50_000 + b"\n"] * 3
        assert started.wait(60) == 0
