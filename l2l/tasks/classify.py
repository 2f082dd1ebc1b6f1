"""Clip classification with labels: trains the teacher, fine-tunes the student."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.backbones.frontend import log_mel, prepare_frames
from l2l.tasks import losses
from l2l.tasks.glances import Glances

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Classify:
    """A clip model with what it expects of pixels.

    Attributes:
      model: (frames (b, t, h, w, 3), log-mel (b, m, 40), train) -> (logits, intermediates).
      crop: side of its input, pixels.
      mean, std: of each colour channel on the scale 0..1.
      multi_label: whether a clip may be of several classes, each judged by itself; else they share one softmax.
      glances: if given, predictions describe the regions of the picture too.
    """

    model: nn.Module
    crop: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    multi_label: bool = False
    glances: Glances | None = None

    def init(self, rng: jax.Array, batch: Tree, frozen: Tree) -> Tree:
        """Fresh variables for batches like this one."""
        del frozen
        return dict(self.model.init(rng, *self._inputs(batch), train=False))

    def _inputs(self, batch: Tree) -> tuple[jax.Array, jax.Array]:
        return prepare_frames(batch["frames"], self.crop, self.mean, self.std), log_mel(batch["audio"])

    def forward(self, params: Tree, batch_stats: Tree, batch: Tree, *, train: bool) -> tuple[jax.Array, Tree, Tree]:
        """(logits (b, k), intermediates, new batch statistics); training updates the statistics."""
        variables = {"params": params, "batch_stats": batch_stats}
        if not train:
            return *self.model.apply(variables, *self._inputs(batch), train=False), batch_stats
        (logits, out), new = self.model.apply(variables, *self._inputs(batch), train=True, mutable=["batch_stats"])
        return logits, out, new["batch_stats"]

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """Cross-entropy with the labels; (loss, (batch_stats, measurements))."""
        del frozen, rng
        logits, _, batch_stats = self.forward(params, batch_stats, batch, train=True)
        loss = losses.masked_mean(losses.classification(logits, batch["labels"], self.multi_label), batch["mask"])
        return loss, (batch_stats, {"top1": top1(logits, batch)})

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """logits (b, k) and the descriptors "image", "audio" and "feature" that the model has, (b, d) each.

        With `glances` also "cells" (b, r * c) and "regions" (b, r * d).
        """
        del frozen
        logits, out, _ = self.forward(variables["params"], variables["batch_stats"], batch, train=False)
        found = {"logits": logits} | {key: out[key] for key in ("image", "audio", "feature") if key in out}
        if self.glances is None:
            return found
        eye, pictures = {kind: tree["image"] for kind, tree in variables.items()}, batch["frames"][:, 0]
        near = {"cells": self.glances.cells(eye, pictures), "regions": self.glances.regions(eye, pictures)}
        return found | near


def top1(logits: jax.Array, batch: Tree) -> jax.Array:
    """Share of the real rows whose best class is among their labels."""
    best = jnp.argmax(logits, axis=-1)
    hit = jnp.take_along_axis(batch["labels"], best[:, None], axis=-1)[:, 0]
    return losses.masked_mean(hit, batch["mask"])
