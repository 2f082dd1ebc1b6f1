"""What training changes from step to step."""

from typing import Any

import flax.struct
import flax.traverse_util
import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from l2l.core.trees import mismatches
from l2l.data.batching import split_host
from l2l.data.dataset import Source
from l2l.runs import run_folder
from l2l.tasks import Task
from l2l.tasks.distill import BRIDGE
from l2l.train import optim

Tree = dict[str, Any]


@flax.struct.dataclass
class TrainState:
    """Step (int32 scalar), parameters, BatchNorm statistics and the optimiser's state."""

    step: jax.Array
    params: Tree
    batch_stats: Tree
    opt_state: optax.OptState

    @property
    def variables(self) -> Tree:
        """What a model's `apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def init_variables(config: ConfigDict, source: Source, task: Task, frozen: Tree, inits: list[run_folder.Run]) -> Tree:
    """Fresh variables from the seed, overwritten by those of the `init` runs where their paths are not skipped."""
    batch, _ = split_host(next(source.eval(config.data.train, batch=2)))
    variables = jax.device_get(jax.jit(task.init)(jax.random.key(config.seed), batch, frozen))
    always = (f"params/{BRIDGE}/.*",) if BRIDGE in variables["params"] else ()
    for init in inits:
        variables = merge(variables, init.variables["model"], (*config.init_skip, *always), init.part)
    return {"batch_stats": {}} | variables


def merge(fresh: Tree, loaded: Tree, skip: tuple[str, ...], part: tuple[str, ...] = ()) -> Tree:
    """Loaded values in the place of fresh ones; both trees must agree outside the skipped paths.

    Args:
      fresh: variables of the model.
      loaded: variables of a run.
      skip: patterns of paths that stay fresh.
      part: patterns of the paths that the run has to offer, if these are not all.

    Raises:
      ValueError: missing, unused or differently shaped entries, all of them listed.
    """
    new = flax.traverse_util.flatten_dict(fresh, sep="/")
    old = flax.traverse_util.flatten_dict(loaded, sep="/")
    skipped = optim.matching(skip, new | old)
    skipped |= (new.keys() - optim.matching(part, new)) if part else set()
    old = {path: np.asarray(value) for path, value in old.items() if path not in skipped}
    wrong = mismatches({path: value for path, value in new.items() if path not in skipped}, old)
    if wrong:
        raise ValueError("the weights of config.init do not fit the model:\n  " + "\n  ".join(wrong))
    return flax.traverse_util.unflatten_dict(new | old, sep="/")
