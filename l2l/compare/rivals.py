"""What a listener is compared with, beside the video models: pooling of everything, and a learned clip sampler."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.compare.films import Tree
from l2l.models.baselines import fused
from l2l.models.skimmer import NEVER
from l2l.tasks import losses
from l2l.tasks.skim import Skim, scores_of

POOLS = ("mean", "max", "top")


class Pooled(nn.Module):
    """Classifies every position that there is, and pools the logits over the positions.

    Attributes:
      num_classes: k.
      fusion: the clip model's fusion module; its frozen variables are an argument of the call.
      pool: "mean"; "max", of each class the position that speaks most for it; or "top", the mean of its `count` best.
      count: see there.
      dropout: share of a video's features that is left out in training, of all its positions alike.
    """

    num_classes: int
    fusion: nn.Module
    pool: str = "mean"
    count: int = 5
    dropout: float = 0.5

    @nn.compact
    def __call__(
        self,
        image: jax.Array,
        audio: jax.Array,
        mask: jax.Array,
        fusion_params: Tree,
        recognition: jax.Array | None = None,
        has_audio: jax.Array | None = None,
        *,
        train: bool,
        hard: bool = False,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Arguments as those of `models.glance.Glance` -> (logits (b, k) float32, {})."""
        del has_audio, hard
        seen = fused(self.fusion, image, audio, mask, fusion_params) if recognition is None else recognition
        # The same features of all positions: what is left out of each alone, their mean would bring back.
        drop = nn.Dropout(self.dropout, broadcast_dims=(1,), deterministic=not train)
        seen = drop(jnp.where(mask[..., None], seen, 0))
        logits = nn.Dense(self.num_classes, name="classifier")(seen)  # (b, n, k)
        if self.pool == "mean":
            return jnp.sum(logits * mask[..., None], 1) / jnp.maximum(mask.sum(-1), 1)[:, None], {}
        count = 1 if self.pool == "max" else min(self.count, logits.shape[1])
        best = jax.lax.top_k(jnp.where(mask[..., None], logits, NEVER).swapaxes(1, 2), count)[0]  # (b, k, count)
        there = jnp.arange(count) < mask.sum(-1)[:, None, None]
        return jnp.sum(jnp.where(there, best, 0), -1) / jnp.maximum(there.sum(-1), 1), {}


@dataclasses.dataclass(frozen=True)
class Classified(Skim):
    """The task of a model with dropout that is taught by the video's label alone."""

    @property
    def falls_back(self) -> bool:
        """The sound of videos without any counts as zeros."""
        return True

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """Cross-entropy; (loss, (batch_stats, {}))."""
        dropout = {"dropout": jax.random.fold_in(rng, 1)}
        logits, _ = self.model.apply({"params": params}, *self.inputs(batch, frozen), train=True, rngs=dropout)
        each = losses.classification(logits, batch["labels"], self.multi_label)
        return losses.masked_mean(each, batch["mask"]), (batch_stats, {})


@dataclasses.dataclass(frozen=True)
class Sampler(Skim):
    """A learned clip sampler: what is cheap of a position is ranked by how well the clip model would do there.

    SCSampler (Korbar, Tran, Torresani, ICCV 2019, section 3.2), the ranking loss: of two positions of a video, the one
    whose score of the true class is higher is to be ranked higher, by a margin. It has the listener's network and
    inputs; the model is a `Glance`, of which only the listener is trained.
    """

    margin: float = 1.0

    @property
    def falls_back(self) -> bool:
        """It chooses by image where a video has no sound."""
        return True

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """Mean hinge over the pairs of a video's positions; (loss, (batch_stats, {}))."""
        batch = self.muted(batch, rng) if self.mute else batch
        inputs = self.inputs(batch, frozen)
        _, out = self.model.apply({"params": params}, *inputs, train=False)
        index = scores_of(frozen, self.model.fusion.apply(inputs[3], inputs[0], inputs[1]), self.index_multi_label)
        truth = jnp.einsum("bnk,bk->bn", index, batch["labels"])
        better = truth[:, :, None] > truth[:, None, :]  # (b, n, n)
        pairs = better & out["may"][:, :, None] & out["may"][:, None, :]
        gap = out["scores"][:, :, None] - out["scores"][:, None, :]
        each = jnp.sum(jnp.where(pairs, nn.relu(self.margin - gap), 0), (1, 2)) / jnp.maximum(pairs.sum((1, 2)), 1)
        return losses.masked_mean(each, batch["mask"]), (batch_stats, {})
