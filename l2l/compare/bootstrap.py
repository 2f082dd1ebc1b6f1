"""Intervals of differences between two ways, over the seeds, the students and the videos together."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

DRAWS = 10_000


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval, and the two-sided p-value of its being 0."""

    mean: float
    low: float
    high: float
    p: float


def joint(values: Sequence[np.ndarray], *, crossed: bool, draws: int = DRAWS, seed: int = 0) -> Interval:
    """The mean of values, resampled at every level that chance has a part in (percentile bootstrap; Efron, 1979).

    Args:
      values: of each group an array (seeds, v): of a student, or of a fold.
      crossed: True: the groups are students, drawn from all that there could be, who answer the same v videos.
        Students, the seeds of each, and the videos are drawn with replacement. False: the groups are folds, each with
        its own videos. All of them count, and seeds and videos are drawn within each.
      draws: how often.
      seed: of the draws.

    Raises:
      ValueError: crossed groups differ in shape.
    """
    rng = np.random.default_rng(seed)
    mean = float(np.mean([x.mean() for x in values]))
    if crossed:
        if len({x.shape for x in values}) > 1:
            raise ValueError(f"groups that answer the same videos have equal shapes, not {[x.shape for x in values]}")
        found = _crossed(np.stack(values), rng, draws)
    else:
        found = np.mean([_crossed(x[None], rng, draws) for x in values], axis=0)
    low, high = np.quantile(found, (0.025, 0.975))
    tail = min((found <= 0).sum(), (found >= 0).sum())
    return Interval(mean, float(low), float(high), float(min(1.0, 2 * (tail + 1) / (draws + 1))))


def _crossed(values: np.ndarray, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Means (draws,) of values (groups, seeds, v), drawn anew."""
    groups, seeds, count = values.shape
    rows = np.zeros((draws, groups, seeds))
    who = rng.integers(groups, size=(draws, groups))
    for own in who.T:
        rows[np.arange(draws), own] += rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
    videos = rng.multinomial(count, np.full(count, 1 / count), size=draws)  # (draws, v)
    means = rows.reshape(draws, -1) @ values.reshape(-1, count)  # (draws, v)
    return (means * videos).sum(axis=1) / (groups * seeds * count)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p-values of several comparisons -> corrected for their number (Holm, 1979), by the same names."""
    order = sorted(p, key=lambda name: p[name])
    found, largest = {}, 0.0
    for place, name in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - place) * p[name]))
        found[name] = largest
    return {name: found[name] for name in p}
