"""What a student's image trunk sees of pictures that may be looked at closer: all of it at once, and its regions."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from l2l.models.applied import applied
from l2l.models.backbones.frontend import prepare_frames
from l2l.models.backbones.resnet import ImageResNet, stage_of
from l2l.models.regions import Regions
from l2l.models.student import Student

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Glances:
    """An image trunk and where it looks.

    Attributes:
      trunk: of the student.
      across: how many regions lie beside each other.
      crop: side of the trunk's input, and of a region, pixels.
      mean, std: of each colour channel on the scale 0..1.
    """

    trunk: ImageResNet
    across: int
    crop: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, student: Student, crop: int, mean: tuple[float, ...], std: tuple[float, ...]) -> "Glances":
        """Those of a student that describes regions."""
        return cls(ImageResNet(student.width, student.stages, student.dtype), student.regions, crop, mean, std)

    @property
    def widths(self) -> dict[str, int]:
        """How many values "cells" and "regions" have for a picture."""
        trunk, count = self.trunk, self.across**2
        cells = trunk.width * 2 ** stage_of(self.crop, self.across, len(trunk.stages))
        return {"cells": count * cells, "regions": count * trunk.width * 2 ** (len(trunk.stages) - 1)}

    def cells(self, variables: Tree, pictures: jax.Array) -> jax.Array:
        """What the first glance says of each region: variables of the trunk, uint8 (b, s, s, 3) -> (b, r * c)."""
        grid = applied(self.trunk, variables, self._prepared(pictures), train=False, cells=self.across, method="grid")
        return Regions(pictures.shape[1], self.crop, self.across).means(grid).reshape(len(pictures), -1)

    def region(self, variables: Tree, squares: jax.Array) -> jax.Array:
        """A second glance: regions that were cut out, uint8 (b, crop, crop, 3) -> descriptors (b, d)."""
        return applied(self.trunk, variables, self._prepared(squares), train=False)

    def regions(self, variables: Tree, pictures: jax.Array) -> jax.Array:
        """Second glances at all regions, one after another: uint8 (b, s, s, 3) -> (b, r * d)."""
        regions = Regions(pictures.shape[1], self.crop, self.across)
        look = lambda corner: self.region(variables, regions.cut(pictures, corner))
        every = jax.lax.map(look, jnp.asarray(regions.corners, jnp.int32))  # (r, b, d)
        return jnp.swapaxes(every, 0, 1).reshape(len(pictures), -1)

    def _prepared(self, pictures: jax.Array) -> jax.Array:
        return prepare_frames(pictures[:, None], self.crop, self.mean, self.std)[:, 0]
