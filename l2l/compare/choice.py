"""What is chosen, on the validation split alone, before anybody looks at the test split."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from l2l.compare import arms
from l2l.compare.arms import Arm
from l2l.compare.films import Features
from l2l.compare.study import SAMPLER, Groups, Study
from l2l.compare.training import Settings
from l2l.core import atomic, compile_cache, pool
from l2l.core.atomic import hash_of, read_json
from l2l.core.terminal import say

FILE, TRIALS = "choice.json", "trials"
SEEDS = 2  # over which a trial is averaged: there are many, and only one is kept
LOSS = 0.01  # of top-1, that an early exit may cost on the validation split
OF_TRAINING = ("lr", "epochs", "weight_decay", "classifier")  # what is chosen; the rest are numbers of a model


class ChoiceError(ValueError):
    """There is no choice, or it is of something else; the message names the cure."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """What choice.json says.

    Attributes:
      families: settings of each family of arms.
      best_lstm: the arm that is called so.
      threshold: a video is done once the best score of a look's answer is larger.
      hash: of all of it, and of what it was chosen on.
    """

    families: Mapping[str, Mapping[str, Any]]
    best_lstm: str
    threshold: float
    hash: str


def family_of(arm: Arm) -> str:
    """Whose settings an arm has."""
    return arm.family or arm.name


def settings_of(values: Mapping[str, Any]) -> Settings:
    """How a model is trained."""
    scale = (("classifier/.*", values.get("classifier", 0.1)),)
    own = {key: values[key] for key in ("lr", "epochs", "weight_decay") if key in values}
    return Settings(lr_scale=scale, **own)


def numbers_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of the model among what is chosen."""
    return {key: value for key, value in values.items() if key not in OF_TRAINING}


