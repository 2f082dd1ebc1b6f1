"""Finished run folders -> one self-contained HTML page: tables, curves, cost, and where a skimmer looked.

    python -m l2l.report runs/sample/teacher runs/sample/skim --out=runs/sample/report.html
    python -m l2l.report --table=all runs/paper --out=runs/paper/report.html

The second makes tables over seeds instead, of the runs that lie below the folders: a page, and beside it every value as
JSON, the tables as Markdown and one CSV each.

Any subset of runs will do. A run's own folder is enough for tables and plots; if RUN/curves.json is there, accuracy is
drawn at every stride too. Mistakes show pictures, and the timelines of a skim run pictures, sounds and a player, where
the directory of clips that the run has seen is still there and has a videos.json, as data_prep writes it ({video id:
path}, relative to that file; of a stretch {video id: {"path", "start", "end"}}, seconds, null where the video begins or
ends). Timelines also show where the action was if it has an actions.json ({video id: [[start, stop], ...]}, seconds).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from l2l.core import command
from l2l.report.run_page import page_of, write
from l2l.report.tables import formats as tables


def parser() -> argparse.ArgumentParser:
    what, _, more = __doc__.partition("\n")
    how = argparse.RawDescriptionHelpFormatter
    result = argparse.ArgumentParser(
        prog=command.program("l2l.report"), description=what, epilog=more, formatter_class=how
    )
    names = ", ".join([*tables.BUILDERS, tables.ALL])
    result.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="folder of a finished run, of any stage")
    result.add_argument("--table", metavar="NAME", help=f"tables over seeds: {names}; RUN may be a folder of runs")
    result.add_argument("--out", required=True, type=Path, help="the page to write, e.g. runs/sample/report.html")
    shown = command.number(int, 0)
    result.add_argument("--videos", type=shown, default=6, help="test videos shown per skim run (default: %(default)s)")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    return command.status(lambda: report(args))


def report(args: argparse.Namespace) -> None:
    """Writes the page or the tables, and says where."""
    if args.table:
        tables.write(args.table, args.runs, args.out)
    else:
        write(args.out, page_of(args.runs, args.videos, args.out.parent))
    print(args.out)


if __name__ == "__main__":
    command.run(main)
