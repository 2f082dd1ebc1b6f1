"""A comparison: its arms, what may be chosen for each, and the differences that are asked for."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from l2l.compare.arms import Arm
from l2l.compare.films import Features

LOOKS = (10, 5, 3)
SKIMMER = {"steps": 10, "hidden": 128, "key": 64, "query": 128, "masking": True}
PICKS = {"selection": "straight_through", "count_start": False}
SOFT = {"selection": "soft", "count_start": True, "weigh": False, "index_by": "both"}  # the paper's recipe
GLANCE = {"steps": 10, "hidden": 64, "context": 9, "dropout": 0.5}  # of twice the width it takes twice as long
Grid = Mapping[str, Sequence[Any]]  # keys of one family with their candidates

# Of every key the first candidate is where the search starts.
RATES: dict[str, Sequence[Any]] = {"lr": (2e-3, 1e-3, 4e-3, 8e-3), "epochs": (30, 60)}
LSTM = RATES | {"weight_decay": (1e-4, 0.3, 1.0)}  # the paper's model has no dropout
# The classifier starts from the clip model's; at what share of the rate it goes on to learn.
READER: dict[str, Sequence[Any]] = RATES | {"dropout": (0.5, 0.3, 0.7, 0.85), "classifier": (0.1, 1.0)}
PLAIN = ("uniform", "random", "confident")  # selections that are also read with fewer looks
ONCE = ("front", "centre", "end")
SAMPLER = "sampler"  # the learned selection

Groups = list[dict[str, Features]]


@dataclasses.dataclass(frozen=True)
class Difference:
    """Top-1 of one way minus that of another, over the same videos.

    Attributes:
      ours, theirs: an arm and one of its answers, "T=5", "all", "soft" or "hard": "glance, T=5". The arm "best LSTM" is
        the one that is best on the validation split, in the way it was trained.
      where: "" for all videos, "silent" for those without sound.
    """

    ours: str
    theirs: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.ours} - {self.theirs}" + (f", {self.where} videos" if self.where else "")


@dataclasses.dataclass(frozen=True)
class Study:
    """What is compared on which videos.

    Attributes:
      groups: (names of the splits) -> students or folds: of each its features by name.
      arms: the rows.
      grids: of each family the keys to choose, with their candidates; the first is where the search starts.
      differences: that are asked for.
      lstm: the arms of which "best LSTM" is one.
      exits: the glance whose early exit is measured.
      drawn: arms of which there is a curve over all numbers of looks.
      crossed: whether the groups answer the same videos, see `bootstrap.joint`.
      seeds: of each arm.
    """

    groups: Callable[[Sequence[str]], Groups]
    arms: Sequence[Arm]
    grids: Mapping[str, Grid]
    differences: "Sequence[Difference]"
    crossed: bool
    lstm: Sequence[str] = ("LSTM, straight-through", "LSTM, straight-through, weighed", "LSTM, soft")
    exits: str = "glance"
    drawn: Sequence[str] = ("glance",)
    seeds: range = range(5)

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)


def selections(looks: Sequence[int] = LOOKS) -> list[Arm]:
    """Every selection that does not learn, read by the clip model's mean score, a trained mean and a trained judge.

    Of everything there is no judge: that is a glance's own.
    """
    arms = [Arm("everything, clip model", "scores"), Arm("everything, trained mean", "pooled", family="mean of all")]
    arms += [Arm("everything, trained max", "pooled", family="max", model={"pool": "max"})]
    arms += [Arm("everything, trained top-k", "pooled", family="top-k", model={"pool": "top"})]
    for count in looks:
        for name in (*PLAIN, "oracle", *(ONCE if count == looks[0] else ()), SAMPLER):
            arms += readers(name, count)
    return arms


def readers(selection: str, count: int, features: str = "own") -> list[Arm]:
    """What reads the positions that a selection chooses; the settings of one number of looks are chosen together."""
    at: dict[str, Any] = {"selection": selection, "count": count, "features": features}
    name = f"{selection} {count}" + (f" by {features}" if features != "own" else "")
    mean = Arm(f"{name}, trained mean", "pooled", family=f"mean of {count}", **at)
    arms = [mean, Arm(f"{name}, judge", "judge", family=f"judge of {count}", model=judge(), **at)]
    return arms if selection == SAMPLER else [Arm(f"{name}, clip model", "scores", **at), *arms]


def judge() -> dict[str, Any]:
    """Numbers of a judge alone; of the listener nothing is used."""
    return GLANCE | {"steps": 1, "hidden": 128}


def skimmers(**more: Any) -> list[Arm]:
    """The LSTM skimmer with both modalities: as hard selection is trained, with weighed looks, and as in the paper."""
    both = {"index_by": "both"}
    return [
        Arm("LSTM, straight-through", "skimmer", model=SKIMMER | PICKS | both | {"weigh": False}, **more),
        Arm("LSTM, straight-through, weighed", "skimmer", model=SKIMMER | PICKS | both | {"weigh": True}, **more),
        Arm("LSTM, soft", "skimmer", model=SKIMMER | SOFT, **more),
    ]
