"""A module with variables that it reads and does not change."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn


def applied(module: nn.Module, variables: Mapping[str, Any], *inputs: Any, **how: Any) -> Any:
    """What the module gives. (`Module.apply` may also give variables that it changed, and its type says so.)

    Args:
      variables: its collections, such as {"params": ...}.
      inputs: of the call.
      how: further arguments of the call, and `method` and `rngs` as `Module.apply` takes them.
    """
    return module.apply(variables, *inputs, mutable=False, **how)
