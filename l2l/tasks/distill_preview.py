"""Distils a student's audio trunk into a preview of it, whose descriptors and answers are to be the same. No labels."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.backbones.frontend import log_mel
from l2l.tasks import losses
from l2l.tasks.classify import Classify, top1

Tree = dict[str, Any]

EAR = "audio"  # the audio trunk's name among a student's variables


class Ear(nn.Module):
    """An audio trunk under the name that it has in a student."""

    audio: nn.Module

    def __call__(self, log_mel: jax.Array) -> jax.Array:
        """Descriptors (b, d) in training."""
        return self.audio(log_mel, train=True)


@dataclasses.dataclass(frozen=True)
class DistilPreview:
    """A finished student as the teacher, and the same student with a preview in the place of its audio trunk.

    Attributes:
      student: with the preview, which alone is trained; the rest of its variables are the teacher's.
      teacher: the finished student; its variables are the frozen argument.
      ear: the preview itself.
      fusion: the module between descriptors and feature, of both.
      weight: lambda of the cross-entropy with the teacher's scores, beside the L1 of the audio descriptors.
    """

    student: Classify
    teacher: Classify
    ear: nn.Module
    fusion: nn.Module
    weight: float

    def init(self, rng: jax.Array, batch: Tree, frozen: Tree) -> Tree:
        """The teacher's variables with a fresh preview."""
        fresh = self.student.init(rng, batch, {})
        return {kind: frozen[kind] | {EAR: fresh[kind][EAR]} for kind in fresh}

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """L1 + lambda * soft cross-entropy; (loss, (batch_stats, measurements))."""
        del rng
        target_logits, target, _ = self.teacher.forward(**frozen, batch=batch, train=False)
        audio, ear_stats = self._hear(params[EAR], batch_stats[EAR], batch)
        logits = self._answer(frozen["params"], target["image"], audio)
        scores = losses.probabilities(target_logits, self.teacher.multi_label)
        terms = losses.distillation(logits, audio, scores, target["audio"], self.weight, self.student.multi_label)
        total, l1, soft = (losses.masked_mean(term, batch["mask"]) for term in terms)
        same = jnp.argmax(logits, axis=-1) == jnp.argmax(target_logits, axis=-1)
        measured = {"l1": l1, "soft": soft, "agree": losses.masked_mean(same, batch["mask"])}
        if batch["labels"].shape[-1]:
            measured["top1"] = top1(logits, batch)
        return total, (batch_stats | {EAR: ear_stats}, measured)

    def _hear(self, params: Tree, batch_stats: Tree, batch: Tree) -> tuple[jax.Array, Tree]:
        """Descriptors (b, d) of the preview in training, and its new batch statistics."""
        variables = {"params": {EAR: params}, "batch_stats": {EAR: batch_stats}}
        audio, new = Ear(self.ear).apply(variables, log_mel(batch["audio"]), mutable=["batch_stats"])
        return audio, new["batch_stats"][EAR]

    def _answer(self, params: Tree, image: jax.Array, audio: jax.Array) -> jax.Array:
        """Logits (b, k) of the teacher's fusion and classifier."""
        feature = self.fusion.apply({"params": params["fusion"]}, image, audio)
        return feature @ params["classifier"]["kernel"] + params["classifier"]["bias"]

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """The student's outputs, and the teacher's logits as "logits_teacher"."""
        teacher_logits, _, _ = self.teacher.forward(**frozen, batch=batch, train=False)
        return self.student.predict(variables, {}, batch) | {"logits_teacher": teacher_logits}
