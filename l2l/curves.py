"""The command `python -m l2l.curves`, see `evaluate/curves.py`."""

from l2l.core import command
from l2l.evaluate.curves import main, parser

__all__ = ("main", "parser")

if __name__ == "__main__":
    command.run(main)
