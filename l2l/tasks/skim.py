"""Video classification by skimming over the features of all positions, beside selections that do not learn."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.fusion_only import standardised
from l2l.models.positions import mean_logits
from l2l.models.skimmer import Skimmer
from l2l.tasks import losses
from l2l.tasks.classify import top1
from l2l.tasks.selections import SELECTIONS, Videos

Tree = dict[str, Any]

GLANCES = ("cells", "regions")


@dataclasses.dataclass(frozen=True)
class Skim:
    """A video model; `frozen` holds what it takes of clip models.

    Of the model that made the indexing features, "fusion" and "classifier" parameters, and "norm", statistics of each
    modality, if it reads descriptors standardised. Where other features recognise,
    which batches then bring as "recognition" (b, n, d), "recogniser" has the same two of the model that made those. The
    last of the classifiers starts the video model's, if it has one.

    Attributes:
      model: the skimmer, or another of `models.VIDEO_MODELS`.
      head: weight of the loss of the classifier on the LSTM's state, averaged over the steps; 0 leaves it out.
      recogniser: the fusion module of the model whose features recognise.
      multi_label: whether a video may be of several classes, each judged by itself; else they share one softmax.
      index_multi_label: the same of the classifier of the model that made the indexing features.
      recogniser_multi_label: the same of the one of the model whose features recognise.
      mute: share of the training videos whose sound is left out, for a skimmer with a fallback.
    """

    model: nn.Module
    head: float
    recogniser: nn.Module | None = None
    multi_label: bool = False
    index_multi_label: bool = False
    recogniser_multi_label: bool = False
    mute: float = 0.0

    def init(self, rng: jax.Array, batch: Tree, frozen: Tree) -> Tree:
        """Fresh variables, but for the classifier, which is that of the clip model."""
        variables: Tree = {"batch_stats": {}} | dict(self.model.init(rng, *self.inputs(batch, frozen), train=True))
        classifier = {"classifier": jax.tree.map(jnp.asarray, self._judge(frozen)["classifier"])}
        own = variables["params"]
        return variables | {"params": own | classifier if "classifier" in own else own}

    def inputs(self, batch: Tree, frozen: Tree) -> tuple:
        """What the model is called with."""
        image, audio = descriptors(batch, frozen)
        fusion, has_audio = {"params": frozen["fusion"]}, batch["has_audio"] if self.falls_back else None
        inputs = image, audio, batch["valid"], fusion, self._recognition(batch, frozen), has_audio
        return (*inputs, {key: batch[key] for key in GLANCES}) if self.looks_closer else inputs

    @property
    def falls_back(self) -> bool:
        """Whether the model chooses by image where a video has no sound."""
        return isinstance(self.model, Skimmer) and self.model.fallback > 0

    @property
    def looks_closer(self) -> bool:
        """Whether the model sees regions of the pictures that it picks once more."""
        return isinstance(self.model, Skimmer) and bool(self.model.closer)

    def muted(self, batch: Tree, rng: jax.Array) -> Tree:
        """The batch with a random share of its videos marked as without sound."""
        keep = jax.random.bernoulli(rng, 1 - self.mute, batch["has_audio"].shape)
        return batch | {"has_audio": batch["has_audio"] & keep}

    def _judge(self, frozen: Tree) -> Tree:
        """The clip model whose classifier has the last word."""
        return frozen if self.recogniser is None else frozen["recogniser"]

    def _recognition(self, batch: Tree, frozen: Tree) -> jax.Array | None:
        """What the recogniser's classifier reads at every position (b, n, f), if there is one."""
        if self.recogniser is None:
            return None
        bank = batch["recognition"].astype(jnp.float32)
        return self.recogniser.apply({"params": frozen["recogniser"]["fusion"]}, bank, bank[..., :0])

    def loss(self, params: Tree, batch_stats: Tree, frozen: Tree, batch: Tree, rng: jax.Array) -> tuple:
        """Cross-entropy on the prediction from all looks; (loss, (batch_stats, measurements))."""
        batch = self.muted(batch, rng) if self.mute else batch
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
        return loss, (({"batch_stats": {}} | new)["batch_stats"], measured)

    def both(self, variables: Tree, frozen: Tree, batch: Tree) -> dict[str, tuple[jax.Array, Tree]]:
        """The model's answers with "hard" and with "soft" selection; the same twice where it selects nothing."""
        inputs = self.inputs(batch, frozen)
        hard = self.model.apply(variables, *inputs, train=False, hard=True)
        soft = self.model.apply(variables, *inputs, train=False) if "looks" in hard[1] else hard
        return {"hard": hard, "soft": soft}

    def predict(self, variables: Tree, frozen: Tree, batch: Tree) -> Tree:
        """Hard selection as "logits", soft as "logits_soft", and selections that do not learn, of as many positions.

        With hard selection come looks (b,) and, of a skimmer, step_logits (b, T, k), modality (b, T, 2),
        counted (b, T), and per indexing modality picked (b, T) and weights (b, T, n); where the head is trained,
        head_logits (b, T, k); where regions are seen closer, region (b, T) and closer (b, T, r). A model that does not
        select has logits alone.
        """
        ways = self.both(variables, frozen, batch)
        hard, out = ways["hard"]
        if "looks" not in out:
            return {"logits": hard}
        found = {"logits": hard, "logits_soft": ways["soft"][0], "looks": out["looks"]}
        return found | self.selected(frozen, batch, self.model.steps) | by_step(out, head=self.head > 0)

    def selected(self, frozen: Tree, batch: Tree, count: int) -> dict[str, jax.Array]:
        """logits_NAME (b, k) of every selection: those of the mean score over the `count` positions that it chooses.

        Scores are those of the clip model's own classifier. Without labels there is no oracle.
        """
        image, audio, valid, fusion, recognition, *_ = self.inputs(batch, frozen)
        index = scores_of(frozen, self.model.fusion.apply(fusion, image, audio), self.index_multi_label)
        scores = index
        if recognition is not None:
            scores = scores_of(frozen["recogniser"], recognition, self.recogniser_multi_label)
        labels = batch["labels"] if "labels" in batch else jnp.zeros((len(valid), scores.shape[-1]))
        truth = jnp.einsum("bnk,bk->bn", scores, labels)
        videos = Videos(valid, batch["example"], confidence=index.max(-1), truth=truth)
        known = {name: choose for name, choose in SELECTIONS.items() if name != "oracle" or "labels" in batch}
        chosen = {name: choose(videos, count) for name, choose in known.items()}
        return {f"logits_{name}": mean_logits(scores, marks, self.multi_label) for name, marks in chosen.items()}


