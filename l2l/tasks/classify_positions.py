"""Classification of the positions of videos, each with its video's labels: trains a clip model that reads features."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from l2l.models.fusion_only import FusionOnly
from l2l.models.positions import mean_logits
from l2l.tasks import losses

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ClassifyPositions:
    """The task of `models.fusion_only.FusionOnly`; batches are those of feature shards.

    Attributes:
      model: classifies descriptors.
      multi_label: whether a video may be of several classes, each judged by itself; else they share one softmax.
    """

    model: FusionOnly
    multi_label: bool = False

    def init(self, rng: jax.Array, batch: Tree, frozen: Tree) -> Tree:
        """Fresh variables for batches like this one."""
        del frozen
        return dict(self.model.init(rng, *_inputs(batch), train=False))

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """Cross-entropy of all positions with their video's labels; (loss, (batch_stats, measurements)).

        A video's positions are averaged before the videos are: long ones count as much as short ones.
        """
        del frozen
        variables, dropout = {"params": params, "batch_stats": batch_stats}, {"dropout": rng}
        (logits, _), new = self.model.apply(
            variables, *_inputs(batch), train=True, mutable=["batch_stats"], rngs=dropout
        )
        labels = jnp.broadcast_to(batch["labels"][:, None], logits.shape)  # (b, n, k)
        of_video = lambda x: jnp.sum(x * batch["valid"], -1) / jnp.maximum(jnp.sum(batch["valid"], -1), 1)
        loss = of_video(losses.classification(logits, labels, self.multi_label))
        hit = jnp.take_along_axis(labels, jnp.argmax(logits, -1, keepdims=True), axis=-1)[..., 0]
        measured = {"top1": losses.masked_mean(of_video(hit), batch["mask"])}
        return losses.masked_mean(loss, batch["mask"]), (new["batch_stats"], measured)

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """logits (b, k): of the mean score over all positions of a video."""
        del frozen
        logits, _ = self.model.apply(variables, *_inputs(batch), train=False)
        scores = losses.probabilities(logits, self.multi_label)
        return {"logits": mean_logits(scores, batch["valid"], self.multi_label)}


def _inputs(batch: Tree) -> tuple[jax.Array, jax.Array, Tree]:
    """What the model is called with."""
    image, audio = (batch[m].astype(jnp.float32) for m in ("image", "audio"))
    valid = batch["valid"] & batch["mask"][:, None]
    return image, audio, {"image": valid, "audio": valid & batch["has_audio"][:, None]}
