"""One mesh with the axes (data, model). Batches are split over data, large arrays of the state over the whole mesh."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXES = ("data", "model")


def make_mesh(shape: Sequence[int]) -> Mesh:
    """A (data, model) mesh over all devices; data = -1 takes what the other axis leaves.

    The devices of a process are neighbours, so that it feeds a block of a batch's rows. Axes are Auto: under JAX's
    default, Explicit, ordinary gradients and scans fail.

    Raises:
      ValueError: the shape does not fit the number of devices, of all processes or of one.
    """
    data, model = shape
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    if data == -1 and model > 0 and len(devices) % model == 0:
        data = len(devices) // model
    if data < 1 or model < 1 or data * model != len(devices):
        raise ValueError(f"mesh={tuple(shape)} does not fit {len(devices)} devices: set --config.mesh=(-1,1)")
    if jax.local_device_count() % model:
        raise ValueError(
            f"mesh={tuple(shape)} splits its model axis between processes of {jax.local_device_count()} devices: "
            "set --config.mesh=(-1,1)"
        )
    return Mesh(np.array(devices).reshape(data, model), AXES, axis_types=(AxisType.Auto, AxisType.Auto))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def over_data(mesh: Mesh) -> NamedSharding:
    """The first axis split over the mesh's data axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def spread(mesh: Mesh, tree: Any, smallest: int) -> Any:
    """The sharding of every array of a tree: FSDP's and ZeRO's rule for parameters and optimiser state alike.

    An array of at least `smallest` values is split along its largest axis that the number of devices divides; all
    others are whole on every device. 0 splits nothing. Takes arrays or their shapes.
    """

    def of(x: Any) -> NamedSharding:
        axes = [i for i, n in enumerate(x.shape) if n and n % mesh.size == 0]
        if not smallest or x.size < smallest or not axes:
            return replicated(mesh)
        largest = max(axes, key=lambda i: x.shape[i])
        return NamedSharding(mesh, PartitionSpec(*[None] * largest, AXES))

    return jax.tree.map(of, tree)


def check_batch(mesh: Mesh, batch: int, key: str, parts: int = 1) -> None:
    """Raises ValueError if a batch, computed in so many parts, does not divide over the mesh."""
    ways = mesh.shape["data"]
    if batch % (ways * parts):
        times = f" x optim.accumulate={parts}" if parts > 1 else ""
        raise ValueError(f"{key}={batch} does not divide over {ways} devices{times}: use a multiple of {ways * parts}")


def put_batch(mesh: Mesh, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """This process' rows (numpy) -> global arrays split over the mesh's data axis."""
    sharding = over_data(mesh)
    return {key: jax.make_array_from_process_local_data(sharding, value) for key, value in batch.items()}


def put(tree: Any, placed: Any) -> Any:
    """Values that every process has whole (numpy or on one of its devices) -> global arrays.

    Args:
      tree: the values, the same on every process. (`jax.device_put` would send all of them around to compare.)
      placed: one sharding, or a tree of them.
    """
    if isinstance(placed, NamedSharding):
        placed = jax.tree.map(lambda _: placed, tree)
    one = lambda x, sharding: jax.make_array_from_callback(x.shape, sharding, x.__getitem__)
    return jax.tree.map(lambda x, sharding: one(np.asarray(x), sharding), tree, placed)
