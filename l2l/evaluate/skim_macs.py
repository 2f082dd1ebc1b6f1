"""Multiply-adds of a video model itself, over features that are there, traced once for videos of every length.

What is counted is what a prediction needs: a program that answers after every look, or classifies every position to
average over a few, does more.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from l2l.models.baselines import NonRecurrent, VideoLSTM
from l2l.models.glance import Glance
from l2l.models.macs import Program, random_key, shape, traced
from l2l.models.skimmer import Skimmer

VideoModel = Skimmer | Glance | VideoLSTM | NonRecurrent


@dataclasses.dataclass(frozen=True)
class Features:
    """Widths of what a video model reads of each position.

    Attributes:
      image, audio: of the descriptors.
      recognition: of another model's feature, which answers; 0: there is none.
      cells, regions: of what describes all regions of a picture, before and after they are seen closer, if they are.
    """

    image: int
    audio: int
    recognition: int = 0
    cells: int = 0
    regions: int = 0


@dataclasses.dataclass(frozen=True)
class Parts:
    """Multiply-adds of a video model on one video.

    Attributes:
      once: of every video, and of a skimmer that takes no step.
      position: of each position.
      step: of each of a skimmer's steps; step_position: of each step and position.
      look: of each position that is looked at.
    """

    once: int = 0
    position: int = 0
    step: int = 0
    step_position: int = 0
    look: int = 0

    def of(self, positions: int, steps: int, looks: int) -> int:
        """Their sum for so many of each."""
        every = self.once + positions * self.position + looks * self.look
        return every + steps * (self.step + positions * self.step_position)


def parts(model: VideoModel, features: Features) -> Parts:
    """Those of a model with its fusion, over positions that are all at its stride."""
    if isinstance(model, Skimmer):
        # Whether the start counts changes no product; nor does a fallback, of videos that have sound.
        return _of_skimmer(model.clone(steps=1, stride=1, fallback=0, count_start=False), features)
    if isinstance(model, Glance):
        return _of_glance(model.clone(steps=1, stride=1), features)
    return _of_all(model, features)


class Answers:
    """The programs of a video model that answer for a video by hard selection.

    Attributes:
      model: which.
      features: what it reads.
      variables: shapes of its variables.
    """

    def __init__(self, model: VideoModel, features: Features) -> None:
        self.model, self.features = model, features
        fusion, widths = model.fusion, [shape(1, width) for width in (features.image, features.audio)]
        self._fusion = jax.eval_shape(fusion.init, random_key(), *widths)
        self.variables = jax.eval_shape(
            lambda key, inputs: model.init(key, **inputs, train=False, hard=True), random_key(), self._inputs(2)
        )

    def of(self, positions: int, **changes: Any) -> Program:
        """What makes the "logits" of a video of so many positions, of the model with other numbers."""
        model = self.model.clone(**changes)
        answer = lambda variables, inputs: model.apply(variables, **inputs, train=False, hard=True)
        return traced(lambda *x: {"logits": answer(*x)[0]}, self.variables, self._inputs(positions))

    @property
    def classification(self) -> int:
        """Multiply-adds of classifying one feature: as many as the classifier has weights."""
        return math.prod(self.variables["params"]["classifier"]["kernel"].shape)

    def _inputs(self, positions: int) -> dict[str, Any]:
        """Arguments of the model, of one video."""
        found = self.features
        of = lambda width: shape(1, positions, width)
        inputs: dict[str, Any] = {"image": of(found.image), "audio": of(found.audio)}
        inputs |= {"mask": shape(1, positions, dtype=jnp.bool_), "fusion_params": self._fusion}
        if found.recognition:
            inputs["recognition"] = of(found.recognition)
        if found.regions:
            inputs["glances"] = {"cells": of(found.cells), "regions": of(found.regions)}
        return inputs


@functools.lru_cache(maxsize=128)
def _of_skimmer(model: Skimmer, features: Features) -> Parts:
    """A program of one step answers once. Of more steps its scan has as many rounds, and as many looks are weighed."""
    answers = Answers(model, features)
    two, three = answers.of(2), answers.of(3)
    after = lambda rounds: _split(*(program.macs("logits", rounds=rounds) for program in (two, three)))
    (once, position), (then, each) = after(0), after(1)
    worth = _worth(answers) if model.weigh else 0
    return Parts(once - worth, position, step=then - once + worth, step_position=each - position)


def _worth(answers: Answers) -> int:
    """Multiply-adds of weighing one look."""
    read = answers.variables["params"]["classifier"]["kernel"].shape[0]
    weigh = lambda variables, look: answers.model.apply(variables, look, method=lambda model, x: model.worth(x))
    return traced(lambda *x: {"worth": weigh(*x)}, answers.variables, shape(1, read)).macs("worth")


@functools.lru_cache(maxsize=128)
def _of_glance(model: Glance, features: Features) -> Parts:
    """The listener hears every position, the judge reads some of them; a program answers after every look."""
    answers = Answers(model.clone(closer=""), dataclasses.replace(features, cells=0, regions=0))
    last, one = answers.classification, answers.of(1).macs("logits")
    look = answers.of(2, steps=2).macs("logits") - answers.of(2).macs("logits") - last
    position = one - look - last
    if model.closer:  # regions are scored of those pictures alone that are read
        look += Answers(model, features).of(1).macs("logits") - one
    return Parts(last, position, look=look)


@functools.lru_cache(maxsize=128)
def _of_all(model: VideoLSTM | NonRecurrent, features: Features) -> Parts:
    """A query has scores of all positions; its program classifies all, to average over those that are looked at."""
    averages = isinstance(model, NonRecurrent)
    answers = Answers(model.clone(num_classes=0) if averages else model, features)
    once, position = _split(*(answers.of(n).macs("logits") for n in (2, 3)))
    return Parts(once, position, look=Answers(model, features).classification if averages else 0)


def _split(two: int, three: int) -> tuple[int, int]:
    """(a, b) of a count a + n b, from those of two and of three positions."""
    return 3 * two - 2 * three, three - two
