"""A picture of top-1 by number of looks, and by what they cost."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l.core import atomic


def draw(points: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes it as PNG.

    Args:
      points: each with its "arm", "looks", "top1", its interval "low" and "high" in percent, and "gmacs" or None.
      path: of the picture.
    """
    from matplotlib import figure

    costly = all(point["gmacs"] is not None for point in points)
    names = {"looks": "looks", "gmacs": "GMACs a video"} if costly else {"looks": "looks"}
    drawing = figure.Figure(figsize=(6 * len(names), 4.5), layout="constrained")
    for axes, (key, name) in zip(drawing.subplots(ncols=len(names), squeeze=False)[0], names.items(), strict=True):
        for arm, own in itertools.groupby(points, key=lambda point: point["arm"]):
            of = list(own)
            x, y, low, high = ([point[k] for point in of] for k in (key, "top1", "low", "high"))
            (line,) = axes.plot(x, y, "o-", label=arm, markersize=3)
            axes.fill_between(x, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
        axes.set(xlabel=name, ylabel="top-1, %")
        axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    with atomic.replacing(path) as temporary:
        drawing.savefig(temporary, dpi=120, format="png")
