"""One glance: what is cheap scores every position of a video, and the best T are read together.

Two parts learn side by side. The judge attends to all positions and answers for the video; the listener sees what is
cheap of every position, its sound or the images of a few, and learns where the judge attends. At test time the
listener's best T positions are read at once, and the judge weighs them. No look waits for another.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.baselines import fused
from l2l.models.layers import GatedAttention, exact_mix
from l2l.models.positions import ranks, taken
from l2l.models.skimmer import NEVER, Tree

LISTENS = ("audio", "image", "both")
CLOSER = "judge"  # what teaches which region of a picture is seen once more


class Context(nn.Module):
    """Convolution over time: every position takes in its neighbours, zeros where a video has none.

    Written as one matrix product for each place of the kernel: of models side by side, one for each seed, these stay
    matrix products, where a convolution becomes one in groups, which CPUs do slowly.

    Attributes:
      features: width of what comes out.
      size: positions, the middle one included; odd.
      dtype: of the inputs of matrix products.
    """

    features: int
    size: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(b, n, d) -> (b, n, features)."""
        init = nn.initializers.lecun_normal(in_axis=(0, 1))
        kernel = self.param("kernel", init, (self.size, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        wide = jnp.pad(x.astype(self.dtype), [(0, 0), (self.size // 2, self.size // 2), (0, 0)])
        n = x.shape[1]
        return sum(wide[:, i : i + n] @ kernel[i].astype(self.dtype) for i in range(self.size)) + bias


class Listener(nn.Module):
    """Scores of all positions from what is cheap of each and of its neighbours in time.

    Attributes:
      hidden: width.
      context: positions, the middle one included, that a score depends on; odd.
      dtype: of the inputs of matrix products.
    """

    hidden: int
    context: int = 9
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Inputs (b, n, d), bool (b, n) -> scores float32 (b, n); what is padding changes nothing."""
        x = nn.LayerNorm(name="norm")(x)
        x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name="embed")(x)) * mask[..., None]
        x = nn.relu(Context(self.hidden, self.context, self.dtype, name="context")(x)) + x
        return nn.Dense(1, name="score")(x)[..., 0].astype(jnp.float32)


class RegionScorer(nn.Module):
    """Scores of the regions of a picture from what the first look at it says of each.

    Attributes:
      hidden: width.
      dtype: of the inputs of matrix products.
    """

    hidden: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, cells: jax.Array) -> jax.Array:
        """(b, n, r, c) -> scores float32 (b, n, r)."""
        x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name="embed")(nn.LayerNorm(name="norm")(cells)))
        return nn.Dense(1, name="score")(x)[..., 0].astype(jnp.float32)


class Glance(nn.Module):
    """Video classifier over the features of n positions, of which it reads T, chosen at once.

    Attributes:
      num_classes: k.
      fusion: the student's fusion module; its frozen variables are an argument of the call.
      steps: T, how many positions are read.
      hidden: width of the judge's attention and of the listener.
      listens: what the listener sees: "audio" of every position, "image" of every `stride`-th, or "both" of these.
      stride: s; where a picture helps to choose, that of every s-th position does. Videos without sound are chosen for
        by these pictures, whatever `listens` says.
      context: positions, the middle one included, that a score of the listener depends on.
      dropout: share of the features that the judge does not see in training.
      closer: "judge" if a region of each picture that is read is seen once more, at full resolution. In training the
        judge then attends to all regions of all positions, and a scorer learns from the first look at a picture where
        in it the judge attends. "": pictures are seen once.
      dtype: of the inputs of matrix products; parameters and softmax stay float32.
    """

    num_classes: int
    fusion: nn.Module
    steps: int = 10
    hidden: int = 128
    listens: str = "audio"
    stride: int = 5
    context: int = 9
    dropout: float = 0.5
    closer: str = ""
    dtype: Any = jnp.float32

    def setup(self) -> None:
        if self.closer not in ("", CLOSER):
            raise ValueError(f"unknown closer={self.closer!r} of a glance; choose {CLOSER} or nothing")
        if self.listens not in LISTENS:
            raise ValueError(f"unknown listens={self.listens!r}; choose from {', '.join(LISTENS)}")
        if self.context % 2 == 0:
            raise ValueError(f"context={self.context}: it has a middle position, so set an odd number")
        self.attention = GatedAttention(self.hidden, self.dtype)
        self.listener = Listener(self.hidden, self.context, self.dtype)
        if self.closer:
            self.region_scorer = RegionScorer(self.hidden, self.dtype)
            self.share = nn.Dense(1, kernel_init=nn.initializers.zeros)
        self.drop = nn.Dropout(self.dropout)
        self.classifier = nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.02))

    def __call__(
        self,
        image: jax.Array,
        audio: jax.Array,
        mask: jax.Array,
        fusion_params: Tree,
        recognition: jax.Array | None = None,
        has_audio: jax.Array | None = None,
        glances: Tree | None = None,
        *,
        train: bool,
        hard: bool = False,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Reads T positions of every video; in training, and with soft selection, the judge reads all.

        Args:
          image, audio: (b, n, d) descriptors of the positions.
          mask: bool (b, n), True where there is a position; the rest is padding and changes nothing.
          fusion_params: variables of the fusion module.
          recognition: (b, n, f) features of another model. If given, the judge attends to these and classifies them.
          has_audio: bool (b,), which videos have sound; all, if it is not given. Of others the sound counts as zeros.
          glances: of a model with `closer`: "cells" (b, n, r * c), what the first look at each picture says of its r
            regions, and "regions" (b, n, r * d), descriptors of these, seen closer.
          train: leaves out features at random, from the stream "dropout".
          hard: in evaluation, read the listener's best T positions; else all.

        Returns:
          Logits (b, k) float32, and a dict with
            attention: (b, n), the judge's shares of what it read.
            scores: (b, n), the listener's.
            may: bool (b, n), the positions that the listener may pick: of videos without sound, those at the stride.
            closer, region_scores: (b, n, r) of a model with `closer`: the judge's shares of the regions, which sum to
              those of their positions, and the scorer's scores.
          and with hard selection
            picked: int32 (T, b), the listener's choice, the best first; of a video with fewer positions some of its
              own come again.
            counted: bool (T, b), whether a pick is read: False for those.
            worth: (T, b), the judge's shares of the picks.
            step_logits: (T, b, k), what the judge says of the picks so far.
            looks: int32 (b,), how many are read.
            region: int32 (T, b), which region of each is seen closer, of a model with `closer`; and no `closer`.

        Raises:
          ValueError: unknown `listens` or `closer`, an even `context`; with `closer`, `recognition` or no `glances`.
        """
        if self.closer and (recognition is not None or glances is None):
            raise ValueError("what is looked at closer is recognised by its regions alone: set --config.model.closer=")
        has_audio = jnp.ones(mask.shape[0], bool) if has_audio is None else has_audio
        audio = jnp.where(has_audio[:, None, None], audio, 0)
        banks = {"image": image, "audio": audio} | ({} if recognition is None else {"recognition": recognition})
        scores, may = self.listener(*self._cheap(image, audio, mask, has_audio)), self._may(mask, has_audio)
        cheap, regions = {"scores": scores, "may": may}, None
        if self.closer and glances is not None:
            regions = glances["regions"].reshape(*mask.shape, -1, image.shape[-1])  # (b, n, r, d)
            cheap["region_scores"] = self.region_scorer(glances["cells"].reshape(*regions.shape[:3], -1))
        if hard and not train:
            return self._answer(banks, fusion_params, cheap, regions)
        logits, out = self._everything(banks, mask, fusion_params, regions, train)
        return logits, cheap | out

    def _everything(
        self, banks: dict[str, jax.Array], mask: jax.Array, fusion_params: Tree, regions: jax.Array | None, train: bool
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """What the judge says of all positions, and of all their regions (b, n, r, d) if these are given."""
        if regions is not None:  # a row for each region of each position
            flat = lambda x: x.reshape(len(x), -1, *x.shape[3:])
            every = lambda x: flat(jnp.repeat(x[:, :, None], regions.shape[2], axis=2))
            mask, banks = every(mask), {key: every(x) for key, x in banks.items()} | {"region": flat(regions)}
        seen, attention = self._judged(banks, mask, fusion_params, train)
        weights = nn.softmax(jnp.where(mask, attention, NEVER)) * mask
        logits = self.classifier(self.drop(exact_mix(weights, seen), deterministic=not train))
        if regions is None:
            return logits, {"attention": weights}
        closer = weights.reshape(regions.shape[:3])
        return logits, {"attention": closer.sum(-1), "closer": closer}

    def _judged(
        self, banks: dict[str, jax.Array], mask: jax.Array, fusion_params: Tree, train: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """What the judge classifies of m rows (b, m, f), and its scores of them (b, m).

        `banks` are "image" and "audio" (b, m, d) and, if given, "region" (b, m, d), which is fused in the place of the
        image and mixed with that by a learned share, or "recognition" (b, m, f), which then is all that is read.
        """
        if "recognition" in banks:
            seen = described = banks["recognition"]
        else:
            fuse = lambda image: fused(self.fusion, image, banks["audio"], mask, fusion_params)
            seen, described = fuse(banks["image"]), jnp.concatenate([*banks.values()], -1)
        if "region" in banks:
            second = fuse(banks["region"])
            share = nn.sigmoid(self.share(jnp.concatenate([seen, second], -1)))
            seen += share * (second - seen)
        seen, described = (jnp.where(mask[..., None], x, 0).astype(jnp.float32) for x in (seen, described))
        return seen, self.attention(self.drop(described, deterministic=not train))

    def _cheap(
        self, image: jax.Array, audio: jax.Array, mask: jax.Array, has_audio: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """What the listener sees (b, n, d + d + 2), with marks of what is there, and where it is a position."""
        heard = mask & has_audio[:, None] & (self.listens != "image")
        shown = taken(mask, self.stride) & ((self.listens != "audio") | ~has_audio[:, None])
        parts = [jnp.where(there[..., None], x, 0) for there, x in ((shown, image), (heard, audio))]
        marks = [there[..., None].astype(jnp.float32) for there in (shown, heard)]
        return jnp.concatenate([x.astype(jnp.float32) for x in parts] + marks, -1), mask

    def _may(self, mask: jax.Array, has_audio: jax.Array) -> jax.Array:
        """Which positions may be picked, bool (b, n): all of a video with sound, else those whose pictures are seen."""
        silent = ~has_audio[:, None] | (self.listens == "image")
        return jnp.where(silent, taken(mask, self.stride), mask)

    def _answer(
        self, banks: dict[str, jax.Array], fusion_params: Tree, cheap: dict[str, jax.Array], regions: jax.Array | None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """What the judge says of the listener's best T positions, and of the scorer's best region of each.

        `cheap` are the scores of both and the marks `may`; `regions` (b, n, r, d) descriptors, if they are seen.
        """
        scores, may = cheap["scores"], cheap["may"]
        order = jnp.argsort(ranks(scores, may), -1)[:, : self.steps]  # (b, T)
        short = self.steps - order.shape[1]  # of batches padded to fewer positions than are read
        order = jnp.pad(order, ((0, 0), (0, max(short, 0))))
        counted = jnp.arange(self.steps) < may.sum(-1, keepdims=True)
        order = jnp.where(counted, order, order[:, :1])
        at = {}
        if regions is not None:
            best = jnp.argmax(cheap["region_scores"], -1)  # (b, n)
            banks |= {"region": jnp.take_along_axis(regions, best[..., None, None], 2)[:, :, 0]}
            at["region"] = jnp.take_along_axis(best, order, 1).T.astype(jnp.int32)
        read = {key: jnp.take_along_axis(x, order[..., None], 1) for key, x in banks.items()}
        rows, attention = self._judged(read, counted, fusion_params)  # (b, T, f), (b, T)
        weight = jnp.where(counted, attention, NEVER)
        weight = jnp.exp(weight - weight.max(-1, keepdims=True)) * counted
        total = jnp.maximum(jnp.cumsum(weight, 1), 1e-30)
        logits = self.classifier(jnp.cumsum(weight[..., None] * rows, 1) / total[..., None])  # (b, T, k)
        where = jnp.arange(scores.shape[1]) == order[..., None]  # (b, T, n)
        share = weight / total[:, -1:]
        out = {
            "attention": jnp.sum(share[..., None] * where, axis=1),
            "picked": order.T.astype(jnp.int32),
            "counted": counted.T,
            "worth": share.T,
            "step_logits": jnp.swapaxes(logits, 0, 1),
            "looks": counted.sum(-1).astype(jnp.int32),
        }
        return logits[:, -1], cheap | at | out
