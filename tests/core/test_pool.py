"""Work in several processes: each has a core and a state of its own, and none outlives who asked."""

import functools
import os
import subprocess
import sys
import time

import pytest

from l2l.core import pool


def state(log):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    return {"begun": time.monotonic()}


def cores_of(state, number):
    return number * number, os.getpid(), len(os.sched_getaffinity(0))


def fails(state, number):
    if number == 3:
        raise ValueError(f"number {number}")
    return number


def dies(state, number):
    os._exit(1)


def test_here_it_is_done_in_order(tmp_path):
    found = list(pool.each(cores_of, range(4), functools.partial(state, tmp_path / "log"), 1))
    assert [square for square, *_ in found] == [0, 1, 4, 9]
    assert {process for _, process, _ in found} == {os.getpid()}


def test_every_process_has_one_core_and_is_set_up_once(tmp_path):
    found = list(pool.each(cores_of, range(12), functools.partial(state, tmp_path / "log"), 2))
    assert sorted(square for square, *_ in found) == [n * n for n in range(12)]
    assert {count for *_, count in found} == {1}
    processes = {process for _, process, _ in found}
    assert os.getpid() not in processes
    begun = (tmp_path / "log").read_text().split()
    assert len(begun) == len(set(begun)) <= 2
    assert {str(process) for process in processes} == set(begun)


@pytest.mark.parametrize(("work", "error"), [(fails, "number 3"), (dies, "one of 2 worker processes died")])
def test_what_goes_wrong_is_raised(work, error, tmp_path):
    with pytest.raises((ValueError, ChildProcessError), match=error):
        list(pool.each(work, range(8), functools.partial(state, tmp_path / "log"), 2))


SCRIPT = """
import functools, os, sys, time
from l2l.core import pool
from tests.core import test_pool
list(pool.each(test_pool.waits, range(2), functools.partial(test_pool.state, sys.argv[1]), 2))
"""


def waits(state, number):
    time.sleep(60)


def test_no_process_outlives_one_that_is_killed(tmp_path):
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, str(log)])
    until = time.monotonic() + 60
    while time.monotonic() < until and not (log.is_file() and len(log.read_text().split()) == 2):
        time.sleep(0.1)
    begun = [int(x) for x in log.read_text().split()]
    parent.kill()
    parent.wait()
    alive = lambda: [x for x in begun if os.path.exists(f"/proc/{x}")]
    while time.monotonic() < until and alive():
        time.sleep(0.1)
    assert len(begun) == 2
    assert not alive()
