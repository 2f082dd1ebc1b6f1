"""The parts of a picture that can be looked at again, closer: squares as large as a trunk's input, in rows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Regions:
    """across x across squares, row by row, evenly spread over a square picture from edge to edge.

    Attributes:
      size: side of the picture as it is stored, pixels.
      side: of a region, pixels of the same: what the trunk sees is not scaled.
      across: how many lie beside each other. Neighbours overlap where size < across * side.

    Raises:
      ValueError: the picture is no larger than a region.
    """

    size: int
    side: int
    across: int

    def __post_init__(self) -> None:
        if self.size <= self.side:
            raise ValueError(
                f"pictures of {self.size} pixels show no more closer than the model's {self.side}: prepare the clips "
                "with a larger --short_side"
            )

    @property
    def starts(self) -> np.ndarray:
        """int (across,), first pixels of the columns, which are those of the rows."""
        room = self.size - self.side
        return np.rint(np.linspace(0, room, self.across) if self.across > 1 else [room / 2]).astype(int)

    @property
    def corners(self) -> np.ndarray:
        """int (r, 2), top and left of every region, r = across * across."""
        return np.stack(np.meshgrid(self.starts, self.starts, indexing="ij"), -1).reshape(-1, 2)

    @property
    def boxes(self) -> np.ndarray:
        """float32 (r, 3), left, top and side of every region as shares of the picture's side."""
        return self.boxes_of(self.size)

    def boxes_of(self, whole: int) -> np.ndarray:
        """The same as shares of a square of so many pixels, out of whose middle the picture was cut."""
        corners, sides = self.corners[:, ::-1] + (whole - self.size) // 2, np.full((self.across**2, 1), self.side)
        return (np.concatenate([corners, sides], axis=1) / whole).astype(np.float32)

    def cut(self, pictures: jax.Array, corner: jax.Array) -> jax.Array:
        """One region of all pictures: (b, size, size, c), int (2,) -> (b, side, side, c)."""
        sizes = (len(pictures), self.side, self.side, pictures.shape[-1])
        return jax.lax.dynamic_slice(pictures, (0, corner[0], corner[1], 0), sizes)

    def means(self, grid: jax.Array) -> jax.Array:
        """What a map of the picture says of each region, the mean over its area: (b, h, h, c) -> (b, r, c)."""
        cells = grid.shape[1]
        edges, starts = np.arange(cells + 1) * self.size / cells, self.starts[:, None]
        covered = np.minimum(edges[1:], starts + self.side) - np.maximum(edges[:-1], starts)
        weights = jnp.asarray(np.maximum(covered, 0) / self.side, grid.dtype)  # (across, cells)
        return jnp.einsum("ih,bhwc,jw->bijc", weights, grid, weights).reshape(len(grid), -1, grid.shape[-1])
