"""Line charts as numbers for the page's template, which draws them as SVG and so escapes every name."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

WIDTH, HEIGHT = 400, 250  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 40  # margins around the axes
THOUSANDS = 1e4  # from here on ticks count in thousands, which fits beside the axis
MOST_POINTS = 300  # of a line; longer ones are thinned

# Outlines of the marks, around (0, 0).
SHAPES = {
    "none": "",
    "circle": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "square": "M-3.5-3.5h7v7h-7z",
    "diamond": "M0-4.8L4.8 0 0 4.8-4.8 0z",
    "triangle": "M0-4.8L4.6 3.6H-4.6z",
    "inverse": "M0 4.8L4.6-3.6H-4.6z",
}


@dataclasses.dataclass(frozen=True)
class Series:
    """What one entry of the legend stands for.

    Attributes:
      name: for the legend.
      points: (x, y) in the chart's units; y is None where nothing was measured.
      style: CSS class that gives it its colour and dashes.
      shape: of its marks, a key of SHAPES.
      line: whether its points are joined.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    style: str
    shape: str = "none"
    line: bool = True


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A series in pixels: SVG path data of its line and marks as (x, y, what it says)."""

    name: str
    style: str
    outline: str
    line: str
    marks: list[tuple[float, float, str]]


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart in pixels; ticks are (pixel, text)."""

    title: str
    x_name: str
    y_name: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    series: list[Drawn]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def chart(
    title: str, x_name: str, y_name: str, series: Sequence[Series], *, log: bool = False, percent: bool = False
) -> Chart | None:
    """Lays out a chart; None if there is nothing to draw.

    Args:
      title: what it shows.
      x_name: of the x axis, with its unit.
      y_name: of the y axis, likewise.
      series: without points they are left out; so are points with a None, which was not measured.
      log: a logarithmic x axis; every x must be positive.
      percent: y runs from 0 to 100, else from 0 to the largest value, as x does.
    """
    measured = [(s, [(x, y) for x, y in s.points if x is not None and y is not None]) for s in series]
    measured = [(s, points) for s, points in measured if points]
    if not measured:
        return None
    xs, ys = zip(*(point for _, points in measured for point in points), strict=True)
    right = max(*xs, 1e-9) * 1.04
    top = 100.0 if percent else max(*ys, 1e-9) * 1.05
    x_at, x_ticks = log_axis(min(xs), max(xs)) if log else linear_axis(0.0, right, LEFT, WIDTH - RIGHT)
    if all(float(x).is_integer() for x in xs):  # looks and steps: nothing lies between them
        x_ticks = [(at, text) for at, text in x_ticks if text.endswith("k") or float(text).is_integer()]
    y_at, y_ticks = linear_axis(0.0, top, HEIGHT - BOTTOM, TOP)
    return Chart(title, x_name, y_name, x_ticks, y_ticks, [draw(s, points, x_at, y_at) for s, points in measured])


def draw(
    series: Series,
    points: Sequence[tuple[float, float]],
    x_at: Callable[[float], float],
    y_at: Callable[[float], float],
) -> Drawn:
    """A series in pixels, at those of its points that were measured."""
    points = thinned(points)
    pixels = [(round(x_at(x), 1), round(y_at(y), 1)) for x, y in points]
    line = "M" + "L".join(f"{x:g} {y:g}" for x, y in pixels) if series.line and len(pixels) > 1 else ""
    shape = series.shape if line or series.shape != "none" else "circle"
    marks = [] if shape == "none" else [(*at, f"{x:.4g}: {y:.4g}") for at, (x, y) in zip(pixels, points, strict=True)]
    return Drawn(series.name, series.style, SHAPES[shape], line, marks)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS of them, evenly spread, both ends among them."""
    if len(points) <= MOST_POINTS:
        return list(points)
    return [points[i] for i in np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]


def linear_axis(low: float, high: float, start: float, stop: float) -> tuple[Callable, list[tuple[float, str]]]:
    """A map from values to pixels, and about five ticks."""
    at = lambda value: start + (value - low) / (high - low) * (stop - start)
    step = nice_step((high - low) / 5)
    values = np.arange(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1) * step
    text = lambda value: f"{value / 1e3:.6g}k" if value and high >= THOUSANDS else f"{value:.6g}"
    return at, [(round(at(value), 1), text(value)) for value in values]


def log_axis(low: float, high: float) -> tuple[Callable, list[tuple[float, str]]]:
    """As `linear_axis` along x, logarithmic, with room at both ends."""
    low, high = math.log10(low / 1.4), math.log10(high * 1.4)
    at = lambda value: LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - RIGHT - LEFT)
    powers = range(math.floor(low), math.ceil(high) + 1)
    digits = (1, 2, 5) if high - low < 2 else (1,)
    values = [digit * 10.0**power for power in powers for digit in digits]
    return at, [(round(at(v), 1), f"{v:g}") for v in values if low <= math.log10(v) <= high]


def nice_step(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
