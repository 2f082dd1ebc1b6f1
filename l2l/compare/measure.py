"""Asks every arm, as it was chosen, about the test split; one file for each arm of each group, so that it resumes."""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from l2l.compare import arms, choice
from l2l.compare.arms import Arm
from l2l.compare.choice import Choice, family_of, numbers_of, settings_of
from l2l.compare.films import Features, Tree
from l2l.compare.study import SAMPLER, Groups, Study
from l2l.core import compile_cache, pool, trees
from l2l.core.atomic import hash_of
from l2l.core.terminal import say
from l2l.core.texts import clock

SPLIT = "test"
FOLDER = "answers"
DROPPED = ("inside_steps",)  # only for the share of looks inside, by number of looks


def measure(study: Study, out: Path, jobs: int = 1) -> tuple[Groups, Choice]:
    """Trains and asks whatever is not there yet, in so many processes.

    Raises:
      ChoiceError: there is no choice of the same features.
    """
    chosen = choice.read(study, study.groups(("train", "val")), out)
    groups = study.groups(("train", SPLIT))
    work = [(number, arm) for number in range(len(groups)) for arm in study.arms]
    left = [(number, arm) for number, arm in work if not is_there(study, groups[number], arm, chosen, out, number)]
    since, setup = time.perf_counter(), functools.partial(Asking, study, chosen, out)
    for done, (number, name) in enumerate(pool.each(Asking.keep, left, setup, jobs), 1):
        spent = time.perf_counter() - since
        say(f"[{done}/{len(left)}] {number}, {name}  spent {clock(spent)}  left {rest(spent, done, len(left))}")
    return groups, chosen


class Asking:
    """What asks arms about the test split, and keeps their answers."""

    def __init__(self, study: Study, chosen: Choice, out: Path):
        compile_cache.use()
        self.study, self.chosen, self.out, self.groups = study, chosen, out, study.groups(("train", SPLIT))
        self.sampler = functools.lru_cache(maxsize=1)(lambda number: sampler_of(study, self.groups[number], chosen))

    def keep(self, what: tuple[int, Arm]) -> tuple[int, str]:
        """Writes the answers of one arm of one group; its number, and the arm's name."""
        number, arm = what
        group = self.groups[number]
        found = ask(self.study, group, arm, self.chosen, functools.partial(self.sampler, number))
        key = {"key": np.asarray(key_of(self.study, group, arm, self.chosen))}
        path = path_of(self.out, number, arm)
        path.parent.mkdir(parents=True, exist_ok=True)
        trees.save_arrays(path, found | key)
        return number, arm.name


def rest(spent: float, done: int, count: int) -> str:
    """How long the rest takes, if it takes as long as what is done."""
    return clock(spent / done * (count - done))


def path_of(out: Path, group: int, arm: Arm) -> Path:
    """Where an arm's answers are."""
    return out / FOLDER / str(group) / f"{arm.name.replace(', ', '_').replace(' ', '-')}.npz"


def key_of(study: Study, group: dict[str, Features], arm: Arm, chosen: Choice) -> str:
    """Hash of all that an arm's answers depend on."""
    return hash_of([chosen.hash, dataclasses.asdict(arm), group[arm.features].hash, list(study.seeds)])


def is_there(study: Study, group: dict[str, Features], arm: Arm, chosen: Choice, out: Path, number: int) -> bool:
    """Whether an arm was asked already, as it is now."""
    path = path_of(out, number, arm)
    return path.is_file() and str(trees.load_arrays(path)["key"]) == key_of(study, group, arm, chosen)


def sampler_of(study: Study, group: dict[str, Features], chosen: Choice) -> Tree:
    """Variables of the group's learned sampler, whose choice several arms read."""
    sampler = study.arm(SAMPLER)
    settings = settings_of(chosen.families[family_of(sampler)])
    return arms.trained_sampler(sampler, group[sampler.features], settings, study.seeds)


def ask(
    study: Study, group: dict[str, Features], arm: Arm, chosen: Choice, sampler: Callable[[], Tree]
) -> dict[str, np.ndarray]:
    """See `arms.answers`; logits as float16. `sampler` gives the variables of `sampler_of`."""
    features = group[arm.features]
    if arm.kind == "scores":
        found = arms.answers(arm, features, settings_of({"lr": 0.0, "epochs": 0}), study.seeds, SPLIT)
    else:
        values = chosen.families[family_of(arm)]
        tried, settings = arm.chosen(numbers_of(values)), settings_of(values)
        if arm.kind != "sampler" and arm.selection == SAMPLER:
            what = study.arm(SAMPLER), sampler()
            found = arms.after_sampler(*what, tried, features, settings, study.seeds, SPLIT)
        else:
            found = arms.answers(tried, features, settings, study.seeds, SPLIT)
    kept = {name: value for name, value in found.items() if name not in DROPPED}
    if "inside_steps" in found:  # share of the first t looks that lie inside, float32 (seeds, v, T)
        counted = np.maximum(np.cumsum(found["counted"], axis=2), 1)
        kept["inside_first"] = (np.cumsum(found["inside_steps"], axis=2) / counted).astype(np.float32)
    return {
        name: value.astype(np.float16) if value.ndim > 2 and value.dtype.kind == "f" else value
        for name, value in kept.items()
    }
