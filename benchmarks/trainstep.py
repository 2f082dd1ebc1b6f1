"""A train step as a call without arguments: the real step on one batch that lies on the device."""

from typing import Any

import jax
import jax.numpy as jnp

from l2l.core import sharding
from l2l.data.batching import Batch
from l2l.train import optim
from l2l.train.state import TrainState
from l2l.train.step import make_step


class Step:
    """Each call takes one step of an optimiser and waits for it.

    Attributes:
      program: (state, frozen, batch, key) -> (new state, what was measured), compiled; how often, says its
        `_cache_size`, which no type of JAX's tells of.
    """

    def __init__(self, program: Any, state: TrainState, *rest: Any) -> None:
        self.program, self._state, self._rest = program, state, rest

    def __call__(self) -> None:
        self._state, measured = self.program(self._state, *self._rest)
        jax.block_until_ready((self._state, measured))


def of(task: Any, config: Any, variables: dict, frozen: dict, batch: Batch, mesh: jax.sharding.Mesh) -> Step:
    """The step of the config's optimiser."""
    numbers = {key: config.optim[key] for key in ("name", "momentum", "weight_decay", "clip_norm", "lr_scale")}
    optimizer = optim.make_optimizer(variables["params"], lambda step: 1e-4, **numbers)
    variables = jax.tree.map(jnp.array, variables)  # copies: the step donates its state
    opt_state = optimizer.init(variables["params"])
    whole = sharding.replicated(mesh)
    state = jax.device_put(TrainState(jnp.zeros((), jnp.int32), opt_state=opt_state, **variables), whole)
    frozen, key = jax.device_put((frozen, jax.random.key(0)), whole)
    return Step(make_step(task, optimizer, mesh), state, frozen, sharding.put_batch(mesh, batch), key)
