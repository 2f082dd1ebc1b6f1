"""The one train step, for every task."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from l2l.core import sharding
from l2l.tasks import Task
from l2l.train.frozen import held, still
from l2l.train.optim import Rules
from l2l.train.state import TrainState, Tree


def make_step(
    task: Task,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    placed: Any = None,
    parts: int = 1,
    lr_scale: Rules = (),
) -> Callable:
    """(state, frozen, batch, key) -> (new state, dict of float32 scalars), compiled once; the state is donated.

    Args:
      task: what is optimised.
      optimizer: of the state.
      mesh: over which the batch is split.
      placed: shardings of the state, see `sharding.spread`; None: whole on every device.
      parts: into how many the batch is cut for the gradient, see `gradients`.
      lr_scale: the optimiser's; what it scales by 0 is frozen.
    """
    whole, split = sharding.replicated(mesh), sharding.over_data(mesh)
    placed = placed or whole

    def loss(params: Tree, *rest: Any) -> tuple:
        with still(lr_scale):
            return task.loss(held(params, lr_scale), *rest)

    def step(state: TrainState, frozen: Tree, batch: Tree, key: jax.Array) -> tuple[TrainState, Tree]:
        rng = jax.random.fold_in(key, state.step)
        grads, batch_stats, measured = gradients(loss, state, frozen, batch, rng, mesh, parts)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        norms = {"grad_norm": grads, "update_norm": updates, "param_norm": params}
        measured |= {name: optax.global_norm(tree) for name, tree in norms.items()}
        return TrainState(state.step + 1, params, batch_stats, opt_state), measured

    return jax.jit(step, donate_argnums=0, in_shardings=(placed, whole, split, whole), out_shardings=(placed, whole))


def gradients(
    loss: Callable, state: TrainState, frozen: Tree, batch: Tree, rng: jax.Array, mesh: Mesh, parts: int
) -> tuple[Tree, Tree, Tree]:
    """(gradients, batch statistics, measurements) of a batch, at once or in equal parts one after another.

    Parts need the memory of one part's activations. Their gradients and measurements are averaged: those of the
    whole batch, for a model without batch statistics. BatchNorm normalises each part by the part's own statistics
    and updates its running averages once a part.
    """

    def of(batch_stats: Tree, part: Tree, rng: jax.Array) -> tuple[Tree, Tree, Tree]:
        value_and_grad = jax.value_and_grad(loss, has_aux=True)
        (value, (batch_stats, measured)), grads = value_and_grad(state.params, batch_stats, frozen, part, rng)
        return grads, batch_stats, {"loss": value} | measured

    if parts == 1:
        return of(state.batch_stats, batch, rng)

    def add(carry: tuple[Tree, Tree], part: tuple[Tree, jax.Array]) -> tuple[tuple[Tree, Tree], Tree]:
        total, batch_stats = carry
        grads, batch_stats, measured = of(batch_stats, *part)
        return (jax.tree.map(jnp.add, total, grads), batch_stats), measured

    zeros = jax.tree.map(jnp.zeros_like, state.params)
    each = (cut(batch, mesh, parts), jax.random.split(rng, parts))
    (total, batch_stats), measured = jax.lax.scan(add, (zeros, state.batch_stats), each)
    grads = jax.tree.map(lambda x: x / parts, total)
    return grads, batch_stats, jax.tree.map(lambda x: jnp.mean(x, axis=0), measured)


def cut(batch: Tree, mesh: Mesh, parts: int) -> Tree:
    """(b, ...) -> (parts, b / parts, ...): part i takes every parts-th row from i on, and no row leaves its device."""
    split = NamedSharding(mesh, PartitionSpec(None, "data"))
    deal = lambda x: jnp.swapaxes(x.reshape(-1, parts, *x.shape[1:]), 0, 1)
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(deal(x), split), batch)
