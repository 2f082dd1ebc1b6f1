"""An exported model whose programs reach out of themselves is refused before any of it is compiled."""

import dataclasses
import io
import zipfile

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.mlir import ir
from jax.interpreters import mlir

import l2l
from l2l import infer
from l2l.export import writer
from l2l.inference import export_rules, from_export, programs
from tests.test_release import HERE

CALLBACK = "xla_ffi_python_cpu_callback"  # takes the address of a Python object
GOOD = HERE / "skim.l2l"
SCALAR = jax.ShapeDtypeStruct((), np.float32)


def calling(target, **numbers):
    """x -> x and what a custom call makes of it."""
    return lambda x: x + jax.ffi.ffi_call(target, SCALAR, has_side_effect=True)(x, **numbers)


def exported(function, *allowed):
    """A program of one number; JAX lets the custom calls pass that are allowed."""
    checks = [jax.export.DisabledSafetyCheck.custom_call(target) for target in allowed]
    return jax.export.export(jax.jit(function), platforms=["cpu"], disabled_checks=checks)(SCALAR)


def of_text(inside, aside=""):
    """A program of one number whose module is written by hand: these operations in it, and a function beside it."""
    main = f"func.func public @main(%x: tensor<f32>) -> tensor<f32> {{ {inside} return %x : tensor<f32> }}"
    with mlir.make_ir_context():
        buffer = io.BytesIO()
        ir.Module.parse(f"module {{ {aside} {main} }}").operation.write_bytecode(buffer)
    return dataclasses.replace(exported(jnp.sin), mlir_module_serialized=buffer.getvalue())


def put(path, name, program):
    """A copy of a good file in which one program is another."""
    with zipfile.ZipFile(GOOD) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            new.writestr(member, bytes(program.serialize()) if member == f"{name}.jax" else old.read(member))
    return path


@pytest.fixture
def nothing_compiled(monkeypatch):
    """Fails if a program is made ready to run."""

    def forbidden(*args, **kwargs):
        raise AssertionError("a program was compiled or called")

    monkeypatch.setattr(programs, "compiled", forbidden)
    monkeypatch.setattr(jax.export.Exported, "call", forbidden)


@pytest.mark.parametrize("name", ["describe", "skim"])
@pytest.mark.parametrize("target", [CALLBACK, "made_up"])
def test_a_file_that_calls_into_the_process(tmp_path, capsys, nothing_compiled, name, target):
    numbers = {"index": np.uint64(2**40)} if target == CALLBACK else {}
    path = put(tmp_path / "bad.l2l", name, exported(calling(target, **numbers), target))
    assert infer.main([str(HERE / "film.mp4"), f"--run={path}"]) == 1
    assert capsys.readouterr() == (
        "",
        f"error: {path} is not run: its {name} holds a custom call of '{target}', which no export of this project "
        "does; have the run exported again, and take such files only from people whom you trust\n",
    )


CONSTANTS = {
    "gone": lambda own, name: {key: x for key, x in own.items() if key != name},
    "more": lambda own, name: own | {"more": own[name]},
    "renamed": lambda own, name: {key + "x" * (key == name): x for key, x in own.items()},
    "of another shape": lambda own, name: own | {name: own[name][None]},
    "of another type": lambda own, name: own | {name: own[name].astype(np.float64)},
}


@pytest.mark.parametrize("what", CONSTANTS)
def test_constants_of_another_program(tmp_path, nothing_compiled, what):
    with zipfile.ZipFile(GOOD) as old:
        _, constants = from_export.program(old, "skim")
        changed = CONSTANTS[what](constants, min(constants))
        members = {name: old.read(name) for name in old.namelist()} | {"skim.npz": writer.npz(changed)}
    with zipfile.ZipFile(tmp_path / "bad.l2l", "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    with pytest.raises(from_export.ArtefactError) as caught:
        l2l.load(tmp_path / "bad.l2l")
    assert str(caught.value) == (
        f"{tmp_path / 'bad.l2l'} is damaged: its skim.npz has other constants than skim takes; export the run again"
    )


def call_of(target, dialect="stablehlo"):
    return f"%y = {dialect}.custom_call @{target}(%x) : (tensor<f32>) -> tensor<f32>"


NUL = r'"shape_assertion\00"'
TO_HOST = """%t = stablehlo.create_token : !stablehlo.token
    %o = "stablehlo.outfeed"(%x, %t) <{outfeed_config = ""}> : (tensor<f32>, !stablehlo.token) -> !stablehlo.token"""
ASIDE = f"func.func private @f(%x: tensor<f32>) -> tensor<f32> {{ {call_of('aside')} return %y : tensor<f32> }}"
BRANCH = lambda x: jax.lax.cond(x > 0, calling("branch"), jnp.sin, x)
LOOP = lambda x: jax.lax.fori_loop(0, 3, lambda _, x: jax.jit(calling("loop"))(x), x)
CASES = {
    "a custom call of 'branch'": lambda: exported(BRANCH, "branch"),
    "a custom call of 'loop'": lambda: exported(LOOP, "loop"),
    "a custom call of 'lapack_sgeqrf_ffi'": lambda: exported(lambda x: jnp.linalg.qr(x[None, None])[1]),
    r"a custom call of 'shape_assertion\x00'": lambda: of_text(call_of(NUL)),
    f"a custom call of '{'n' * 60}'": lambda: of_text(call_of("n" * 9999)),
    "a custom call of 'aside'": lambda: of_text("", aside=ASIDE),
    "mhlo.custom_call": lambda: of_text(call_of("shape_assertion", "mhlo")),
    "stablehlo.outfeed": lambda: of_text(TO_HOST),
}


@pytest.mark.parametrize("held", CASES)
def test_wherever_it_stands(tmp_path, nothing_compiled, held):
    program = CASES[held]()
    assert export_rules.unknown(program) == [held]
    with pytest.raises(from_export.ArtefactError) as caught:
        l2l.load(put(tmp_path / "bad.l2l", "describe", program))
    assert f"bad.l2l is not run: its describe holds {held}, which" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_text(tmp_path, nothing_compiled):
    path = put(tmp_path / "bad.l2l", "describe", of_text(call_of(r'"\FF"')))
    with pytest.raises(
        from_export.ArtefactError, match=r"bad.l2l is damaged, or of a JAX too far from this one: [^\n]*$"
    ):
        l2l.load(path)


def test_what_computes_is_admitted():
    """Sizes that are not fixed are compared by a custom call, the one that exports need."""
    (b,) = jax.export.symbolic_shape("b")
    program = jax.export.export(jax.jit(lambda x: x.mean()))(jax.ShapeDtypeStruct((b,), np.float32))
    assert "shape_assertion" in program.mlir_module()
    assert export_rules.unknown(program) == []
