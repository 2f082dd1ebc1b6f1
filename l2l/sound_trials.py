"""The command `python -m l2l.sound_trials`, see `evaluate/sound_robustness.py`."""

from l2l.core import command
from l2l.evaluate.sound_robustness import main, parser

__all__ = ("main", "parser")

if __name__ == "__main__":
    command.run(main)
