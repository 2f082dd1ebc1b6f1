"""One result on any number of devices, whole or spread; and what a device holds shrinks as they grow."""

import dataclasses
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec

from l2l.core import sharding
from l2l.runs import dependencies
from l2l.runs.fits import clip_shapes
from l2l.train import optim, setup
from l2l.train.state import TrainState
from l2l.train.step import make_step
from l2l.weights.published import config_of
from tests.helpers import shards, small

SPREAD = 16  # values: nearly everything


def mesh_of(data: int, model: int = 1) -> Mesh:
    devices = np.array(jax.devices()[: data * model]).reshape(data, model)
    return Mesh(devices, sharding.AXES, axis_types=(AxisType.Auto,) * 2)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    work = tmp_path_factory.mktemp("sharding")
    clips = shards.clip_directory(work / "clips", videos={"train": 24, "val": 5})
    # Image alone: the log-mel is float32 by design, and its FFT rounds differently with the number of rows.
    model = {"model__modality": "image", "model__width": 8, "model__stages": (1, 1)}
    config = small.config("finetune", work / "run", clips, data__batch=16, **model)
    return setup.prepare(config, dependencies.ensure(config))


def steps(job: setup.Job, mesh: Mesh, smallest: int, rows: list, dtype: str) -> tuple[dict, list[float]]:
    """Parameters and losses after as many steps as there are batches, from the job's variables."""
    variables = jax.tree.map(lambda x: np.asarray(x, dtype), job.variables)
    task = dataclasses.replace(job.task, model=job.task.model.clone(dtype=jnp.dtype(dtype)))
    opt_state = job.optimizer.init(variables["params"])
    state = TrainState(jnp.zeros((), jnp.int32), opt_state=opt_state, **variables)
    placed = sharding.spread(mesh, state, smallest)
    state = sharding.put(state, placed)
    step, losses = make_step(task, job.optimizer, mesh, placed=placed), []
    for batch in rows:
        state, measured = step(state, {}, sharding.put_batch(mesh, batch), jax.random.key(0))
        losses.append(float(measured["loss"]))
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x.sharding, state), placed)
    return jax.device_get(state.params), losses


@pytest.mark.soak
def test_any_mesh_equals_one_device(job):
    source = job.source.train("train", draw="clip", batch=16, streams=4, seed=0, first_step=0, shuffle=8)
    rows = [next(source) for _ in range(4)]
    meshes = [(mesh_of(2), 0), (mesh_of(2, 4), SPREAD)]
    if os.environ.get("L2L_SOAK"):
        meshes += [(mesh_of(4), SPREAD), (mesh_of(8), 0)]
    with jax.enable_x64(True):
        one, _ = steps(job, mesh_of(1), 0, rows, "float64")
        for mesh, smallest in meshes:
            other, _ = steps(job, mesh, smallest, rows, "float64")
            chex.assert_trees_all_close(one, other, rtol=1e-10, atol=1e-13)
    _, loss_of_one = steps(job, mesh_of(1), 0, rows[:1], "float32")
    _, loss = steps(job, mesh_of(8), SPREAD, rows[:1], "float32")
    np.testing.assert_allclose(loss_of_one, loss, rtol=1e-5)


def held(state: TrainState) -> list[int]:
    """Bytes of a state on each device."""
    total = dict.fromkeys(jax.devices(), 0)
    for x in jax.tree.leaves(state):
        for shard in x.addressable_shards:
            total[shard.device] += shard.data.nbytes
    return list(total.values())


def test_a_device_holds_an_nth_of_the_state(job):
    config = job.config.copy_and_resolve_references()
    config.shard_min = 0
    whole = held(setup.init_state(dataclasses.replace(job, config=config)))
    assert len(set(whole)) == 1
    sizes = dict.fromkeys((1, 2, 4, 8))
    config.shard_min = SPREAD
    for devices in sizes:
        mesh = mesh_of(devices)
        state = setup.init_state(dataclasses.replace(job, config=config, mesh=mesh))
        sizes[devices] = max(held(state)) / whole[0]
    assert sizes[1] == 1
    for devices in (2, 4, 8):  # what is too small, or does not divide, stays whole
        assert 1 / devices <= sizes[devices] < 1.12 / devices, sizes


def test_the_rule_at_full_size():
    """The teacher with AdamW on eight devices, by shape alone."""
    shapes = clip_shapes(config_of("configs/teacher.py:kinetics400"), 400)
    optimizer = optim.make_optimizer(
        shapes["params"], lambda _: 0.1, name="adamw", momentum=0.9, weight_decay=0.0, clip_norm=0.0, lr_scale=()
    )
    state = (shapes, jax.eval_shape(optimizer.init, shapes["params"]))
    placed = sharding.spread(mesh_of(4, 2), state, 2**14)
    size = lambda shape: 4 * np.prod(shape)
    pairs = list(zip(jax.tree.leaves(state), jax.tree.leaves(placed), strict=True))
    total = sum(size(x.shape) for x, _ in pairs)
    on_one = sum(size(sharding.shard_shape(x.shape)) for x, sharding in pairs)
    assert total > 3 * 4 * 31_000_000
    assert on_one < 1.02 * total / 8


def test_the_largest_axis_that_divides_is_split():
    tree = {"a": (3, 3, 64, 128), "b": (3, 3, 64, 230), "c": (7, 9), "d": (8,), "e": ()}
    tree = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in tree.items()}
    found = {name: x.spec for name, x in sharding.spread(mesh_of(4, 2), tree, 9).items()}
    both = ("data", "model")
    assert found == {
        "a": PartitionSpec(None, None, None, both),
        "b": PartitionSpec(None, None, both),
        "c": PartitionSpec(),
        "d": PartitionSpec(),
        "e": PartitionSpec(),
    }
    assert all(x.spec == PartitionSpec() for x in sharding.spread(mesh_of(8), tree, 0).values())
