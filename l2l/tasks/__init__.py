"""The tasks by name, and what every task does."""

from typing import Any, Protocol

import jax

from l2l.tasks.classify import Classify
from l2l.tasks.distill import Distill
from l2l.tasks.distill_preview import DistilPreview
from l2l.tasks.skim import Skim

Tree = dict[str, Any]


class Predictor(Protocol):
    """What a finished run is: batches in, predictions out."""

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """Arrays by name, a row for each example of the batch, among them "logits"."""
        ...


class Task(Predictor, Protocol):
    """What is optimised. `frozen` is what it reads and does not train, such as a teacher's variables."""

    def init(self, rng: jax.Array, batch: Tree, frozen: Tree) -> Tree:
        """Fresh variables, "params" and perhaps "batch_stats", for batches like this one."""
        ...

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """(loss, (new batch_stats, measurements)); loss and measurements are float scalars."""
        ...


TASKS: dict[str, type[Task]] = {"classify": Classify, "distill": Distill, "preview": DistilPreview, "skim": Skim}
