"""Kinds of files whose readers do what readers must not, to test what tries them."""

import ctypes
import os
import sys
import time

from tests.hostile import Kind

MEGABYTE = 1 << 20


def refuse(text):
    raise ValueError(text)


def allocate(megabytes):
    return len(bytearray(os.urandom(1)) * (megabytes * MEGABYTE))


def numbers(folder, dice):
    """Reads and refuses by turns what lies in a file; the number of a case is what its dice say."""
    while True:
        (folder / "file").write_text(str(dice.randrange(100)))
        number = (folder / "file").read_text()
        yield f"number {number}", lambda number=number: int(number) % 2 == 0 or refuse(f"{number} is odd")


def one_after_the_other(*readers):
    def cases(folder, dice):
        for number, read in enumerate(readers):
            yield f"reader {number}", read

    return cases


def good():
    return 1


FINE = Kind("fine", numbers, (ValueError,), 20)
CRASHES = Kind("crashes", one_after_the_other(good, lambda: {}["x"], good, lambda: sys.exit(0), good), (ValueError,), 5)
DIES = Kind("dies", one_after_the_other(good, os.abort, lambda: ctypes.string_at(0), good), (ValueError,), 4)
HANGS = Kind("hangs", one_after_the_other(good, lambda: time.sleep(60), good), (ValueError,), 3, seconds=1.0)
GREEDY = Kind(
    "greedy",
    one_after_the_other(lambda: allocate(30), lambda: allocate(300), good),
    (ValueError,),
    3,
    memory=100 * MEGABYTE,
)
WORDY = Kind(
    "wordy",
    one_after_the_other(
        lambda: refuse("one line"), lambda: refuse("two\nlines"), lambda: refuse("x" * 1001), lambda: refuse(" ")
    ),
    (ValueError,),
    4,
)
SHORT = Kind("short", one_after_the_other(good), (ValueError,), 2)
NONE = Kind("none", lambda folder, dice: iter([{}["x"]]), (ValueError,), 2)
KINDS = (FINE, CRASHES, DIES, HANGS, GREEDY, WORDY, SHORT, NONE)
