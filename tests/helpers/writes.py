"""A command that says something, and writes which process it is."""

import os
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    run, name = arguments
    print(f"this is {name}", flush=True)
    Path(run, name).write_text(str(os.getpid()))
