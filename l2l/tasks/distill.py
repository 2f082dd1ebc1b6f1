"""Distillation (section 3.1 of the paper): the student imitates the teacher's feature and scores; no labels."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.tasks import losses
from l2l.tasks.classify import Classify, top1

Tree = dict[str, Any]

BRIDGE = "bridge"  # its parameters stand beside the student's while it trains; a finished run leaves them out


@dataclasses.dataclass(frozen=True)
class Distill:
    """A student in training and its teacher.

    Attributes:
      student: sees the first frame and hears the sound of a clip.
      teacher: sees all frames; its variables are the frozen argument and its BatchNorm uses stored statistics. Where
        batches bring its answers, "teacher_logits" (b, k) and "teacher_feature" (b, d), it is not run and frozen is {}.
      weight: lambda of the cross-entropy term.
      feature_weight: of the L1 term.
      bridge: where the features differ in width, the linear layer from the student's to the teacher's, which only
        the loss reads.
    """

    student: Classify
    teacher: Classify
    weight: float
    feature_weight: float
    bridge: nn.Dense | None = None

    def init(self, rng: jax.Array, batch: Tree, frozen: Tree) -> Tree:
        """Fresh variables of the student, and of the bridge."""
        variables = self.student.init(rng, batch, frozen)
        if self.bridge is None:
            return variables
        feature = jnp.zeros((1, self.student.model.feature))
        bridge = self.bridge.init(jax.random.fold_in(rng, 1), feature)["params"]
        return variables | {"params": variables["params"] | {BRIDGE: bridge}}

    def _teach(self, frozen: Tree, batch: Tree) -> tuple[jax.Array, jax.Array]:
        if "teacher_logits" in batch:
            return tuple(batch[name].astype(jnp.float32) for name in ("teacher_logits", "teacher_feature"))
        logits, out, _ = self.teacher.forward(frozen["params"], frozen["batch_stats"], batch, train=False)
        return logits, out["feature"]

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """L1 + lambda * soft cross-entropy; (loss, (batch_stats, measurements)). Labels, if any, are only compared."""
        del rng
        teacher_logits, teacher_feature = self._teach(frozen, batch)
        logits, out, batch_stats = self.student.forward(params, batch_stats, batch, train=True)
        feature = out["feature"]
        if self.bridge is not None:
            feature = self.bridge.apply({"params": params[BRIDGE]}, feature)
        target = losses.probabilities(teacher_logits, self.teacher.multi_label)
        several = self.student.multi_label
        weights = {"weight": self.weight, "feature_weight": self.feature_weight}
        terms = losses.distillation(logits, feature, target, teacher_feature, multi_label=several, **weights)
        total, l1, soft = (losses.masked_mean(term, batch["mask"]) for term in terms)
        same = jnp.argmax(logits, axis=-1) == jnp.argmax(teacher_logits, axis=-1)
        measured = {"l1": l1, "soft": soft, "agree": losses.masked_mean(same, batch["mask"])}
        if batch["labels"].shape[-1]:
            measured["top1"] = top1(logits, batch)
        return total, (batch_stats, measured)

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """The student's outputs, and the teacher's logits as "logits_teacher"."""
        teacher_logits, _ = self._teach(frozen, batch)
        return self.student.predict(variables, {}, batch) | {"logits_teacher": teacher_logits}
