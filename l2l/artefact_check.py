"""What a program of an exported file may hold: arithmetic, and nothing that reaches outside of it.

A custom call is a name that JAX looks up in the process and calls with what the file gives it, an address for one. So
all operations of a program are looked at before it is compiled.
"""

import jax.export
from jax.extend.mlir import ir
from jax.interpreters import mlir

DIALECTS = frozenset({"builtin", "func", "stablehlo"})
CALL, TARGET = "stablehlo.custom_call", "call_target_name"
CALLED = frozenset({"shape_assertion"})  # compares sizes while JAX compiles: all that this project's exports call
# To and from the host, or by a name that the compiler gives a meaning to.
OUTSIDE = frozenset(f"stablehlo.{name}" for name in ("composite", "infeed", "outfeed", "recv", "send"))


def unknown(program: jax.export.Exported) -> list[str]:
    """What this project's exports never hold, such as "a custom call of 'x'"; it is read as JAX reads it to compile."""
    found = set()

    def look(operation: ir.Operation) -> ir.WalkResult:
        if operation.name == CALL:
            # All of that name, should there be several.
            targets = {ir.StringAttr(value).value for name, value in operation.attributes.items() if name == TARGET}
            found.update(f"a custom call of {target[:60]!r}" for target in targets - CALLED)
        elif operation.name.partition(".")[0] not in DIALECTS or operation.name in OUTSIDE:
            found.add(operation.name)
        return ir.WalkResult.ADVANCE

    with mlir.make_ir_context():
        program.mlir_module(serialized=False).operation.walk(look)
    return sorted(found)
