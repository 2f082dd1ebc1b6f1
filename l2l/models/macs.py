"""Multiply-adds of a program, counted in its trace: nothing is computed, and no variable is made.

Convolutions and matrix products only; what the field prints as "GFLOPs" is this count. Places where a kernel reaches
over the border count as all others do. A compiler's own estimate is no substitute: it counts the body of a loop once.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from l2l.models.backbones.conv import as_convolutions

# What runs the program that it holds once, and gives what that gives.
CALLS = (
    *("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
)


@dataclasses.dataclass(frozen=True)
class Program:
    """A traced function.

    Attributes:
      jaxpr: its equations.
      outputs: the name of each array that it gives; arrays of one tree have one name.
    """

    jaxpr: Jaxpr
    outputs: tuple[str, ...]

    def macs(self, name: str, *, rounds: int | None = None) -> int:
        """Multiply-adds of making one output alone.

        Args:
          name: of the output.
          rounds: how often the bodies of scans run, if not as often as was traced; of scans within these, the latter.

        Raises:
          ValueError: there is no such output; or products stand where the trace does not say how often they run.
        """
        if name not in self.outputs:
            raise ValueError(f"no output {name!r} to count the multiply-adds of, only {', '.join(self.outputs)}")
        return _macs(self.jaxpr, [name == own for own in self.outputs], rounds)


def traced(function: Callable[..., Mapping[str, Any]], *shapes: Any) -> Program:
    """A function from trees of arrays to named trees of arrays, traced on trees of `jax.ShapeDtypeStruct`."""
    with as_convolutions():
        closed, out = jax.make_jaxpr(function, return_shape=True)(*shapes)
    names = [name for name, tree in sorted(out.items()) for _ in jax.tree.leaves(tree)]  # as dicts are flattened
    return Program(closed.jaxpr, tuple(names))


def shape(*sizes: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """Of an array, for `traced`."""
    return jax.ShapeDtypeStruct(sizes, dtype)


def random_key() -> Any:
    """The shape of a random key."""
    return jax.eval_shape(lambda: jax.random.key(0))


def _macs(jaxpr: Jaxpr, asked: Sequence[bool], rounds: int | None = None) -> int:
    """Multiply-adds of what those outputs depend on that are asked for."""
    needed = {v for v, own in zip(jaxpr.outvars, asked, strict=True) if own and isinstance(v, Var)}
    total = 0
    for equation in reversed(jaxpr.eqns):
        own = [v in needed for v in equation.outvars]
        if any(own):
            needed.update(v for v in equation.invars if isinstance(v, Var))
            total += _equation(equation, own, rounds)
    return total


def _equation(equation: JaxprEqn, asked: list[bool], rounds: int | None) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
        kernel, features = _sizes(equation.invars[1]), params["dimension_numbers"].rhs_spec[0]
        return math.prod(_sizes(equation.outvars[0])) * math.prod(kernel) // max(kernel[features], 1)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = _sizes(equation.invars[0])
        return math.prod(_sizes(equation.outvars[0])) * math.prod(left[axis] for axis in contracted)
    if name == "scan":
        carry = params["num_carry"]
        body = _macs(params["jaxpr"].jaxpr, [True] * carry + asked[carry:])
        return body * (params["length"] if rounds is None else rounds)
    inner = _inner(params)
    if name == "cond":
        return max(_macs(branch, asked, rounds) for branch in inner)
    if name in CALLS:
        return sum(_macs(program, asked, rounds) for program in inner)
    if any(_macs(program, [True] * len(program.outvars)) for program in inner):
        raise ValueError(
            f"the multiply-adds inside {name!r} cannot be counted, since the trace does not say how often they run: "
            "write a loop of a fixed number of rounds (jax.lax.scan, or jax.lax.fori_loop between constants)"
        )
    return 0


def _inner(params: Mapping[str, Any]) -> list[Jaxpr]:
    """The programs that an equation holds."""
    values = [v for own in params.values() for v in (own if isinstance(own, tuple | list) else [own])]
    programs = [v.jaxpr if isinstance(v, ClosedJaxpr) else v for v in values]
    return [program for program in programs if isinstance(program, Jaxpr)]


def _sizes(value: Var | Literal) -> tuple[int, ...]:
    aval = value.aval
    if not isinstance(aval, jax.core.ShapedArray):
        raise TypeError(f"a product of something that is no array: {aval}")
    return tuple(aval.shape)
