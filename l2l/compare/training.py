"""Trains a model from several seeds at once: one program, in which every seed has its own order and its own noise.

Rate, videos and frozen variables are arguments of the program, so that it is compiled once for all of them. The clip
model's fused feature of a position is the same at every step; it is computed once.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from l2l.compare.films import Tree
from l2l.models.skimmer import Skimmer
from l2l.train import optim

FUSED = "fused"
CLASSIFIER = (("classifier/.*", 0.1),)  # one that starts from the clip model's learns at a tenth of the rate


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a model is trained: AdamW, whose rate `lr` falls along a cosine over so many `epochs`."""

    lr: float = 2e-3
    epochs: int = 30
    weight_decay: float = 1e-4
    batch: int = 64
    lr_scale: optim.Rules = CLASSIFIER


def train(
    task: Any, frozen: Tree, videos: Tree, settings: Settings, seeds: range, *, of_each_seed: bool = False
) -> Tree:
    """Variables of a task's model, trained on all the videos; the first axis of every leaf is that of the seeds.

    Args:
      task: has `init` and `loss` as a `tasks.Task` has.
      frozen: what it takes of clip models.
      videos: see `films.Features`.
      settings: of the training.
      seeds: of initialisation, order and noise.
      of_each_seed: whether the arrays of the videos have a first axis, that of the seeds.
    """
    videos = {name: jnp.asarray(value) for name, value in videos.items()}
    task, videos = looked_up(task, frozen, videos)
    axis = 0 if of_each_seed else None
    count = videos["mask"].shape[-1]
    per_epoch = -(-count // settings.batch)
    keys = jax.vmap(jax.random.key)(jnp.array(seeds))
    first = jax.tree.map(lambda value: (value[0] if of_each_seed else value)[:2], videos)
    known = frozen | ({"fusion": first.pop(FUSED)} if FUSED in first else {})
    variables = jax.jit(jax.vmap(task.init, in_axes=(0, None, None)))(keys, first, known)
    at_one = dataclasses.replace(settings, lr=1.0)  # what AdamW changes is proportional to the rate
    optimizer = optimiser_of(jax.tree.map(lambda x: x[0], variables["params"]), at_one, per_epoch)
    state = (variables["params"], variables.get("batch_stats", {}), jax.vmap(optimizer.init)(variables["params"]))

    def step(
        state: tuple, key: jax.Array, rows: jax.Array, number: jax.Array, videos: Tree, frozen: Tree, lr: jax.Array
    ) -> tuple:
        params, batch_stats, opt_state = state
        batch = jax.tree.map(lambda value: value[rows], videos)
        if FUSED in batch:
            frozen = frozen | {"fusion": batch.pop(FUSED)}
        rng = jax.random.fold_in(key, number)
        grads, (batch_stats, _) = jax.grad(task.loss, has_aux=True)(params, batch_stats, frozen, batch, rng)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, jax.tree.map(lambda x: lr * x, updates)), batch_stats, opt_state

    steps = jax.jit(jax.vmap(step, in_axes=(0, 0, 0, None, axis, None, None)), donate_argnums=0)
    orders = [np.random.default_rng((seed, 1)) for seed in seeds]
    for epoch in range(settings.epochs):
        rows = np.stack([whole_batches(rng, count, settings.batch) for rng in orders], axis=1)  # (steps, seeds, b)
        for number, own in enumerate(rows, epoch * per_epoch):
            state = steps(state, keys, jnp.asarray(own), jnp.int32(number), videos, frozen, jnp.float32(settings.lr))
    return {"params": state[0], "batch_stats": state[1]}


@dataclasses.dataclass(frozen=True)
class Known:
    """A clip model's fusion whose answers are looked up: of a video, as it is and without its sound."""

    def apply(self, variables: Tree, image: jax.Array, audio: jax.Array, *, mutable: bool = False) -> jax.Array:
        """As `models.student.Fusion`; variables: "heard" and "deaf" (b, n, f), in the place of parameters."""
        del image, mutable
        heard = jnp.any(audio != 0, axis=(1, 2))  # what is muted is zeros
        return jnp.where(heard[:, None, None], variables["params"]["heard"], variables["params"]["deaf"])


def looked_up(task: Any, frozen: Tree, videos: Tree) -> tuple[Any, Tree]:
    """The task with its fusion looked up, and the videos with what it gives of each; or both as they are.

    The LSTM skimmer fuses what it has mixed of several positions, which nobody knows before; and where nothing is
    computed there is nothing to look up.
    """
    fusion = task.model.fusion
    if isinstance(task.model, Skimmer) or not frozen["fusion"] or "norm" in frozen:
        return task, videos
    fuse = jax.jit(lambda params, *x: fusion.apply({"params": params}, *x))
    image, audio = videos["image"], videos["audio"]
    given = {
        "heard": fuse(frozen["fusion"], image, audio),
        "deaf": fuse(frozen["fusion"], image, jnp.zeros_like(audio)),
    }
    known = dataclasses.replace(task, model=task.model.clone(fusion=Known()))
    return known, videos | {FUSED: given}


def optimiser_of(params: Tree, settings: Settings, per_epoch: int) -> optax.GradientTransformation:
    """That of one seed's parameters, by `optim`, as a run of `l2l.main` has it."""
    numbers: dict[str, Any] = {"name": "cosine", "warmup": 0, "milestones": (), "factor": 1.0}
    schedule = optim.make_schedule(lr=settings.lr, total=settings.epochs * per_epoch, **numbers)
    plain: dict[str, Any] = {"name": "adamw", "momentum": 0.0, "clip_norm": 0.0}
    own: dict[str, Any] = {"weight_decay": settings.weight_decay, "lr_scale": settings.lr_scale}
    return optim.make_optimizer(params, schedule, **own, **plain)


def whole_batches(rng: np.random.Generator, count: int, batch: int) -> np.ndarray:
    """Rows (steps, batch) of one epoch: every video once, and enough of them twice to fill the last batch."""
    steps = -(-count // batch)
    rows = [rng.permutation(count) for _ in range(-(-steps * batch // count))]
    return np.concatenate(rows)[: steps * batch].reshape(steps, batch)


def each_seed(
    answer: Callable[[Tree, Tree, Tree], Any],
    variables: Tree,
    frozen: Tree,
    videos: Tree,
    *,
    of_each_seed: bool = False,
) -> Any:
    """What a function of one seed's variables, the frozen ones and the videos gives, for all seeds: (seeds, ...)."""
    program = jax.jit(answer)
    of = lambda tree, seed: jax.tree.map(lambda x: x[seed], tree)
    seeds = range(len(jax.tree.leaves(variables)[0]))
    found = [program(of(variables, s), frozen, of(videos, s) if of_each_seed else videos) for s in seeds]
    return jax.tree.map(lambda *x: np.stack([np.asarray(v) for v in x]), *found)