def descriptors(batch: Tree, frozen: Tree) -> tuple[jax.Array, jax.Array]:
    """Image and audio descriptors (b, n, d), (b, n, e) float32 of a batch, standardised where the clip model's are."""
    banks = {m: batch[m].astype(jnp.float32) for m in ("image", "audio")}
    banks |= {m: standardised(banks[m], own) for m, own in frozen.get("norm", {}).items()}
    if "audio" in frozen.get("norm", {}):  # the mean stands for what lacks
        banks["audio"] = jnp.where(batch["has_audio"][:, None, None], banks["audio"], 0)
    return banks["image"], banks["audio"]


def scores_of(clip_model: Tree, feature: jax.Array, multi_label: bool) -> jax.Array:
    """Scores (..., k) in 0..1 that a clip model's classifier gives its features (..., f)."""
    head = clip_model["classifier"]
    return losses.probabilities(feature @ head["kernel"] + head["bias"], multi_label)


def by_step(out: Tree, head: bool) -> Tree:
    """What a skimmer says of its looks, with the video before the look: (b, T, ...); {} of another model."""
    if "step_logits" not in out:
        return {}
    picks = {f"{what}_{m}": out[what][m] for what in ("picked", "weights") for m in out["picked"]}
    steps = picks | {key: out[key] for key in ("step_logits", "modality", "counted")}
    steps |= {"head_logits": out["head_logits"]} if head else {}
    steps |= {key: out[key] for key in ("worth", "region", "closer") if key in out}
    return {name: jnp.swapaxes(value, 0, 1) for name, value in steps.items()}
