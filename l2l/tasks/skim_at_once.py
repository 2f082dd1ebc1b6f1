"""Video classification by one glance: a judge of all positions teaches a listener which of them to read."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from l2l.models.skimmer import NEVER
from l2l.tasks import losses
from l2l.tasks.classify import top1
from l2l.tasks.skim import Skim, Tree


def divergence(attention: jax.Array, scores: jax.Array, may: jax.Array) -> jax.Array:
    """Kullback-Leibler divergence (b,) of softmax(scores) from an attention, both (b, n) and over marked positions.

    The attention's shares of the marked positions, bool (b, n), count as the whole of it.
    """
    kept = jnp.where(may, attention, 0)
    kept /= jnp.maximum(jnp.sum(kept, axis=-1, keepdims=True), 1e-9)
    told = jax.nn.log_softmax(jnp.where(may, scores, NEVER))
    return jnp.sum(jnp.where(may, kept * (jnp.log(kept + 1e-9) - told), 0), axis=-1)


def region_divergence(out: Mapping[str, Any]) -> jax.Array:
    """Divergence (b,) of the scorer's regions from the judge's within each picture, averaged by attention.

    With the listener's it is that of the product of both softmaxes from the judge's attention to all regions.
    """
    closer = jax.lax.stop_gradient(out["closer"])  # (b, n, r)
    each = divergence(closer, out["region_scores"], jnp.ones(closer.shape, bool))
    return jnp.sum(closer.sum(-1) * each, axis=-1)


@dataclasses.dataclass(frozen=True)
class SkimAtOnce(Skim):
    """The task of `models.glance.Glance`; frozen variables and attributes as of `Skim`, `head` has no meaning."""

    @property
    def falls_back(self) -> bool:
        """It chooses by image where a video has no sound."""
        return True

    @property
    def looks_closer(self) -> bool:
        """Whether the model sees regions of the pictures that it reads once more."""
        return bool(self.model.closer)

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """Cross-entropy of the judge, which reads all positions, and the listener's divergence from its attention.

        And that of what chooses regions, where pictures are seen closer.
        """
        batch = self.muted(batch, rng) if self.mute else batch
        dropout = {"dropout": jax.random.fold_in(rng, 1)}
        logits, out = self.model.apply({"params": params}, *self.inputs(batch, frozen), train=True, rngs=dropout)
        judge = losses.masked_mean(losses.classification(logits, batch["labels"], self.multi_label), batch["mask"])
        taught = divergence(jax.lax.stop_gradient(out["attention"]), out["scores"], out["may"])
        listener = losses.masked_mean(taught, batch["mask"])
        measured = {"top1": top1(logits, batch), "judge": judge, "listener": listener}
        if self.looks_closer:
            measured["regions"] = losses.masked_mean(region_divergence(out), batch["mask"])
            listener += measured["regions"]
        return judge + listener, (batch_stats, measured)

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """The answer from the listener's choice, "logits", from everything, "logits_all", and from plain selections.

        With them looks (b,), step_logits (b, T, k), and picked, counted and worth (b, T); listener (b, n), its scores;
        region (b, T), where pictures are seen closer.
        """
        inputs = self.inputs(batch, frozen)
        hard, out = self.model.apply(variables, *inputs, train=False, hard=True)
        every, _ = self.model.apply(variables, *inputs, train=False)
        names = ("step_logits", "picked", "counted", "worth", *(("region",) if self.looks_closer else ()))
        steps = {name: jnp.swapaxes(out[name], 0, 1) for name in names}
        found = {"logits": hard, "logits_all": every, "looks": out["looks"], "listener": out["scores"]}
        return found | steps | self.selected(frozen, batch, self.model.steps)
