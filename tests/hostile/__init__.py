"""Hostile files, kind by kind: `python -m tests.hostile`."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of file, every case of which must be read, or refused in one line.

    `cases` makes the files of one case after the other below an empty folder and yields what is wrong with them, and a
    function that reads them as a command would. The same seed makes the same cases. `refusals` are the errors that a
    command says in one line; whatever else is raised counts as a crash.
    """

    name: str
    cases: Callable[[Path, random.Random], Iterator[tuple[str, Callable[[], object]]]]
    refusals: tuple[type[Exception], ...]
    count: int  # cases that `make soak` tries; `make test` tries a tenth
    memory: int = 1 << 29  # bytes that reading one case may add to what the process held before
    seconds: float = 30.0  # of one case
