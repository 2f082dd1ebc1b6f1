"""The command `python -m l2l.sure`, see `evaluate/fit_early_exit.py`."""

from l2l.core import command
from l2l.evaluate.fit_early_exit import main, parser

__all__ = ("main", "parser")

if __name__ == "__main__":
    command.run(main)
