"""Distillation (section 3.1 of the paper): the student imitates the teacher's feature and softmax; no labels."""

import dataclasses
from typing import Any

import jax

from l2l import losses
from l2l.tasks.classify import Classify, top1

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Distill:
    """A student in training and its teacher.

    Attributes:
      student: sees the first frame and hears the sound of a clip.
      teacher: sees all frames; its variables are the frozen argument and its BatchNorm uses stored statistics.
      weight: lambda of the cross-entropy term.
    """

    student: Classify
    teacher: Classify
    weight: float

    def init(self, rng: jax.Array, batch: Tree, frozen: Tree) -> Tree:
        """Fresh variables of the student."""
        return self.student.init(rng, batch, frozen)

    def _teach(self, frozen: Tree, batch: Tree) -> tuple[jax.Array, jax.Array]:
        logits, out, _ = self.teacher.forward(frozen["params"], frozen["batch_stats"], batch, train=False)
        return logits, out["feature"]

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """L1 + lambda * soft cross-entropy; (loss, (batch_stats, measurements))."""
        del rng
        teacher_logits, teacher_feature = self._teach(frozen, batch)
        logits, out, batch_stats = self.student.forward(params, batch_stats, batch, train=True)
        terms = losses.distillation(logits, out["feature"], teacher_logits, teacher_feature, self.weight)
        total, l1, soft = (losses.masked_mean(term, batch["mask"]) for term in terms)
        return total, (batch_stats, {"l1": l1, "soft": soft, "top1": top1(logits, batch)})

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """The student's outputs, and the teacher's logits as "logits_teacher"."""
        teacher_logits, _ = self._teach(frozen, batch)
        return self.student.predict(variables, {}, batch) | {"logits_teacher": teacher_logits}
