"""A finished run -> one file that runs wherever JAX does, without this package's models.

    python -m l2l.export RUN --out=FILE.l2l

The file holds the run's programs for CPU, CUDA and TPU (`jax.export`; any number of clips, videos and positions), their
constants, the labels and how clips are cut. `l2l.load(FILE)`, `infer --run=FILE` and `serve --run=FILE` take it in
place of a run folder. It is a program: take such a file only from people whom you trust. Its layout, and how to run it
with JAX alone, stand in `l2l/inference/from_export.py`.
"""

import argparse
from collections.abc import Sequence

from l2l.core import command


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("l2l.export"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("run", metavar="RUN", help="folder of a finished run")
    result.add_argument("--out", required=True, help="file to write")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    return command.status(lambda: export(args))


def export(args: argparse.Namespace) -> None:
    """Writes the file and says what is in it."""
    from l2l.export import writer  # takes seconds: --help need not wait

    print(writer.export(args.run, args.out))


if __name__ == "__main__":
    command.run(main)
