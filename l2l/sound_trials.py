"""The command `python -m l2l.sound_trials`, see `evaluate/sound_robustness.py`."""

import argparse

from l2l.core import command


def parser() -> argparse.ArgumentParser:
    from l2l.evaluate import sound_robustness  # needs TensorFlow, the lack of which `command.run` tells

    return sound_robustness.parser()


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    from l2l.evaluate import sound_robustness

    return sound_robustness.main(argv)


if __name__ == "__main__":
    command.run(main)
