"""Compiled programs on disk: what is damaged there, or cannot be written, costs time and changes no answer."""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers import untrained
from tests.helpers.commands import ROOT

PROGRAM = """
import sys
import jax, numpy as np
from l2l.core import compile_cache
compile_cache.use()
hits = []
jax.monitoring.register_event_listener(lambda name, **more: hits.append(name) if name.endswith("/cache_hits") else None)
print(jax.jit(lambda x: x * 2 + 1)(np.arange(3)), len(hits))
"""


def environment(folder):
    return os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)}


def asked(folder, before=""):
    """(how many compiled programs it found, what it says beside its answer)."""
    command = [sys.executable, "-c", before + PROGRAM]
    found = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=True)
    answer, _, hits = found.stdout.strip().rpartition(" ")
    assert answer == "[1 3 5]"
    return int(hits), found.stderr


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What one process has kept; it belongs to its folder."""
    folder = tmp_path_factory.mktemp("kept")
    assert asked(folder) == (0, "")
    (entry,) = folder.iterdir()
    return entry


def test_what_was_kept_is_found(kept):
    assert asked(kept.parent) == (1, "")


DAMAGE = {"empty": lambda data: b"", "garbage": lambda data: bytes(range(256)) * 20, "cut": lambda data: data[:-100]}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_is_damaged_is_made_anew(kept, what):
    whole = kept.stat().st_size
    kept.write_bytes(DAMAGE[what](kept.read_bytes()))
    assert asked(kept.parent) == (0, "")
    assert abs(kept.stat().st_size - whole) < whole / 10
    assert asked(kept.parent) == (1, "")


def test_folders_that_cannot_be_written(kept, tmp_path):
    file = tmp_path / "file"
    file.touch()
    says = f"compiled programs are not kept in {file}: FileExistsError: [Errno 17] File exists: '{file}'\n"
    assert asked(file) == (0, says)
    kept.rename(tmp_path / "entry")
    kept.mkdir()
    hits, says = asked(kept.parent)
    kept.rmdir()
    (tmp_path / "entry").rename(kept)
    assert hits == 0
    assert says.startswith(f"compiled programs are not kept in {kept.parent}: IsADirectoryError: ")
    assert says.count("\n") == 1


def test_a_full_disk(tmp_path):
    """As a process sees it that may write no more than some bytes; what it leaves is made anew."""
    folder = tmp_path / "programs"
    hits, says = asked(folder, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n")
    assert (hits, says) == (0, f"compiled programs are not kept in {folder}: OSError: [Errno 27] File too large\n")
    assert [path.stat().st_size for path in folder.iterdir()] == [100]
    assert asked(folder) == (0, "")
    assert asked(folder) == (1, "")


def test_two_at_once(tmp_path):
    run, folder = untrained.clip_run(tmp_path / "run"), tmp_path / "programs"
    film = str(ROOT / "tests" / "release" / "film.mp4")
    command = [sys.executable, "-m", "l2l.infer", film, f"--run={run}", "--json"]
    how = {"env": environment(folder), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first, second = (subprocess.Popen(command, **how) for _ in range(2))
    said = [process.communicate(timeout=300) for process in (first, second)]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    said.append(subprocess.Popen(command, **how).communicate(timeout=300))
    top = [json.loads(out)["top"] for out, _ in said]
    assert top[0] == top[1] == top[2]
    assert [err for _, err in said] == [""] * 3
    assert before == {path: path.read_bytes() for path in folder.iterdir()}
    assert before
