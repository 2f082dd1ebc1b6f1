"""Looking closer: the part of a picked picture that is looked at once more, at full resolution.

A look sees a picture whole, scaled down to the trunk's input. From what that first glance says of the picture's
regions, the skimmer's state chooses one. The same trunk sees this one unscaled, and the two glances are fused.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2l.models.layers import Projection, exact_mix

CHOICES = ("state", "random", "centre")


class Closer(nn.Module):
    """Chooses a region and fuses what was seen there with what was seen before.

    Attributes:
      choose: by a query of the skimmer's state against keys of the regions ("state"); or what this is compared with:
        one drawn by the number of the position ("random"), or the middle one ("centre").
      key: width of keys and query.
      query: hidden width of the query net.
      dtype: of the inputs of matrix products.
    """

    choose: str
    key: int
    query: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        if self.choose not in CHOICES:
            raise ValueError(f"unknown closer {self.choose!r}; choose from {', '.join(CHOICES)}")
        if self.choose == "state":
            self.keys = Projection(self.key, dtype=self.dtype)
            self.ask = Projection(self.query, self.key, self.dtype)
        self.share = nn.Dense(1, kernel_init=nn.initializers.zeros)

    def __call__(
        self,
        seen: dict[str, jax.Array],
        state: jax.Array,
        position: jax.Array,
        there: jax.Array,
        fuse: Callable[[jax.Array], jax.Array],
        read: Callable[[jax.Array, jax.Array], jax.Array],
        train: bool,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Looks at one picture each.

        Args:
          seen: "image" (b, d), descriptor of the whole picture, "cells" (b, r * c), what that first glance says of
            every region, and "regions" (b, r * d), the regions' own descriptors.
          state: (b, hidden) of the skimmer.
          position: int (b,), the place of the picture in its video.
          there: bool (b,), False where a row is padding, which statistics leave out.
          fuse: descriptors of pictures -> fused features (b, f).
          read: attention over regions and the one of largest weight -> the weights (b, r) to read them with. The
            skimmer reads positions with the same: training by "straight_through" sees what one region shows, and its
            gradient tells what each of the others would have shown.
          train: use and update batch statistics.

        Returns:
          The two glances' fused features, averaged by a learned share (b, f); and "region" int32 (b,), "closer" (b, r),
          attention.
        """
        regions = seen["regions"].reshape(len(state), -1, seen["image"].shape[-1])
        cells = seen["cells"].reshape(*regions.shape[:2], -1)
        weights = self._weights(state, cells, position, there, train)
        region = jnp.argmax(weights, -1).astype(jnp.int32)
        first, second = fuse(seen["image"]), fuse(exact_mix(read(weights, region), regions))
        share = nn.sigmoid(self.share(jnp.concatenate([first, second], -1)))
        return first + share * (second - first), {"region": region, "closer": weights}

    def _weights(
        self, state: jax.Array, cells: jax.Array, position: jax.Array, there: jax.Array, train: bool
    ) -> jax.Array:
        """Attention (b, r) over regions of which the first glance says `cells` (b, r, c); rows sum to 1."""
        count = cells.shape[1]
        if self.choose == "centre":
            return jnp.broadcast_to(nn.one_hot(count // 2, count), cells.shape[:2])
        if self.choose == "random":
            draw = lambda n: jax.random.randint(jax.random.fold_in(jax.random.key(0), n), (), 0, count)
            return nn.one_hot(jax.vmap(draw)(position), count)
        keys = self.keys(cells, jnp.broadcast_to(there[:, None], cells.shape[:2]), train)
        scores = jnp.einsum("brk,bk->br", keys, self.ask(state, there, train))
        return nn.softmax(scores / self.key**0.5)
