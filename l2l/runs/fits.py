"""Whether the variables of a finished run are those that its configs ask for."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from l2l.core.archive import reason
from l2l.core.trees import mismatches
from l2l.media.policy import AUDIO_RATE
from l2l.runs.run_folder import VARIABLES, Run, RunError
from l2l.tasks import from_config
from l2l.tasks.classify_positions import ClassifyPositions

Tree = dict[str, Any]
Config = Mapping[str, Any]


def check(run: Run) -> None:
    """Raises RunError unless the models of a run can be given its variables."""
    try:
        wanted = shapes_of(run)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise RunError(f"{run.path} is damaged: there is no such model: {reason(error)}; make the run again") from error
    wanted["model"] = only(wanted["model"], run.part)
    for name, tree in wanted.items():
        if found := misfits(tree, run.variables[name], whole=name == "model"):
            more = f" ({len(found) - 1} more do not)" if len(found) > 1 else ""
            where = f"{run.path / VARIABLES} does not fit the config beside it"
            raise RunError(f"{where}: of its {name}, {found[0][2:]}{more}; make the run again")


def shapes_of(run: Run) -> dict[str, Tree]:
    """The variables that a run can have, as shapes: its model's, and those of the clip models that it reads."""
    classes, recogniser = len(run.labels), run.recogniser and run.recogniser["config"]
    if run.config["task"] != "skim":
        return {"model": clip_shapes(run.config, classes or 1)}
    read = {"student": run.clip_model} | ({"recogniser": recogniser} if recogniser else {})
    found = {name: clip_shapes(config, classes) for name, config in read.items()}
    frozen = from_config.skim_frozen(found["student"], found.get("recogniser"))
    return found | {"model": skim_shapes(run.config, classes, run.clip_model, frozen, recogniser)}


def misfits(wanted: Tree, there: Tree, *, whole: bool) -> list[str]:
    """Lines as `mismatches` gives; if not `whole`, of those parts alone that are there, as a trunk or a classifier."""
    wanted, there = (flax.traverse_util.flatten_dict(tree) for tree in (wanted, there))
    parts = {path[:2] for path in there}
    joined = lambda tree: {"/".join(path): x for path, x in tree.items()}
    return mismatches(joined({path: x for path, x in wanted.items() if whole or path[:2] in parts}), joined(there))


def only(tree: Tree, part: Sequence[str]) -> Tree:
    """The entries whose "/"-joined path one of the patterns matches; all without a pattern."""
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    kept = {path: x for path, x in flat.items() if not part or any(re.fullmatch(p, path) for p in part)}
    return flax.traverse_util.unflatten_dict(kept, sep="/")


def clip_shapes(config: Config, classes: int) -> Tree:
    """The variables of a clip model as shapes, without making them."""
    data, task = config["data"], from_config.classify_task(config, classes)
    if isinstance(task, ClassifyPositions):
        widths = from_config.widths_of(config)
        batch = {m: jax.ShapeDtypeStruct((1, 1, width), np.float32) for m, width in widths.items()}
        batch |= {"valid": jax.ShapeDtypeStruct((1, 1), np.bool_)}
        batch |= dict.fromkeys(("mask", "has_audio"), jax.ShapeDtypeStruct((1,), np.bool_))
        return jax.eval_shape(lambda batch: task.init(jax.random.key(0), batch, {}), batch)
    batch = {
        "frames": jax.ShapeDtypeStruct((1, from_config.frames_of(config), data["crop"], data["crop"], 3), np.uint8),
        "audio": jax.ShapeDtypeStruct((1, AUDIO_RATE), np.int16),
    }
    return jax.eval_shape(lambda batch: task.init(jax.random.key(0), batch, {}), batch)


def skim_shapes(config: Config, classes: int, student: Config, frozen: Tree, recogniser: Config | None = None) -> Tree:
    """As `clip_shapes`, of a video model over the features of a student; `frozen` as in `from_config.skim_frozen`.

    Args:
      recogniser: of the clip model whose features recognise its looks, if others do.
    """
    glances = from_config.glances_of(student)
    widths = from_config.widths_of(student) | (glances.widths if glances else {})
    widths |= {"recognition": sum(from_config.widths_of(recogniser).values())} if recogniser else {}
    batch = {key: jax.ShapeDtypeStruct((2, 3, width), np.float32) for key, width in widths.items()}
    batch |= {"valid": jax.ShapeDtypeStruct((2, 3), np.bool_), "has_audio": jax.ShapeDtypeStruct((2,), np.bool_)}
    task = from_config.skim_task(config, classes, student, recogniser)
    return jax.eval_shape(lambda batch, frozen: task.init(jax.random.key(0), batch, frozen), batch, frozen)
