"""Charts of the rows of tables."""

from collections.abc import Sequence

from l2l.report_plots import Chart, Series, chart
from l2l.tables.table import Row

# Looks of the series of a chart, in turn.
SHAPES = ("circle", "square", "diamond", "triangle", "inverse")
STYLES = ("accent", "image", "audio", "class3", "plain")


def look(number: int) -> tuple[str, str]:
    """(style, shape) of the number'th series of lines."""
    return STYLES[number % len(STYLES)], SHAPES[(number + number // len(STYLES)) % len(SHAPES)]


def against_cost(rows: Sequence[Row], key: str, y_name: str) -> list[Chart]:
    """One mark a row, means over the seeds."""
    series = []
    for number, row in enumerate(rows):
        x, y = row.mean("gmacs"), row.mean(key)
        if x and y is not None:
            own = STYLES[number % len(STYLES)], SHAPES[number // len(STYLES) % len(SHAPES)]
            series.append(Series(row.name, [(x, y)], *own, line=False))
    found = chart("Accuracy against cost", "GMACs, logarithmic", y_name, series, log=True, percent=True)
    return [found] if found else []
