"""Video classification by skimming over the features of all positions, beside selections that do not learn."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from l2l import losses
from l2l.models.skimmer import Skimmer
from l2l.tasks.classify import top1

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Skim:
    """A skimmer; `frozen` holds the student's "fusion" and "classifier" parameters, which also start the skimmer's.

    Attributes:
      model: the skimmer.
      head: weight of the loss of the classifier on the LSTM's state, averaged over the steps; 0 leaves it out.
      multi_label: whether a video may be of several classes, each judged by itself; else they share one softmax.
      student_multi_label: the same of the student's own classifier.
    """

    model: Skimmer
    head: float
    multi_label: bool = False
    student_multi_label: bool = False

    def init(self, rng: jax.Array, batch: Tree, frozen: Tree) -> Tree:
        """Fresh variables, but for the classifier, which is the student's."""
        variables = dict(self.model.init(rng, *self.inputs(batch, frozen), train=True))
        variables["params"] = variables["params"] | {"classifier": jax.tree.map(jnp.asarray, frozen["classifier"])}
        return variables

    def inputs(self, batch: Tree, frozen: Tree) -> tuple:
        fusion = {"params": frozen["fusion"]}
        return batch["image"].astype(jnp.float32), batch["audio"].astype(jnp.float32), batch["valid"], fusion

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """Cross-entropy on the prediction from all looks; (loss, (batch_stats, measurements))."""
        del rng
        variables = {"params": params, "batch_stats": batch_stats}
        (logits, out), new = self.model.apply(
            variables, *self.inputs(batch, frozen), train=True, mutable=["batch_stats"]
        )
        loss = losses.masked_mean(losses.classification(logits, batch["labels"], self.multi_label), batch["mask"])
        measured = {"top1": top1(logits, batch)}
        if self.head:
            steps = losses.classification(out["head_logits"], batch["labels"][None], self.multi_label)  # (T, b)
            measured["head"] = losses.masked_mean(jnp.mean(steps, axis=0), batch["mask"])
            loss += self.head * measured["head"]
        return loss, (new["batch_stats"], measured)

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """Hard selection as "logits", soft as "logits_soft", and the selections that do not learn.

        With hard selection come step_logits (b, T, k), modality (b, T, 2), counted (b, T), and per indexing modality
        picked (b, T) and weights (b, T, n); where the head is trained, head_logits (b, T, k).
        """
        inputs = self.inputs(batch, frozen)
        hard, out = self.model.apply(variables, *inputs, train=False, hard=True)
        soft, _ = self.model.apply(variables, *inputs, train=False)
        picks = {f"{what}_{m}": out[what][m] for what in ("picked", "weights") for m in out["picked"]}
        kept = ("step_logits", "modality", "counted", *(("head_logits",) if self.head else ()))
        steps = picks | {key: out[key] for key in kept}
        baselines = self._baselines(frozen, batch)
        return (
            {"logits": hard, "logits_soft": soft, "looks": out["looks"]}
            | {f"logits_{name}": value for name, value in baselines.items()}
            | {name: jnp.swapaxes(value, 0, 1) for name, value in steps.items()}
        )

    def _baselines(self, frozen: Tree, batch: Tree) -> dict[str, jax.Array]:
        """The student's own classifier's mean scores over the chosen positions, as logits (b, k) each."""
        image, audio, valid, fusion = self.inputs(batch, frozen)
        fused = self.model.fusion.apply(fusion, image, audio)
        logits = fused @ frozen["classifier"]["kernel"] + frozen["classifier"]["bias"]
        scores = losses.probabilities(logits, self.student_multi_label)
        chosen = {
            "uniform": uniform(valid, self.model.steps),
            "random": random(valid, self.model.steps, batch["example"]),
            "dense": valid,
        }
        mean = lambda pick: jnp.einsum("bn,bnk->bk", pick, scores) / jnp.maximum(pick.sum(-1, keepdims=True), 1)
        return {name: losses.logits_of(mean(pick), self.multi_label) for name, pick in chosen.items()}


def uniform(valid: jax.Array, count: int) -> jax.Array:
    """Marks `count` evenly spread positions of each video, the centres of as many equal parts; bool (b, n).

    A video with fewer positions has them all marked.
    """
    length = jnp.sum(valid, axis=-1, keepdims=True)
    centres = jnp.floor((jnp.arange(count) + 0.5) * length / count)  # (b, count)
    marked = jnp.any(jnp.arange(valid.shape[1]) == centres[..., None], axis=1)
    return marked & valid


def random(valid: jax.Array, count: int, example: jax.Array) -> jax.Array:
    """Marks `count` positions drawn without replacement, bool (b, n): a function of the example's number alone."""
    key = jax.random.key(0)
    draw = lambda e, n: jax.random.uniform(jax.random.fold_in(jax.random.fold_in(key, e), n))
    position = jnp.arange(valid.shape[1])
    order = jax.vmap(lambda e: jax.vmap(lambda n: draw(e, n))(position))(example)
    order = jnp.where(valid, order, 2.0)
    rank = jnp.argsort(jnp.argsort(order, axis=-1), axis=-1)
    return (rank < count) & valid
