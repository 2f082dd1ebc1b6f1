"""One mesh with the axes (data, model): batches are split over data, everything else is replicated."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh(shape: Sequence[int]) -> Mesh:
    """A (data, model) mesh over all devices; data = -1 takes what the other axis leaves.

    Axes are Auto: under JAX's default, Explicit, ordinary gradients and scans fail.

    Raises:
      ValueError: the shape does not fit the number of devices.
    """
    data, model = shape
    devices = jax.device_count()
    if data == -1 and model > 0 and devices % model == 0:
        data = devices // model
    if data < 1 or model < 1 or data * model != devices:
        raise ValueError(f"mesh={tuple(shape)} does not fit {devices} devices: set --config.mesh=(-1,1)")
    return jax.make_mesh((data, model), ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def over_data(mesh: Mesh) -> NamedSharding:
    """The first axis split over the mesh's data axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def check_batch(mesh: Mesh, batch: int, key: str) -> None:
    """Raises ValueError if a batch does not divide over the mesh."""
    ways = mesh.shape["data"]
    if batch % ways:
        raise ValueError(f"{key}={batch} does not divide over {ways} devices: use a multiple of {ways}")


def put_batch(mesh: Mesh, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """This process' rows (numpy) -> global arrays split over the mesh's data axis."""
    sharding = over_data(mesh)
    return {key: jax.make_array_from_process_local_data(sharding, value) for key, value in batch.items()}
