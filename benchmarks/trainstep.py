"""A train step as a call without arguments: the real step on one batch that lies on the device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from l2l.core import sharding
from l2l.data.batching import Batch
from l2l.train import optim
from l2l.train.state import TrainState
from l2l.train.step import make_step


def of(task: Any, config: Any, variables: dict, frozen: dict, batch: Batch, mesh: jax.sharding.Mesh) -> Callable:
    """Each call takes one step of the config's optimiser and waits for it; the program is `call.program`."""
    numbers = {key: config.optim[key] for key in ("name", "momentum", "weight_decay", "clip_norm", "lr_scale")}
    optimizer = optim.make_optimizer(variables["params"], lambda step: 1e-4, **numbers)
    variables = jax.tree.map(jnp.array, variables)  # copies: the step donates its state
    opt_state = optimizer.init(variables["params"])
    whole = sharding.replicated(mesh)
    state = jax.device_put(TrainState(jnp.zeros((), jnp.int32), opt_state=opt_state, **variables), whole)
    frozen, key = jax.device_put((frozen, jax.random.key(0)), whole)
    program, device = make_step(task, optimizer, mesh), sharding.put_batch(mesh, batch)
    held = {"state": state}

    def call() -> None:
        held["state"], measured = program(held["state"], frozen, device, key)
        jax.block_until_ready((held["state"], measured))

    call.program = program
    return call
