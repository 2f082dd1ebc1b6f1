"""What training changes from step to step."""

from typing import Any

import flax.struct
import jax
import optax

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
