"""Optimisers, schedules and per-path learning rates from numbers alone."""

import re
from collections.abc import Callable, Iterable, Sequence

import flax.traverse_util
import jax
import jax.numpy as jnp
import optax

from l2l.runs.values import OPTIMISERS, SCHEDULES

Schedule = Callable[[int], float]
Rules = Sequence[tuple[str, float]]  # (pattern of parameter paths, factor of the learning rate)


def steps_of(epochs: float, examples: int, batch: int) -> int:
    """Epochs -> optimiser steps, at least 1 for a positive duration. The only converter of durations."""
    return max(1, round(epochs * examples / batch)) if epochs > 0 else 0


def make_schedule(
    *, lr: float, total: int, warmup: int, name: str, milestones: Sequence[int], factor: float
) -> Schedule:
    """Learning rate at a step: linear warm-up, then a half cosine to 0, drops by `factor` at milestones, or no change.

    Raises:
      ValueError: unknown name.
    """
    if name == "cosine":
        after = optax.cosine_decay_schedule(lr, max(1, total - warmup))
    elif name == "milestones":
        after = optax.piecewise_constant_schedule(lr, {step - warmup: factor for step in milestones})
    elif name == "constant":
        after = optax.constant_schedule(lr)
    else:
        raise ValueError(f"unknown optim.schedule {name!r}: choose from {', '.join(SCHEDULES)}")
    return optax.join_schedules([optax.linear_schedule(lr / max(1, warmup), lr, warmup), after], [warmup])


def matching(patterns: Sequence[str], paths: Iterable[str]) -> set[str]:
    """The "/"-joined paths that one of the patterns matches as a whole.

    Raises:
      ValueError: a pattern matches nothing.
    """
    paths = list(paths)
    found: set[str] = set()
    for pattern in patterns:
        hits = {path for path in paths if re.fullmatch(pattern, path)}
        if not hits:
            raise ValueError(f"the pattern {pattern!r} matches no parameter; there are {', '.join(paths[:6])}, ...")
        found |= hits
    return found


def scale_of(path: str, rules: Rules) -> float:
    """That of the first rule whose pattern matches the path; 1 without a match."""
    return next((scale for pattern, scale in rules if re.fullmatch(pattern, path)), 1.0)


def lr_scales(rules: Rules, tree: dict) -> dict:
    """A number for every leaf of a tree, see `scale_of`. Raises ValueError if a pattern matches nothing."""
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    matching([pattern for pattern, _ in rules], flat)
    return flax.traverse_util.unflatten_dict({path: scale_of(path, rules) for path in flat}, sep="/")


def make_optimizer(
    params: dict,
    schedule: Schedule,
    *,
    name: str,
    momentum: float,
    weight_decay: float,
    clip_norm: float,
    lr_scale: Rules,
) -> optax.GradientTransformation:
    """SGD with Nesterov momentum or AdamW; weight decay on kernels only; a scale of 0 freezes what matches.

    Raises:
      ValueError: unknown name, or a pattern of lr_scale that matches nothing.
    """
    kernels = lambda tree: jax.tree.map(lambda x: jnp.ndim(x) > 1, tree)
    scale = lr_scales(tuple(lr_scale), params)
    decay = optax.add_decayed_weights(weight_decay, mask=kernels)
    if name == "sgd":
        core = [decay, optax.trace(decay=momentum, nesterov=True)]
    elif name == "adamw":
        core = [optax.scale_by_adam(), decay]
    else:
        raise ValueError(f"unknown optim.name {name!r}: choose from {', '.join(OPTIMISERS)}")
    clip = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    rates = optax.stateless(lambda updates, _: jax.tree.map(lambda u, s: u * s, updates, scale))
    return optax.chain(*clip, *core, rates, optax.scale_by_learning_rate(schedule))
