"""The skimmer: a recurrent net that decides where in a long video to look and listen next.

At every step an LSTM takes in the fused feature of the current look and asks a query per modality against the
keys of all positions, and the attention weights choose what is read next. The prediction is a classifier on
the mean fused feature of the looks. The structure is that of the released code, so that its weights load.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.layers import Projection, WeightNormLSTM, Worth, exact_mix, lstm_step
from l2l.models.positions import interpolated, taken
from l2l.models.region_selector import Closer
from l2l.models.student import modalities

SELECTIONS = ("soft", "straight_through")
NEVER = -1e9  # score of a position that may not be picked
Tree = Any


class Skimmer(nn.Module):
    """Video classifier over the features of n positions.

    Attributes:
      num_classes: k.
      fusion: the student's fusion module; its frozen variables are an argument of the call.
      steps: T, how many looks count.
      stride: s; the features of every s-th position are taken. Soft selection reads what lies between them linearly
        interpolated (figure 6a of the paper), hard selection and "straight_through" pick taken positions only.
      hidden: width of the LSTM state.
      key: width of keys and queries.
      query: hidden width of the query nets.
      selection: what training reads next: the attention-weighted sum ("soft", the paper), or the position of
        largest weight with the gradient of the soft sum ("straight_through").
      index_by: whose keys choose: both modalities (the paper), audio alone or image alone. By one alone, hard
        selection needs the other one's bank only where it looks, and that one's half of the start is zero.
      fallback: if not 0, a video without sound is indexed by the images of every so many positions instead of audio.
        Their keys lie in one space with audio's, the query is the same, and the pick is called audio's.
      masking: never pick a position twice (per modality).
      count_start: the start, the mean feature of the video, counts as the first of the T looks.
      weigh: the prediction weighs the looks by a learned score of what each of them has read, so that a look that
        turns out to show nothing counts little; else all count the same (the paper). Not with `count_start`.
      closer: what chooses the region of a picked picture that is seen once more, closer, see `Closer`: the "state", or
        for comparison "random" or "centre"; "": nothing is (the paper). Of one modality that indexes.
      dtype: of the inputs of matrix products; parameters, statistics, softmax and LSTM stay float32.
    """

    num_classes: int
    fusion: nn.Module
    steps: int = 10
    stride: int = 1
    hidden: int = 1024
    key: int = 512
    query: int = 1024
    selection: str = "soft"
    index_by: str = "both"
    fallback: int = 0
    masking: bool = True
    count_start: bool = True
    weigh: bool = False
    closer: str = ""
    dtype: Any = jnp.float32

    def setup(self) -> None:
        if self.selection not in SELECTIONS:
            raise ValueError(f"unknown selection {self.selection!r}; choose from {', '.join(SELECTIONS)}")
        if self.fallback and self.index_by != "audio":
            raise ValueError(f"fallback={self.fallback} is for index_by=audio, not for index_by={self.index_by}")
        if self.weigh and self.count_start:
            raise ValueError(
                "looks are weighed (weigh=True) without the start: set --config.model.weigh=False, as the paper does, "
                "or --config.model.count_start=False"
            )
        if self.closer and self.index_by == "both":
            raise ValueError(f"closer={self.closer!r} looks at one picture: set --config.model.index_by=audio or image")
        chosen, keyed = modalities(self.index_by), modalities("both" if self.fallback else self.index_by)
        query, dtype = self.query, self.dtype
        self.keys = {m: Projection(self.key, dtype=dtype, name=f"keys_{m}") for m in keyed}
        self.queries = {m: Projection(query, self.key, dtype, name=f"query_{m}") for m in chosen}
        self.modality = nn.Dense(2) if len(chosen) == 2 else None
        self.lstm = WeightNormLSTM(self.hidden)
        init = nn.initializers.normal(0.02)
        self.head = nn.Dense(self.num_classes, kernel_init=init)
        self.classifier = nn.Dense(self.num_classes, kernel_init=init)
        self.closely = Closer(self.closer, self.key, query, dtype) if self.closer else None
        self.worth = Worth(self.key) if self.weigh else None

    def __call__(
        self,
        image: jax.Array,
        audio: jax.Array,
        mask: jax.Array,
        fusion_params: Tree,
        recognition: jax.Array | None = None,
        has_audio: jax.Array | None = None,
        glances: dict[str, jax.Array] | None = None,
        *,
        train: bool,
        hard: bool = False,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Looks at T moments of every video.

        Args:
          image: (b, n, d) descriptors of the positions.
          audio: (b, n, d) likewise.
          mask: bool (b, n), True where there is a position; the rest is padding and changes nothing.
          fusion_params: variables of the fusion module.
          recognition: (b, n, f) features of another model. If given, these are what is read for the prediction at each
            look; the LSTM goes on with the fused ones.
          has_audio: bool (b,), which videos have sound; only a model with `fallback` asks.
          glances: of a model with `closer`: "cells" (b, n, r * c), what the first glance at each picture says of its r
            regions, and "regions" (b, n, r * d), the descriptors of those. With hard selection only the one that is
            looked at is ever read.
          train: use and update batch statistics, and read as `selection` says.
          hard: in evaluation, read only the position of each modality's largest weight; else weighted sums.

        Returns:
          Logits (b, k) float32, the last of the step logits, and a dict with
            weights: modality that indexes -> (T, b, n), attention of each step's query.
            picked: modality that indexes -> int32 (T, b), the position of largest weight.
            counted: bool (T, b), whether what that step picked counts in the prediction. A video with n
              positions is looked at n times at most; with `count_start` the last query's answer is not used.
            modality: (T, b, 2), shares of image and audio.
            step_logits: (T, b, k), the classifier on the mean of the looks so far.
            head_logits: (T, b, k), a second classifier on the LSTM's state.
            looks: int32 (b,), the number of looks in the mean, the start included if it counts.
            worth: (T, b), how much each look counts, if they are weighed; 0 where it does not.
            region, closer: int32 (T, b), the region that each look saw closer; and (T, b, r), attention over them.

        Raises:
          ValueError: the start is to count, but would have to be recognised at all positions; or other features are
            to recognise what is looked at closer.
        """
        if self.count_start and recognition is not None:
            raise ValueError("the start cannot count where looks are recognised: set --config.model.count_start=False")
        if self.closer and recognition is not None:
            raise ValueError("what is looked at closer is not recognised by other features: set --config.model.closer=")
        picks = self.selection == "straight_through" if train else hard
        banks = {"image": image, "audio": audio, "recognition": recognition} | (glances if self.closer else {})
        view, start = self._view(banks, mask, fusion_params, has_audio, picks, train)
        state = jnp.zeros_like(start, shape=(mask.shape[0], self.hidden))
        carry = {"look": start, "h": state, "c": state, "allowed": dict.fromkeys(view["keys"], view["mask"])}
        out = self._unroll(lambda skimmer, carry, view: skimmer._step(carry, view, train, hard), carry, view)
        return self._predict(start, out, view["mask"])

    def _view(
        self,
        banks: dict[str, jax.Array | None],
        mask: jax.Array,
        fusion_params: Tree,
        has_audio: jax.Array | None,
        picks: bool,
        train: bool,
    ) -> tuple[Tree, jax.Array]:
        """What all steps see of the videos, and the start (b, f)."""
        banks, mask = self._at_stride(banks, mask, picks)
        near = {key: bank for key, bank in banks.items() if key not in ("image", "audio", "recognition")}
        recognition, banks = banks.get("recognition"), {m: banks[m] for m in ("image", "audio")}
        if self.fallback:
            banks, mask = self._heard(banks, mask, has_audio)
        keys = self._keys(banks, mask, has_audio, train)
        view = {"banks": banks, "keys": keys, "mask": mask, "fusion": fusion_params, "recognition": recognition}
        start = self._start(view, has_audio)
        return view | {"near": near, "lstm": self.lstm(start.shape[-1])}, start

    def _at_stride(
        self, banks: dict[str, jax.Array | None], mask: jax.Array, picks: bool
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """The banks that there are, and which positions may be read: those taken, or, interpolated, all."""
        dtype = jnp.promote_types(banks["image"].dtype, jnp.float32)
        may = taken(mask, self.stride) if picks else mask
        clean = {m: jnp.where(may[..., None], x, 0).astype(dtype) for m, x in banks.items() if x is not None}
        return clean if picks else {m: interpolated(x, mask, self.stride) for m, x in clean.items()}, may

    def _heard(self, banks: Tree, mask: jax.Array, has_audio: jax.Array) -> tuple[Tree, jax.Array]:
        """Zeros for the sound of videos without any, and the positions that may be read: of those, at the stride."""
        audio = jnp.where(has_audio[:, None, None], banks["audio"], 0)
        return banks | {"audio": audio}, mask & (has_audio[:, None] | taken(mask, self.fallback))

    def _keys(self, banks: Tree, mask: jax.Array, has_audio: jax.Array | None, train: bool) -> Tree:
        """Keys (b, n, k) of the modalities that index."""
        keys = {m: project(banks[m], mask, train) for m, project in self.keys.items()}
        if not self.fallback:
            return keys
        return {"audio": jnp.where(has_audio[:, None, None], keys["audio"], keys["image"])}

    def _start(self, view: Tree, has_audio: jax.Array | None) -> jax.Array:
        """Fused mean (b, f) of what indexes, zeros in the place of the rest."""
        mask = view["mask"]
        even = mask / jnp.maximum(mask.sum(-1, keepdims=True), 1)
        shares = {m: even if m in view["keys"] else jnp.zeros_like(even) for m in view["banks"]}
        if self.fallback:
            shares["image"] = jnp.where(has_audio[:, None], 0, even)
        return self._fuse(view, shares)

    def _fuse(self, view: Tree, weights: dict[str, jax.Array]) -> jax.Array:
        """Fused feature (b, f) of what the weights (b, n) read from each bank."""
        read = {m: exact_mix(weights[m], bank) for m, bank in view["banks"].items()}
        return self.fusion.apply(view["fusion"], read["image"], read["audio"])

    def _unroll(self, step: Callable, carry: Tree, view: Tree) -> Tree:
        """Runs T steps as one scan; the outputs are stacked along a first axis."""
        if self.is_initializing():  # creates the variables, which a scan cannot
            return jax.tree.map(lambda x: x[None], step(self, carry, view)[1])
        train = self.is_mutable_collection("batch_stats")
        scan = nn.scan(
            step,
            variable_broadcast="params" if train else ("params", "batch_stats"),
            variable_carry="batch_stats" if train else False,
            split_rngs={"params": False},
            in_axes=nn.broadcast,
            length=self.steps,
        )
        return scan(self, carry, view)[1]

    def _step(self, carry: Tree, view: Tree, train: bool, hard: bool) -> tuple[Tree, Tree]:
        """One look: state, queries, weights, and what they read."""
        h, c = lstm_step(view["lstm"], carry["look"], carry["h"], carry["c"])
        weights, picked, reads, allowed = {}, {}, {}, {}
        for m, keys in view["keys"].items():
            query = self.queries[m](h, view["mask"].any(-1), train)
            scores = jnp.einsum("bnk,bk->bn", keys, query) / self.key**0.5
            may = carry["allowed"][m]
            # A video without any position left reads zeros.
            weights[m] = nn.softmax(jnp.where(may, scores, NEVER)) * may
            picked[m] = jnp.argmax(weights[m], -1).astype(jnp.int32)
            reads[m] = self._read(weights[m], picked[m], train, hard)
            there = jnp.arange(may.shape[1]) == picked[m][:, None]
            allowed[m] = may & ~there if self.masking else may
        shares = self._shares(h)
        mix = sum(shares[:, i, None] * reads[m] for i, m in enumerate(("image", "audio")) if m in reads)
        look, closer = self._look(view, mix, h, picked, lambda *choice: self._read(*choice, train, hard), train)
        recognised = look if view["recognition"] is None else exact_mix(mix, view["recognition"])
        out = closer | {
            "weights": weights,
            "picked": picked,
            "modality": shares,
            "head_logits": self.head(h),
            "look": recognised,
        }
        return {"look": look, "h": h, "c": c, "allowed": allowed}, out

    def _look(
        self, view: Tree, mix: jax.Array, state: jax.Array, picked: Tree, read: Callable, train: bool
    ) -> tuple[jax.Array, Tree]:
        """The fused feature (b, f) of what the weights read, and if a region is seen closer which one, see `Closer`."""
        if not self.closer:
            return self._fuse(view, dict.fromkeys(view["banks"], mix)), {}
        seen = {m: exact_mix(mix, bank) for m, bank in (view["banks"] | view["near"]).items()}
        fuse = lambda image: self.fusion.apply(view["fusion"], image, seen["audio"])
        (position,) = picked.values()
        return self.closely(seen, state, position, view["mask"].any(-1), fuse, read, train)

    def _read(self, weights: jax.Array, picked: jax.Array, train: bool, hard: bool) -> jax.Array:
        """The weights (b, n) to read with: as they are, or one-hot at the picked position."""
        one_hot = nn.one_hot(picked, weights.shape[1], dtype=weights.dtype)
        one_hot *= weights.max(-1, keepdims=True) > 0
        if train and self.selection == "straight_through":
            return one_hot + (weights - jax.lax.stop_gradient(weights))
        return one_hot if hard and not train else weights

    def _shares(self, h: jax.Array) -> jax.Array:
        """Shares (b, 2) of image and audio in what is read next."""
        if self.modality is not None:
            return nn.softmax(self.modality(h))
        alone = jnp.asarray([m == self.index_by for m in ("image", "audio")], h.dtype)
        return jnp.broadcast_to(alone, (h.shape[0], 2))

    def _predict(self, start: jax.Array, out: Tree, mask: jax.Array) -> tuple[jax.Array, dict[str, Any]]:
        """Classifies the running mean of the looks that count."""
        looks = out.pop("look")  # (T, b, f)
        counts = jnp.arange(looks.shape[0])[:, None] < mask.sum(-1)  # (T, b)
        out["counted"] = counts
        if self.count_start:
            out["counted"] = counts.at[-1].set(False)
            looks = jnp.concatenate([start[None], looks[:-1]])
            counts = jnp.concatenate([jnp.ones_like(counts[:1]), counts[:-1]])
        worth = counts
        if self.worth is not None:
            worth = out["worth"] = counts * self.worth(looks)
        mean = jnp.cumsum(looks * worth[..., None], 0) / jnp.maximum(jnp.cumsum(worth, 0), 1e-9)[..., None]
        out["step_logits"] = self.classifier(mean)
        out["looks"] = counts.sum(0)
        return out["step_logits"][-1], out