def top1(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the best class (..., v, k) is a true one of (v, k), float (..., v)."""
    best = logits.argmax(axis=-1)
    return np.take_along_axis(np.broadcast_to(labels, logits.shape), best[..., None], -1)[..., 0].astype(np.float64)


def value(arm: Arm, found: Mapping[str, np.ndarray], labels: np.ndarray) -> float:
    """Mean top-1 of what an arm answers in the way it was trained, over seeds and videos."""
    key = "soft" if arm.model.get("selection") == "soft" else "all" if "steps" not in found else "steps"
    logits = found[key][:, :, -1] if found[key].ndim == 4 else found[key]
    return float(top1(logits, labels).mean())


def choose(study: Study, out: Path, jobs: int = 1) -> Choice:
    """Searches every family's grid in so many processes, and writes choice.json; trials that are there are kept."""
    setup, names = functools.partial(Trials, study, out / TRIALS), list(study.grids)
    families: dict[str, dict[str, Any]] = {}
    for done, (family, record) in enumerate(pool.each(Trials.search, names, setup, jobs), 1):
        families[family] = record
        say(f"{done}/{len(names)} {family}: {record['chosen']}, {100 * record['val']:.1f} % on val")
    families = {name: families[name] for name in names}
    trials = setup()
    best = max(study.lstm, key=lambda name: families[family_of(study.arm(name))]["val"])
    glance = study.arm(study.exits)
    found = trials.answers(glance, families[family_of(glance)]["chosen"])
    labels = trials.features(glance).splits["val"]["labels"]
    record = {
        "features": hashes(trials.groups),
        "seeds": list(study.seeds),
        "families": families,
        "best_lstm": best,
        "threshold": threshold(found["steps"], labels),
    }
    atomic.write_json(out / FILE, record | {"hash": hash_of(record)})
    return read(study, trials.groups, out)


def hashes(groups: Groups) -> list[dict[str, str]]:
    """Of the features of every group."""
    return [{name: features.hash for name, features in group.items()} for group in groups]


def read(study: Study, groups: Groups, out: Path) -> Choice:
    """choice.json.

    Raises:
      ChoiceError: there is none, it was edited, or it was chosen on other features or for other arms.
    """
    path, cure = out / FILE, "choose again (the command choose), before test is read"
    if not path.is_file():
        raise ChoiceError(f"{path} does not exist: {cure}")
    record = read_json(path.read_text(encoding="utf-8"))
    said = record.pop("hash", None)
    if said != hash_of(record):
        raise ChoiceError(f"{path} was edited: its hash does not fit; delete it and {cure}")
    if record["features"] != hashes(groups) or record["seeds"] != list(study.seeds):
        raise ChoiceError(f"{path} was chosen on other features or seeds: delete it and {cure}")
    if record["families"].keys() != study.grids.keys():
        raise ChoiceError(f"{path} was chosen for other arms: delete it and {cure}")
    families = {name: family["chosen"] for name, family in record["families"].items()}
    return Choice(families, record["best_lstm"], record["threshold"], said)


def threshold(steps: np.ndarray, labels: np.ndarray) -> float:
    """The confidence with the fewest mean looks that costs no more than LOSS of top-1.

    Args:
      steps: (seeds, v, T, k), logits after each look.
      labels: (v, k).
    """
    full = top1(steps[:, :, -1], labels).mean()
    best = 1.0
    for tried in np.linspace(1.0, 0.0, 101):
        if stopped(steps, labels, float(tried))[0] < full - LOSS:
            break
        best = float(tried)
    return best


def stopped(steps: np.ndarray, labels: np.ndarray, limit: float) -> tuple[float, float]:
    """(top-1, mean looks) of stopping once the best score is larger than a limit."""
    right, looks = exits(steps, labels, limit)
    return float(right.mean()), float(looks.mean())


def exits(steps: np.ndarray, labels: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether each video's last answer is right, (seeds, v), and after how many looks it came."""
    scores = np.exp(steps - steps.max(-1, keepdims=True))
    sure = (scores / scores.sum(-1, keepdims=True)).max(-1) > limit  # (seeds, v, T)
    last = np.where(sure.any(-1), sure.argmax(-1), steps.shape[2] - 1)
    found = np.take_along_axis(steps, last[..., None, None], 2)[:, :, 0]
    return top1(found, labels), last + 1


class Trials:
    """What arms say of the first group's validation split; each setting is trained once, and kept in a folder."""

    def __init__(self, study: Study, folder: Path):
        compile_cache.use()
        self.study, self.folder, self.groups = study, folder, study.groups(("train", "val"))
        folder.mkdir(parents=True, exist_ok=True)

    def search(self, family: str) -> tuple[str, dict[str, Any]]:
        """The name of a family, and the best of its grid, searched one key after another."""
        arm = next(a for a in self.study.arms if family_of(a) == family and a.selection != SAMPLER)
        grid = self.study.grids[family]
        chosen = {key: candidates[0] for key, candidates in grid.items()}
        for key, candidates in grid.items():
            values = [self.value(arm, chosen | {key: own}) for own in candidates]
            chosen[key] = candidates[int(np.argmax(values))]
        return family, {"chosen": chosen, "val": self.value(arm, chosen), "arm": arm.name}

    def features(self, arm: Arm) -> Features:
        return self.groups[0][arm.features]

    def answers(self, arm: Arm, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """See `arms.answers`."""
        tried = arm.chosen(numbers_of(values))
        return arms.answers(tried, self.features(arm), settings_of(values), self.study.seeds[:SEEDS], "val")

    def value(self, arm: Arm, values: Mapping[str, Any]) -> float:
        """Mean top-1."""
        of = [dataclasses.asdict(arm), dict(values), self.features(arm).hash, SEEDS]
        path = self.folder / f"{hash_of(of)}.json"
        if not path.is_file():
            found = self.answers(arm, values)
            labels = self.features(arm).splits["val"]["labels"]
            atomic.write_json(path, {"arm": arm.name, "settings": dict(values), "top1": value(arm, found, labels)})
        return read_json(path.read_text(encoding="utf-8"))["top1"]
