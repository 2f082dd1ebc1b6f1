"""A decoding process that does other things than decode: it dies, stalls, takes too much, or says what it should not.

Its values are texts, sent as pictures are, in a JPEG of one pixel's header.
"""

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from l2l.media.decoding import operations, worker
from l2l.media.decoding.decoder import MEMORY
from l2l.media.decoding.messages import Told
from l2l.media.picture.jpeg import encode_jpeg
from l2l.media.scan import MediaError

COMMAND = (sys.executable, "-m", "tests.helpers.stand_in_worker")
NOTES = ("sound track 2 of 3: it is the default one", "HDR (HLG): tone-mapped")
KEPT: list[np.ndarray] = []
JPEG = encode_jpeg(np.zeros((1, 1, 3), np.uint8), 90)


def text(value: object) -> bytes:
    return JPEG + str(value).encode()


def read(values) -> list[str]:
    """What was sent as texts."""
    return [value.removeprefix(JPEG).decode() for value in values]


def pids(path, count):
    for _ in range(count):
        yield text(os.getpid())


def fails(path):
    yield text(1)
    raise ValueError("no good")


def is_missing(path):
    yield text(1)
    raise MediaError("missing", path, "gone")


def takes_too_much(path):
    yield text(np.ones(MEMORY // 8 + 1).sum())


def keeps(path, size, film=None):
    """So many bytes more, for good."""
    KEPT.append(np.ones(size, np.uint8))
    yield text(os.getpid())


def dies(path, times, said=""):
    """Dies of a signal after its second value, so many times."""
    yield text(1)
    yield text(2)
    marks = Path(path)
    if len(marks.read_text()) < times:
        marks.write_text(marks.read_text() + "x")
        os.write(2, said.encode())
        os.kill(os.getpid(), signal.SIGSEGV)
    yield text(3)


def stalls(path):
    """Gives values, but for ever."""
    while True:
        time.sleep(0.05)
        yield text(path)


def prints(path):
    """To its standard output, as libraries may, and with a system call."""
    print("a line", flush=True)
    os.write(1, b"\0" * 1000)
    yield text("still here")


def ignores_ctrl_c(path):
    os.kill(os.getpid(), signal.SIGINT)
    yield text("still here")


def modules(path):
    yield text([name for name in ("jax", "tensorflow", "multiprocessing") if name in sys.modules])


def says(path, name, ends=False):
    """The bytes of a file, which may be no message, instead of an answer; then it may end."""
    os.write(int(sys.argv[2]), Path(name).read_bytes())
    if ends:
        os._exit(3)
    yield text("after it")


def deadly(operation):
    """An operation that dies of files of one name, and of another has something to note."""

    def does(path, **how):
        if "kills" in Path(path).name:
            os.kill(os.getpid(), signal.SIGABRT)
        for value in operation(path, **how):
            noted = "noted" in Path(path).name and isinstance(value, Told)
            yield dataclasses.replace(value, notes=NOTES) if noted else value

    return does


MORE = (pids, fails, is_missing, takes_too_much, keeps, dies, stalls, prints, ignores_ctrl_c, modules, says)
OPERATIONS = {name: deadly(x) for name, x in operations.OPERATIONS.items()} | {x.__name__: x for x in MORE}

if __name__ == "__main__":
    worker.main(OPERATIONS)
