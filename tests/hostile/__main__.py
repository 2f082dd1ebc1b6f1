"""Damaged and hostile files by kind, and how the readers of this project fare with each: a table.

    python -m tests.hostile [KIND ...]                 # a tenth of the cases; all of them with L2L_SOAK=1
    python -m tests.hostile KIND --case=N [--seed=N]   # one case again, with the trace of what it raises

Every case must be read, or refused in one line, in bounded memory and time. Each kind is tried in a process of its own
(`trial.py`), so that one that dies or hangs costs one case. The table is Markdown. Exit status 1 if anything crashed,
hung or took too much; the first cases that did are named. Kinds stand in the
files that MODULES names, as `KINDS`.
"""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence

from tests.hostile import Kind

SHARE = 1 if os.environ.get("L2L_SOAK") else 10  # of how many cases one is tried
NAMED = 10  # cases that failed, of one kind
MODULES = ("films", "models", "runs", "service", "shards")


def kinds() -> dict[str, tuple[str, Kind]]:
    """Name -> (module, kind) of all there are."""
    modules = [f"tests.hostile.{name}" for name in MODULES]
    return {kind.name: (module, kind) for module in modules for kind in importlib.import_module(module).KINDS}


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m tests.hostile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("kinds", metavar="KIND", nargs="*", help="names of kinds (default: all)")
    result.add_argument("--case", type=int, metavar="N", help="the one case of this number, in this process")
    result.add_argument("--seed", type=int, default=0, help="another number makes other cases (default: %(default)s)")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    from tests.hostile import trial

    args, found = parser().parse_args(argv), kinds()
    if unknown := [name for name in args.kinds if name not in found]:
        parser().error(f"there is no kind {unknown[0]!r}; there are {', '.join(found)}")
    if args.case is not None:
        if len(args.kinds) != 1:
            parser().error("--case is of one kind")
        return trial.again(found[args.kinds[0]][1], args.case, args.seed)
    print(trial.HEAD, flush=True)
    failed = []
    for name in args.kinds or found:
        module, kind = found[name]
        began = time.monotonic()
        account = trial.tried(module, kind, -(-kind.count // SHARE), args.seed)
        print(account.row(kind, time.monotonic() - began), flush=True)
        failed += [f"{kind.name} --case={number} --seed={args.seed}: {said}" for number, said in account.failed[:NAMED]]
    print("", *failed, sep="\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
