"""One stage of the data's way: trains (teacher, distill, finetune, preview, skim) or extracts features.

    python -m l2l.main --config=configs/distill.py[:VARIANT] [--config.KEY=VALUE ...]

A config that comes with this package may be named, --config=distill; any other is a file.

What the stage builds on and is missing is made first where the config says how. The same command continues a stopped
run and leaves a finished one alone; with more epochs it trains a finished one for longer, unless its rate falls along a
cosine. Every key, its default and its meaning: configs/common.py. The config's file is Python and is executed: take it
only from people whom you trust.
"""

import difflib
import logging
import os
import re
import signal
import sys
import traceback
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from l2l.core import command, distribution

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Which experiment: STAGE[:VARIANT] or configs/STAGE.py[:VARIANT].", lock_config=True
)


def run(config) -> None:
    """One stage of the data's way."""
    logging.getLogger("jax").setLevel(logging.WARNING)  # which backends it looked for
    absl_logging.set_verbosity(absl_logging.WARNING)  # orbax tells a page a save

    from l2l.core.terminal import say
    from l2l.runs import dependencies, processes, run_folder
    from l2l.runs.config import plain
    from l2l.runs.values import check_values

    check_values(config)
    distribution.demand("tensorflow")  # before anything is made that it builds on
    processes.start(config.distributed, config.patience)
    found = dependencies.ensure(config)
    path = Path(config.run)
    record = {"config": plain(config), "inputs": found}
    if dependencies.exists(path) and not run_folder.asks_longer(path, record):
        run_folder.check_same(path, record)
        say(f"{path} is finished; delete it to make it again")
        return
    if config.mode == "extract":
        from l2l.train.extract import extract

        extract(config, found)
    else:
        from l2l.train.loop import train

        train(config, found)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    try:
        run(CONFIG.value)
    except KeyboardInterrupt:
        interrupted(signal.SIGINT, None)
    except Exception as error:
        end(explain(error))


def parse(argv: list[str]) -> list[str]:
    """Reads the flags; a mistake among them ends the program with one line, --help with what it says and status 0."""
    if {"--help", "-h"} & set(argv):
        print(__doc__)
        sys.exit(0)
    try:
        argv = with_paths(argv)
        check_keys(argv)
        return flags.FLAGS(argv)
    except (flags.Error, ValueError, TypeError, OSError) as error:
        print(f"error: {error}\nSee {command.program('l2l.main')} --help", file=sys.stderr)
        sys.exit(1)


def with_paths(argv: list[str]) -> list[str]:
    """The same words, with the file of a config that was named: --config=distill:i3d -> --config=PATH:i3d."""
    from l2l.runs.config import config_file

    named = lambda before, word: word if before not in ("--config", "-config") else config_file(word)
    words = [named(before, word) for before, word in zip(["", *argv], argv, strict=False)]
    return [re.sub(r"^(--?config=)(.*)", lambda found: found[1] + config_file(found[2]), word) for word in words]


def check_keys(argv: list[str]) -> None:
    """Raises ValueError for no config, one that cannot be loaded, or a key it lacks, with the nearest that it has."""
    import flax.traverse_util

    from l2l.runs.config import load_config

    file = re.search(r" --?config[= ](\S+)", " ".join(argv))
    if not file:
        raise ValueError("say which stage: --config=configs/STAGE.py[:VARIANT]")
    known = flax.traverse_util.flatten_dict(load_config(file[1]).to_dict(), sep=".")
    for word in argv:
        key = word.removeprefix("--config.").partition("=")[0]
        if word.startswith("--config.") and key not in known:
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.4)
            raise ValueError(f"there is no config.{key}; did you mean {' or '.join(near)}?")


def interrupted(number: int, frame: object) -> None:
    """Ends at Ctrl-C or SIGTERM, but for the training loop, which saves first; what else takes long keeps what it has.

    An exception may drown in a library's import.
    """
    os.write(2, b"interrupted; the same command goes on from the last save\n")
    os._exit(command.INTERRUPTED if number == signal.SIGINT else command.STOPPED)


def explain(error: Exception) -> int:
    """Tells what went wrong: a line for a mistake that a person can mend, a trace for anything else; the exit code."""
    try:
        return command.explained(error)
    except Exception:
        traceback.print_exception(error)
        return command.FAILED


def end(code: int) -> None:
    """Ends the process; one of several that failed at once, as the others would only wait for each other."""
    import jax

    if jax.distributed.is_initialized() and code != command.STOPPED:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    command.run(lambda: app.run(main, flags_parser=parse))
