"""A batch in parts: the same gradient, in less memory; BatchNorm sees one part at a time."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from l2l.train.state import TrainState
from l2l.train.step import make_step
from tests.core.test_sharding import mesh_of


class Line:
    """A task: least squares through a linear layer, with BatchNorm before it or without."""

    def __init__(self, norm: bool):
        self.norm, self.dense = norm, nn.Dense(1, dtype=jnp.float64)
        self.batch_norm = nn.BatchNorm(use_running_average=False, dtype=jnp.float64)

    def init(self, x):
        stats = self.batch_norm.init(jax.random.key(0), x)["batch_stats"]
        return {"params": self.dense.init(jax.random.key(1), x)["params"], "batch_stats": stats}

    def loss(self, params, batch_stats, frozen, batch, rng):
        x = batch["x"]
        if self.norm:
            scale = {"scale": jnp.ones(3), "bias": jnp.zeros(3)}
            variables = {"params": scale, "batch_stats": batch_stats}
            x, new = self.batch_norm.apply(variables, x, mutable=["batch_stats"])
            batch_stats = new["batch_stats"]
        loss = jnp.mean((self.dense.apply({"params": params}, x)[:, 0] - batch["y"]) ** 2)
        return loss, (batch_stats, {"twice": 2 * loss})


def one_step(task, batch, parts):
    optimizer, mesh = optax.sgd(0.1), mesh_of(2)
    variables = jax.tree.map(lambda x: x.astype(np.float64), task.init(batch["x"]))
    opt_state = optimizer.init(variables["params"])
    state = TrainState(jnp.zeros((), jnp.int32), opt_state=opt_state, **variables)
    return jax.device_get(make_step(task, optimizer, mesh, parts=parts)(state, {}, batch, jax.random.key(0)))


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(16, 3)), "y": rng.normal(size=16)}


def test_parts_equal_the_whole_without_batch_statistics(batch):
    with jax.enable_x64(True):
        whole, parts = (one_step(Line(norm=False), batch, count) for count in (1, 4))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), whole, parts)
    assert parts[1].keys() == {"loss", "twice", "grad_norm", "update_norm", "param_norm"}


def test_batch_norm_sees_one_part_after_another(batch):
    with jax.enable_x64(True):
        whole, parts = (one_step(Line(norm=True), batch, count) for count in (1, 2))
    assert not np.allclose(whole[1]["loss"], parts[1]["loss"])
    mean = np.zeros(3)
    for part in (batch["x"][0::2], batch["x"][1::2]):
        mean = 0.99 * mean + 0.01 * part.mean(0)
    np.testing.assert_allclose(parts[0].batch_stats["mean"], mean, rtol=1e-6)
