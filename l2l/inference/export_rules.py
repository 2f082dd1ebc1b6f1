"""What artefact.json of an exported model may say, by itself and beside the programs that it describes."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.export
import numpy as np
from jax.extend.mlir import ir
from jax.interpreters import mlir

from l2l.core.rules import SWITCH, WORD, Rule, each, mapping, maybe, number, one_of, problem, record, whole
from l2l.media import policy
from l2l.media.policy import POLICY
from l2l.runs.names import SOURCES

DIALECTS = frozenset({"builtin", "func", "stablehlo"})
CALL, TARGET = "stablehlo.custom_call", "call_target_name"
CALLED = frozenset({"shape_assertion"})  # compares sizes while JAX compiles: all that this project's exports call
# To and from the host, or by a name that the compiler gives a meaning to.
OUTSIDE = frozenset(f"stablehlo.{name}" for name in ("composite", "infeed", "outfeed", "recv", "send"))

LONGEST = 2**16  # positions of a video in one batch
LARGEST = 8192  # pixels of an image's side
_MULTIPLY_ADDS: Rule = lambda x: type(x) is int and abs(x) < 2**48, "a whole number"
_ARRAYS = mapping(WORD, WORD)
_PROGRAM = record({"takes": _ARRAYS, "gives": _ARRAYS})
_SURE = {
    "source": one_of(*SOURCES),
    "temperatures": each(number(0, 10**6, over=True), 1),
    "threshold": number(0, 1),
    "calibrates": SWITCH,
}
_MACS = record(dict.fromkeys(("indexing", "skimming", "recognition"), each(_MULTIPLY_ADDS, 8, 8)))
_GLANCE = {
    "listens": one_of("audio", "image", "both"),
    "stride": whole(1, 10**6),
    "context": whole(1, LONGEST),
    "silent": _MACS,
}
OPTIONAL: dict[str, Rule] = {"glance": record(_GLANCE)}
RULES: dict[str, Rule] = {
    "format": whole(1),
    "labels": each(WORD, 1),
    "policy": record(POLICY),
    "frames": whole(1, 64),
    "side": whole(1, LARGEST),
    "modality": one_of("image", "audio", "both"),
    "lengths": each(whole(1, LONGEST), 0, 64),
    "stride": whole(1, 10**6),
    "multi_label": SWITCH,
    "sure": maybe(record(_SURE)),
    "macs": _MACS,
    "platforms": each(WORD, 1),
    "programs": (lambda x: not problem(x, {"describe": _PROGRAM}, {"skim": _PROGRAM}), "describe and perhaps skim"),
    "made_of": WORD,
    "versions": mapping(WORD, WORD),
}


def wrong(said: Any) -> str:
    """What keeps the content of artefact.json from being one, "" if nothing does; or raises ValueError."""
    if found := problem(said, RULES, OPTIONAL):
        return found
    clips = policy.ClipPolicy(**said["policy"])
    if max(clips.short_side, clips.width or 0) > LARGEST:
        return f"policy: images of more than {LARGEST} pixels"
    if said["frames"] > clips.frames:
        return f"frames is {said['frames']}, its clips have {clips.frames}"
    if ("skim" in said["programs"]) != bool(said["lengths"]):
        return f"lengths is {said['lengths']!r:.60}, with programs {', '.join(said['programs'])}"
    return _unlike(said)


def _unlike(said: Mapping[str, Any]) -> str:
    """What does not fit between its numbers and the arrays of its programs."""
    describe, skim = said["programs"]["describe"], said["programs"].get("skim")
    frames, side, labels = said["frames"], said["side"], len(said["labels"])
    clips = {"frames": f"uint8[b,{frames},{side},{side},3]", "audio": f"int16[b,{policy.AUDIO_RATE}]"}
    if describe["takes"] != clips:
        return f"describe takes other clips than frames is {frames} and side is {side}"
    name, given = ("step_logits", skim["gives"]) if skim else ("logits", describe["gives"])
    scores = re.fullmatch(r"b?float\d+\[b,(?:(\d+),)?(\d+)\]", given.get(name, ""))
    if not scores or bool(scores[1]) != bool(skim) or int(scores[2]) != labels:
        return f"labels are {labels}, its programs give {name} {given.get(name)}"
    if said["sure"] and (not skim or len(said["sure"]["temperatures"]) != int(scores[1])):
        return f"sure has {len(said['sure']['temperatures'])} temperatures, its programs give {name} {given[name]}"
    if said["sure"] and said["sure"]["source"] not in given:
        return f"sure goes by {said['sure']['source']}, which its programs do not give"
    return _no_glance(said, scores[1]) if "glance" in said else ""


def _no_glance(said: Mapping[str, Any], steps: str) -> str:
    """What keeps its programs, of so many looks, from being those of a run that chooses all of them at once."""
    if "skim" not in said["programs"]:
        return "glance is there, without a skim program"
    skim = said["programs"]["skim"]
    gives = {"picked": f"int32[b,{steps}]", "counted": f"bool[b,{steps}]", "worth": f"float32[b,{steps}]"}
    gives |= {"looks": "int32[b]", "listener": "float32[b,n]", "may": "bool[b,n]"}
    if lacking := [name for name, kind in gives.items() if skim["gives"].get(name) != kind]:
        return f"glance is there, its skim program gives no {lacking[0]} {gives[lacking[0]]}"
    described = {name: skim["takes"].get(name) for name in ("valid", "has_audio")}
    return (
        "" if described == {"valid": "bool[b,n]", "has_audio": "bool[b]"} else "glance is there, has_audio is not taken"
    )


def unlike(said: Mapping[str, Any], programs: Mapping[str, jax.export.Exported]) -> str:
    """What keeps programs from being the ones that artefact.json describes, "" if nothing does."""
    other = next((name for name, program in programs.items() if described(program) != said[name]), None)
    return f"{other} takes or gives other arrays than it says" if other else ""


def signature(program: jax.export.Exported) -> tuple[dict[str, Any], dict[str, Any]]:
    """By name, shape and dtype of what a program takes beside its constants, and of what it gives."""
    (_, batch), _ = jax.tree.unflatten(program.in_tree, program.in_avals)
    return batch, jax.tree.unflatten(program.out_tree, program.out_avals)


def fits(program: jax.export.Exported, constants: Mapping[str, np.ndarray]) -> bool:
    """Whether a program takes these constants."""
    (taken, _), _ = jax.tree.unflatten(program.in_tree, program.in_avals)
    kinds = lambda arrays: {name: (tuple(x.shape), np.dtype(x.dtype)) for name, x in arrays.items()}
    return kinds(taken) == kinds(constants)


def described(program: jax.export.Exported) -> dict[str, dict[str, str]]:
    """What goes into a program and what comes out, see `from_export.About`."""
    words = lambda arrays: {name: f"{x.dtype}[{','.join(map(str, x.shape))}]" for name, x in sorted(arrays.items())}
    takes, gives = signature(program)
    return {"takes": words(takes), "gives": words(gives)}


def unknown(program: jax.export.Exported) -> list[str]:
    """What this project's exports never hold, such as "a custom call of 'x'"; it is read as JAX reads it to compile."""
    found: set[str] = set()

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
