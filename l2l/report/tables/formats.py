"""Tables from run folders as files: a page, Markdown, CSV and JSON."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from l2l.core import atomic
from l2l.core.atomic import replacing
from l2l.report import render
from l2l.report.runs import stamp
from l2l.report.tables import (
    ablations,
    clips,
    early_exit,
    groups,
    moments,
    regions,
    sound,
    trade_offs,
)
from l2l.report.tables.groups import Group
from l2l.report.tables.table import Table, as_json, claim_lines, comma_separated, heads, lines, markdown
from l2l.runs import provenance
from l2l.runs.run_folder import RunError

ALL = "all"
BUILDERS: dict[str, Callable[[Sequence[Group]], list[Table]]] = {
    "table1": moments.tables,
    "clips": clips.tables,
    "stride": trade_offs.stride,
    "steps": trade_offs.steps,
    "frontier": trade_offs.frontier,
    "sure": early_exit.tables,
    "sound": sound.tables,
    "ablations": ablations.tables,
    "multi_label": ablations.several_labels,
    "closer": regions.tables,
}


def build(name: str, paths: Sequence[Path]) -> tuple[list[Table], dict[str, str]]:
    """The tables, and those left out with the reason, which there are only among "all".

    Raises:
      RunError: unknown name, an unfinished run, no run of the kind, or none of all tables can be made.
    """
    if name not in (ALL, *BUILDERS):
        raise RunError(f"unknown table {name!r}: choose from {', '.join([*BUILDERS, ALL])}")
    found = groups.grouped(groups.find(paths))
    if name != ALL:
        return BUILDERS[name](found), {}
    made, left_out = [], {}
    for key, builder in BUILDERS.items():
        if key == "ablations":  # which runs are to be compared is for somebody to say
            continue
        try:
            made += builder(found)
        except RunError as error:
            left_out[key] = str(error)
    if not made:
        whose = {why: ", ".join(k for k, v in left_out.items() if v == why) for why in left_out.values()}
        told = "; ".join(f"{tables}: {why}" for why, tables in whose.items())
        raise RunError(f"none of the tables can be made: {told:.900}")
    return made, left_out | {"ablations": "asked for by name, over the runs that are to be compared"}


def write(name: str, paths: Sequence[Path], out: Path) -> None:
    """Writes the page `out` and, beside it, results.json and results.md (NAME.json and .md of one table), and NAME.csv.

    Raises:
      RunError: as `build`.
    """
    made, left_out = build(name, paths)
    stem = "results" if name == ALL else name
    facts = {"made": stamp(time.time()), "code": provenance.code_version(), "left_out": left_out}
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_json(out.parent / f"{stem}.json", facts | {"tables": {t.name: as_json(t) for t in made}})
    text(out.parent / f"{stem}.md", "\n".join(markdown(table) for table in made))
    for table in made:
        text(out.parent / f"{table.name}.csv", comma_separated(table))
    values = {"heads": heads, "lines": lines, "claim_lines": claim_lines}
    title = ", ".join(str(path) for path in paths)
    text(out, render.render("tables.html", title=title, tables=made, stem=stem, **facts, **values))


def text(path: Path, content: str) -> None:
    """Either the old file or the whole new one."""
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
