"""What is compared: ways to choose positions, ways to read them, and how each is trained and asked."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from l2l import models
from l2l.compare import training
from l2l.compare.films import Features, Tree, cut
from l2l.compare.rivals import Classified, Pooled, Sampler
from l2l.models.positions import highest, mean_logits, ranks
from l2l.models.skimmer import Skimmer
from l2l.tasks.selections import SELECTIONS, Videos
from l2l.tasks.skim import Skim, scores_of
from l2l.tasks.skim_at_once import SkimAtOnce

KINDS = ("skimmer", "glance", "query", "judge", "pooled", "scores", "sampler")
MUTE = 0.25  # share of the training videos whose sound a listener does not hear


@dataclasses.dataclass(frozen=True)
class Arm:
    """One row, or one row for each number of looks.

    Attributes:
      name: of the row.
      kind: "skimmer" (the paper's), "glance", "query" (a single learned one), "judge" or "pooled" (trained on what
        `selection` chooses), "scores" (the clip model's, averaged over what `selection` chooses; nothing is trained),
        "sampler" (a learned one, whose choice is averaged as of "scores").
      features: of which features of a student, "own", "preview" or "small".
      family: arms of one family are trained with the same settings; "": with those of its own name.
      model: numbers of the model.
      selection: what chooses the positions, of `selections.SELECTIONS`, or "sampler", the learned one.
      count: how many it chooses.
    """

    name: str
    kind: str
    features: str = "own"
    family: str = ""
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    selection: str = "dense"
    count: int = 0

    def chosen(self, changes: Mapping[str, Any]) -> "Arm":
        """The arm with other numbers of its model: those of `changes` that are its model's."""
        return dataclasses.replace(self, model=dict(self.model) | dict(changes))


def task_of(arm: Arm, features: Features) -> Any:
    """What is trained."""
    more: dict[str, Any] = {"recogniser": features.recogniser}
    numbers: dict[str, Any] = {"num_classes": features.classes, "fusion": features.fusion} | dict(arm.model)
    if arm.kind == "skimmer":
        heard = MUTE if arm.model.get("fallback") else 0.0
        return Skim(models.get("skimmer", **numbers), 0.0, mute=heard, **more)
    if arm.kind == "glance":
        return SkimAtOnce(models.get("glance", **numbers), 0.0, mute=MUTE, **more)
    if arm.kind == "sampler":
        return Sampler(models.get("glance", **numbers), 0.0, mute=MUTE, **more)
    if arm.kind == "query":
        return Skim(models.get("nonrecurrent", **numbers), 0.0, **more)
    if arm.kind == "judge":  # it reads all that it is given; nobody asks its listener, which learns nothing
        return Classified(models.get("glance", **numbers), 0.0, **more)
    if arm.kind == "pooled":
        return Classified(Pooled(**numbers), 0.0, **more)
    raise ValueError(f"unknown kind {arm.kind!r}; choose from {', '.join(KINDS)}")


def answers(
    arm: Arm, features: Features, settings: training.Settings, seeds: range, split: str
) -> dict[str, np.ndarray]:
    """Trains an arm on the split "train" and asks it about another: logits, and where it looks.

    Returns:
      Arrays whose first axis is that of the seeds, with v videos, k classes and up to T looks:
        steps: (seeds, v, T, k), the logits after each look, of a skimmer, a glance and a sampler.
        picked: int (seeds, v, T) and counted bool, its choice; of a skimmer with two modalities (seeds, v, 2 T).
        all: (seeds, v, k), of what reads everything that it is given.
        inside: (seeds, v), the share of the positions that are read which lie in a labelled stretch; NaN: none is.
    """
    if arm.kind == "scores":
        found = _scores(features, _marks(arm, features, split), split)
        return {"all": found[None], "inside": _share(features.splits[split], _marks(arm, features, split))[None]}
    task, frozen = task_of(arm, features), features.frozen
    learn, ask = (features.splits[name] for name in ("train", split))
    if arm.kind in ("judge", "pooled") and arm.selection == "sampler":
        raise ValueError("the sampler's choice is of a seed: use `after_sampler`")
    if arm.kind in ("judge", "pooled") and arm.selection != "dense":
        learn, ask = (cut(features.splits[name], _marks(arm, features, name), arm.count) for name in ("train", split))
    variables = training.train(task, frozen, learn, settings, seeds)
    return asked(task, variables, frozen, ask)


def asked(
    task: Any, variables: Tree, frozen: Tree, videos: Tree, *, of_each_seed: bool = False
) -> dict[str, np.ndarray]:
    """What a trained task says of videos, see `answers`, and for `of_each_seed` `training.train`."""
    known: dict[type, Callable] = {SkimAtOnce: _glance, Sampler: _sampler, Classified: _whole}
    ask = known.get(type(task), _skimmer if isinstance(task.model, Skimmer) else _query)
    call = lambda *x: ask(task, *x)
    found = training.each_seed(call, variables, frozen, _placed(videos), of_each_seed=of_each_seed)
    if "picked" in found and "inside" in videos:
        there = np.take_along_axis(videos["inside"][None].repeat(len(found["picked"]), 0), found["picked"], 2)
        found["inside"] = (there & found["counted"]).sum(2) / np.maximum(found["counted"].sum(2), 1)
        found["inside_steps"] = there & found["counted"]
    return found


def _placed(videos: Tree) -> Tree:
    return {name: jnp.asarray(value) for name, value in videos.items()}


def _glance(task: SkimAtOnce, variables: Tree, frozen: Tree, videos: Tree) -> Tree:
    inputs = task.inputs(videos, frozen)
    _, out = task.model.apply(variables, *inputs, train=False, hard=True)
    every, _ = task.model.apply(variables, *inputs, train=False)
    steps = {"steps": out["step_logits"], "picked": out["picked"], "counted": out["counted"]}
    return {"all": every} | {name: jnp.swapaxes(value, 0, 1) for name, value in steps.items()}


def _skimmer(task: Skim, variables: Tree, frozen: Tree, videos: Tree) -> Tree:
    ways = task.both(variables, frozen, videos)
    (_, out), (_, soft) = ways["hard"], ways["soft"]
    picked = jnp.concatenate(list(out["picked"].values()))  # (modalities T, b)
    counted = jnp.concatenate([out["counted"]] * len(out["picked"]))
    steps = {"steps": out["step_logits"], "soft": soft["step_logits"], "picked": picked, "counted": counted}
    return {name: jnp.swapaxes(value, 0, 1) for name, value in steps.items()}


def _query(task: Skim, variables: Tree, frozen: Tree, videos: Tree) -> Tree:
    ways = task.both(variables, frozen, videos)
    return {"hard": ways["hard"][0], "all": ways["soft"][0]}


def _whole(task: Classified, variables: Tree, frozen: Tree, videos: Tree) -> Tree:
    return {"all": task.model.apply(variables, *task.inputs(videos, frozen), train=False)[0]}


def _sampler(task: Sampler, variables: Tree, frozen: Tree, videos: Tree) -> Tree:
    _, out = task.model.apply(variables, *task.inputs(videos, frozen), train=False, hard=True)
    scores = clip_scores(task, frozen, videos)
    order = ranks(out["scores"], out["may"])
    counts = jnp.arange(1, task.model.steps + 1)
    means = jax.vmap(lambda c: mean_logits(scores, (order < c) & out["may"], False), out_axes=1)(counts)
    return {"steps": means, "picked": out["picked"].T, "counted": out["counted"].T}


def clip_scores(task: Skim, frozen: Tree, videos: Tree) -> jax.Array:
    """Scores (v, n, k) that the clip model which recognises gives every position."""
    image, audio, _, fusion, recognition, *_ = task.inputs(videos, frozen)
    if recognition is not None:
        return scores_of(frozen["recogniser"], recognition, False)
    return scores_of(frozen, task.model.fusion.apply(fusion, image, audio), False)


def _marks(arm: Arm, features: Features, split: str) -> jax.Array:
    """Which positions of a split's videos a selection that does not learn chooses, bool (v, n)."""
    task, videos = task_of(_ANY, features), _placed(features.splits[split])
    image, audio, valid, fusion, *_ = task.inputs(videos, features.frozen)
    feature: Any = features.fusion.apply(fusion, image, audio)
    index = scores_of(features.frozen, feature, False)
    truth = jnp.einsum("bnk,bk->bn", clip_scores(task, features.frozen, videos), videos["labels"])
    known = Videos(valid, videos["example"], confidence=index.max(-1), truth=truth)
    return SELECTIONS[arm.selection](known, arm.count)


_ANY = Arm("any", "pooled")  # a task for its inputs alone


def _scores(features: Features, marks: jax.Array, split: str) -> np.ndarray:
    """Mean score of the clip model over marked positions, logits (v, k)."""
    task, videos = task_of(_ANY, features), _placed(features.splits[split])
    return np.asarray(mean_logits(clip_scores(task, features.frozen, videos), marks, False))


def _share(videos: Tree, marks: jax.Array) -> np.ndarray:
    """Share of the marked positions of each video that lie in a labelled stretch, (v,); NaN if nobody labelled any."""
    if "inside" not in videos:
        return np.full(len(videos["mask"]), np.nan)
    read = np.asarray(marks)
    return (videos["inside"] & read).sum(1) / np.maximum(read.sum(1), 1)


def trained_sampler(sampler: Arm, features: Features, settings: training.Settings, seeds: range) -> Tree:
    """Variables of a sampler, see `training.train`."""
    task = task_of(sampler, features)
    return training.train(task, features.frozen, features.splits["train"], settings, seeds)


def after_sampler(
    sampler: Arm,
    variables: Tree,
    arm: Arm,
    features: Features,
    settings: training.Settings,
    seeds: range,
    split: str,
) -> dict[str, np.ndarray]:
    """As `answers` of an arm that reads what a sampler of the same seed chooses.

    Args:
      sampler, variables: which, see `trained_sampler`.
      arm, features, settings, seeds, split: as of `answers`.
    """
    task, frozen = task_of(sampler, features), features.frozen

    def marks(own: Tree, frozen: Tree, videos: Tree) -> jax.Array:
        _, out = task.model.apply(own, *task.inputs(videos, frozen), train=False, hard=True)
        return highest(out["scores"], out["may"], arm.count)

    def chosen(name: str) -> Tree:
        """A split's videos, cut to what the sampler of every seed chooses."""
        each = training.each_seed(marks, variables, frozen, _placed(features.splits[name]))
        own = [cut(features.splits[name], jnp.asarray(marked), arm.count) for marked in each]
        return jax.tree.map(lambda *x: jnp.stack(x), *own)

    reader, learn, ask = task_of(arm, features), chosen("train"), chosen(split)
    trained = training.train(reader, frozen, learn, settings, seeds, of_each_seed=True)
    return asked(reader, trained, frozen, ask, of_each_seed=True)
