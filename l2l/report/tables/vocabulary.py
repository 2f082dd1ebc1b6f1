"""What is measured and what rows are called, in the words that stand beside the tables."""

from collections.abc import Sequence

from l2l.report.charts import Chart, Series, chart
from l2l.report.tables.table import Row

# Looks of the series of a chart, in turn.
SHAPES = ("circle", "square", "diamond", "triangle", "inverse")
STYLES = ("accent", "image", "audio", "class3", "plain")

TOP1 = ("top-1", "share of the videos whose highest-scoring class is theirs, in percent")
MAP = ("mAP", "mean over the classes with positives of the average precision of their scores, in percent")
GMACS = ("GMACs", "10⁹ multiply-adds a video, counted per layer, mean over the test videos; decoding is not counted")
SPREAD = ("±", "sample standard deviation over the seeds")
HARD = ("hard", "only the positions that were picked are read: the honest number")
SOFT = ("soft", "attention-weighted sums over all positions are read, as the paper trains")
STRAIGHT = ("straight-through", "trained with hard selection whose gradient is that of the soft sum")
START = ("start counted", "the mean feature of the video is the first of the T looks, as in the paper")
HELD = (
    "held here",
    "yes or no by the mean difference over the seeds, both sides with the same seed; not certain where its 95 % "
    "interval (Student's t) does not lie wholly on that side",
)
COSTS = (
    ("indexing", "GMACs for what is computed at every position that is taken, to choose by it"),
    ("skimming", "GMACs of the skimmer itself"),
    ("recognition", "GMACs for what is computed at the looks alone"),
)

FEATURES = {"both": "image-audio", "image": "image", "audio": "audio"}
RECOGNISERS = {"r2plus1d": "R(2+1)D", "i3d": "I3D", "student": "another student"}
MODELS = {"lstm": "LSTM over all positions", "nonrecurrent": "non-recurrent, one query"}
SELECTIONS = {
    "random": "random",
    "uniform": "uniform",
    "front": "front",
    "centre": "centre",
    "end": "end",
    "confident": "most confident (SCSampler's idea)",
    "dense": "dense, all positions",
    "oracle": "oracle, best by the true class",
}
BLIND = ("random", "uniform", "front", "centre", "end", "confident", "dense")  # do not learn, do not know the truth


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
