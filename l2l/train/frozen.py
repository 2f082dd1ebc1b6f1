"""What a run does not train: parameters whose learning rate is scaled by 0, with the statistics that go with them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax

from l2l.train.optim import Rules, lr_scales, scale_of
from l2l.train.state import Tree


def held(params: Tree, rules: Rules) -> Tree:
    """The parameters, those that are frozen as constants: their gradient is 0 and costs nothing."""
    hold = lambda x, scale: x if scale else jax.lax.stop_gradient(x)
    return jax.tree.map(hold, params, lr_scales(rules, params))


def still(rules: Rules) -> AbstractContextManager:
    """Within it a BatchNorm that is frozen normalises by its stored statistics, as in evaluation, and keeps them."""

    def call(go_on: Callable, args: tuple, kwargs: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        norm = context.module
        if not (isinstance(norm, nn.BatchNorm) and context.method_name == "__call__" and is_frozen(norm, rules)):
            return go_on(*args, **kwargs)
        stored = norm.clone(parent=None, name=None, use_running_average=True)
        return stored.apply(norm.variables, *args, **kwargs)

    return nn.intercept_methods(call)


def is_frozen(norm: nn.BatchNorm, rules: Rules) -> bool:
    """Whether all of a BatchNorm's parameters are frozen, and it would use a batch's own statistics nevertheless."""
    scales = [scale_of("/".join((*norm.path, name)), rules) for name in norm.variables.get("params", {})]
    return bool(scales) and not any(scales) and not norm.use_running_average
