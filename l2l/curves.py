"""The command `python -m l2l.curves`, see `evaluate/curves.py`."""

import argparse

from l2l.core import command


def parser() -> argparse.ArgumentParser:
    from l2l.evaluate import curves  # needs TensorFlow, the lack of which `command.run` tells

    return curves.parser()


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    from l2l.evaluate import curves

    return curves.main(argv)


if __name__ == "__main__":
    command.run(main)
