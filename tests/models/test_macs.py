"""What is counted in the trace of a program."""

import functools

import jax
import jax.numpy as jnp
import pytest

from l2l.models.backbones import conv
from l2l.models.macs import shape, traced

X = jnp.zeros((2, 8, 8, 3))
SQUARE = jnp.zeros((3, 3))


def counted(function, *shapes, **how):
    return traced(lambda *x: {"out": function(*x)}, *shapes).macs("out", **how)


@pytest.mark.parametrize(
    ("kernel", "how", "expected"),
    [
        ((3, 3, 3, 4), {"padding": "SAME"}, 2 * 64 * 4 * 27),
        ((3, 3, 3, 4), {"padding": "VALID"}, 2 * 36 * 4 * 27),
        ((3, 3, 3, 4), {"padding": ((1, 1), (1, 1)), "window_strides": (2, 2)}, 2 * 16 * 4 * 27),
        ((3, 3, 1, 6), {"padding": "SAME", "feature_group_count": 3}, 2 * 64 * 6 * 9),
    ],
)
def test_convolutions(kernel, how, expected):
    how = {"window_strides": (1, 1), "dimension_numbers": conv.LAYOUT} | how
    assert counted(lambda x, k: jax.lax.conv_general_dilated(x, k, **how), X, jnp.zeros(kernel)) == expected


def test_matrix_products():
    assert counted(lambda a, b: a @ b, shape(5, 4, 7), shape(5, 7, 3)) == 5 * 4 * 7 * 3
    assert counted(lambda a, b: jnp.einsum("bnk,bk->bn", a, b), shape(2, 5, 7), shape(2, 7)) == 2 * 5 * 7


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, functools.partial(jax.named_call, name="x")])
def test_programs_within_programs(wrap):
    assert counted(wrap(lambda c: c @ c), SQUARE) == 27


def test_what_a_derivative_of_its_own_has_counts_once():
    own = conv.blocked(X, jnp.zeros((3, 3, 3, 4)), (2, 2), ((1, 1), (1, 1)))
    assert own.shape == (2, 4, 4, 4)
    assert counted(lambda x: conv.blocked(x, jnp.zeros((3, 3, 3, 4)), (2, 2), ((1, 1), (1, 1))), X) == 2 * 16 * 4 * 27


def test_loops_count_as_often_as_they_run():
    inner = lambda c: jax.lax.fori_loop(0, 2, lambda _, c: c @ c, c)
    outer = lambda c: jax.lax.scan(lambda c, _: (inner(c) @ c, None), c, None, 5)[0]
    assert counted(outer, SQUARE) == 5 * (2 * 27 + 27)
    assert counted(lambda c: outer(c @ c), SQUARE, rounds=1) == 27 + 2 * 27 + 27
    assert counted(lambda c: outer(c @ c), SQUARE, rounds=0) == 27


def test_of_branches_the_largest_counts():
    branches = [lambda c: c, lambda c: c @ c, lambda c: c @ c @ c]
    assert counted(lambda i, c: jax.lax.switch(i, branches, c), jnp.int32(0), SQUARE) == 2 * 27


def test_a_loop_without_a_number_of_rounds_is_refused():
    until = lambda body: lambda c: jax.lax.while_loop(lambda c: c.sum() < 1, body, c)
    with pytest.raises(ValueError, match=r"inside 'while' cannot be counted.*jax\.lax\.scan"):
        counted(until(lambda c: c @ c), SQUARE)
    assert counted(until(lambda c: c + 1), SQUARE) == 0


def test_only_what_is_asked_for_counts():
    def steps(c):
        c, out = jax.lax.scan(lambda c, _: (c @ c, {"a": c[:2] @ c, "b": c[:1] @ c}), c, None, 4)
        return {"state": c, "tree": [out["a"], out["a"]], "b": out["b"]}

    program = traced(jax.jit(steps), SQUARE)
    assert {name: program.macs(name) for name in program.outputs} == {
        "state": 4 * 27,
        "tree": 4 * (27 + 18),
        "b": 4 * (27 + 9),
    }
    with pytest.raises(ValueError, match="no output 'c' to count the multiply-adds of, only b, state, tree, tree"):
        program.macs("c")
