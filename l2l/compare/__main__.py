"""Ways to choose the moments of a video beside each other: the same features, the same videos, settings of their own.

    python -m l2l.compare choose DIR      # settings, on the validation split alone: DIR/compare/choice.json
    python -m l2l.compare measure DIR     # the test split: DIR/compare/results.md and results.json

DIR is what configs/sweep_listen.py made: students, their previews, and the features of both. `measure` refuses to read
the test split without the choice, or when what was chosen on has changed. Both go on where they were interrupted.
"""

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path

import jax

from l2l.compare import choice, measure, results
from l2l.compare.sample import study_of
from l2l.compare.study import Study
from l2l.core import command, pool
from l2l.core.terminal import say
from l2l.core.texts import clock

WHERE = "compare"
MOST = 8  # processes, each of which holds all features


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=command.program("l2l.compare"), description=__doc__.splitlines()[0])
    made.add_argument("what", choices=("choose", "measure"), help="choose settings, or measure with those chosen")
    made.add_argument("runs", type=Path, metavar="DIR", help="folder that l2l.sweep --sweep=listen made")
    return made


def run(what: str, study: Study, out: Path) -> None:
    """One of the two steps, in a process for each CPU core, up to MOST; in one where an accelerator computes.

    Raises:
      ChoiceError, ShardError, RunError, ValueError: what it needs is not there, or does not fit.
    """
    jobs = min(pool.cores(), MOST) if jax.default_backend() == "cpu" else 1
    if what == "choose":
        choice.choose(study, out, jobs)
        say(f"{out / choice.FILE}: the test split may be read now")
        return
    groups, chosen = measure.measure(study, out, jobs)
    print(results.write(results.Results(study, groups, chosen, out), out), end="")


def attempt(what: str, study: Callable[[], Study], out: Path) -> int:
    """`run`, with what goes wrong in one line; the exit status."""

    def work() -> None:
        since = time.perf_counter()
        run(what, study(), out)
        say(f"took {clock(time.perf_counter() - since)}")

    return command.status(work, interrupted="interrupted; the same command goes on")


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return attempt(args.what, functools.partial(study_of, args.runs), args.runs / WHERE)


if __name__ == "__main__":
    command.run(main)
