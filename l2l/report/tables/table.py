"""A table of results over seeds: means and spreads, the paper's figures beside them, which orderings held."""

import csv
import dataclasses
import io
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import t as student_t

from l2l.report.charts import Chart

INFINITE = float("inf")
BETTER = (0.0, INFINITE)  # where a difference must lie for "above"


@dataclasses.dataclass(frozen=True)
class Column:
    """A measured quantity; `paper` says whether the paper has figures for it."""

    key: str
    name: str
    digits: int = 1
    paper: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """One configuration.

    Attributes:
      name: for people.
      values: column -> seed -> value.
      paper: column -> the paper's value.
    """

    name: str
    values: Mapping[str, Mapping[int, float]]
    paper: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def mean(self, column: str) -> float | None:
        own = self.values.get(column)
        return statistics.fmean(own.values()) if own else None

    def spread(self, column: str) -> float | None:
        """Sample standard deviation over the seeds; None of one seed."""
        own = self.values.get(column, {})
        return statistics.stdev(own.values()) if len(own) > 1 else None

    @property
    def seeds(self) -> int:
        return max((len(own) for own in self.values.values()), default=0)


@dataclasses.dataclass(frozen=True)
class Claim:
    """An ordering of the paper: over the same seeds, a difference that should lie within (low, high).

    Attributes:
      text: the ordering in words.
      differences: percentage points, one a seed.
      low, high: bounds of what is claimed.
      paper: the paper's own difference, if it has one.
    """

    text: str
    differences: tuple[float, ...]
    low: float = 0.0
    high: float = INFINITE
    paper: float | None = None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.differences)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean (Student's t over the seeds); None of one seed."""
        count = len(self.differences)
        if count < 2:
            return None
        half = float(student_t.ppf(0.975, count - 1)) * statistics.stdev(self.differences) / count**0.5
        return self.mean - half, self.mean + half

    @property
    def holding(self) -> int:
        """For how many seeds it held."""
        return sum(self.low < value < self.high for value in self.differences)

    @property
    def verdict(self) -> str:
        """yes or no where the whole interval says so; else what the mean says, and that it is not certain."""
        held = self.low < self.mean < self.high
        if self.interval is None:
            return f"{'yes' if held else 'no'} (one seed)"
        low, high = self.interval
        certain = self.low < low and high < self.high if held else high <= self.low or low >= self.high
        return ("yes" if held else "no") + ("" if certain else ", not certain")


@dataclasses.dataclass(frozen=True)
class Table:
    """One table or figure of the paper, or of what it does not have.

    Attributes:
      name: on the command line and of its files.
      title, text: what it shows.
      columns, rows: its cells.
      claims: the orderings that it can tell.
      definitions: (term, what it means), of all that is in it.
      sources: what every run it was made from is, see `groups.source`.
      charts: its plots.
    """

    name: str
    title: str
    text: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    claims: Sequence[Claim]
    definitions: Sequence[tuple[str, str]]
    sources: Sequence[Mapping[str, Any]]
    charts: Sequence[Chart] = ()


def claim(text: str, above: Row, below: Row, column: str, low: float = 0.0, high: float = INFINITE) -> Claim | None:
    """above - below over the seeds that both have; None if they share none."""
    ours, theirs = above.values.get(column, {}), below.values.get(column, {})
    differences = tuple(ours[seed] - theirs[seed] for seed in ours if seed in theirs)
    known = column in above.paper and column in below.paper
    paper = above.paper[column] - below.paper[column] if known else None
    return Claim(text, differences, low, high, paper) if differences else None


def claims(found: Sequence[Claim | None]) -> list[Claim]:
    """Those that could be told."""
    return [one for one in found if one is not None]


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def cell(row: Row, column: Column) -> str:
    """ "56.6 ± 2.4", or without a spread where there is none, as with one seed; "" where it was not measured."""
    mean, spread = row.mean(column.key), row.spread(column.key)
    return number(mean, column.digits) + (f" ± {number(spread, column.digits)}" if spread else "")


def heads(table: Table) -> list[str]:
    """The columns' names, the paper's beside ours."""
    return ["", *(name for c in table.columns for name in ([c.name, f"paper: {c.name}"] if c.paper else [c.name]))]


def lines(table: Table) -> list[list[str]]:
    """The cells as text, one list a row."""
    found = []
    for row in table.rows:
        cells = [row.name]
        for column in table.columns:
            cells.append(cell(row, column))
            if column.paper:
                cells.append(number(row.paper.get(column.key), 1))
        found.append(cells)
    return found


def claim_lines(table: Table) -> tuple[list[str], list[list[str]]]:
    """What the page and the Markdown say of the orderings: heads and cells, the paper's where it has any of them."""
    known = any(one.paper is not None for one in table.claims)
    head = ["ordering", "difference", "95 % interval", "seeds for it", "held here"]
    return [*head, *["paper's difference"] * known], [claim_line(one, known) for one in table.claims]


def claim_line(one: Claim, known: bool) -> list[str]:
    interval = one.interval
    return [
        one.text,
        f"{one.mean:+.2f}",
        "" if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}",
        f"{one.holding} of {len(one.differences)}",
        one.verdict,
        *["" if one.paper is None else f"{one.paper:+.1f}"] * known,
    ]


def markdown(table: Table) -> str:
    """Title, text, cells, orderings and definitions."""
    parts = [f"## {table.title}", table.text, grid(heads(table), lines(table))]
    if table.claims:
        parts.append(grid(*claim_lines(table)))
    parts.append("\n".join(f"- {term}: {meaning}" for term, meaning in table.definitions))
    return "\n\n".join(parts) + "\n"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    safe = lambda cells: "| " + " | ".join(x.replace("|", "\\|") for x in cells) + " |"
    return "\n".join([safe(head), "|" + "---|" * len(head), *(safe(row) for row in rows)])


def comma_separated(table: Table) -> str:
    """One line a row and column: row, column, seeds, mean, spread, paper, and the value of each seed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", "column", "seeds", "mean", "spread", "paper", "values"])
    for row in table.rows:
        for column in table.columns:
            own = row.values.get(column.key, {})
            if own:
                spread, paper = row.spread(column.key), row.paper.get(column.key)
                shown = ["" if x is None else repr(x) for x in (row.mean(column.key), spread, paper)]
                writer.writerow([row.name, column.name, len(own), *shown, " ".join(map(repr, own.values()))])
    return out.getvalue()


def as_json(table: Table) -> dict[str, Any]:
    """All of it, with the value of every seed."""
    cells = lambda row: {
        c.key: {
            "mean": row.mean(c.key),
            "spread": row.spread(c.key),
            "values": {str(seed): value for seed, value in row.values[c.key].items()},
        }
        for c in table.columns
        if row.values.get(c.key)
    }
    return {
        "title": table.title,
        "text": table.text,
        "columns": {c.key: c.name for c in table.columns},
        "rows": [{"name": row.name, "cells": cells(row), "paper": dict(row.paper)} for row in table.rows],
        "orderings": [
            {
                "text": one.text,
                "differences": list(one.differences),
                "mean": one.mean,
                "interval": one.interval,
                "held": one.verdict,
                "paper": one.paper,
            }
            for one in table.claims
        ],
        "definitions": dict(table.definitions),
        "sources": list(table.sources),
    }
