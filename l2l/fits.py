"""Whether the variables of a finished run are those that its configs ask for."""

from typing import Any

import flax.traverse_util

from l2l import published
from l2l.core.archive import reason
from l2l.core.trees import mismatches
from l2l.runs import VARIABLES, Run, RunError
from l2l.tasks import from_config

Tree = dict[str, Any]


def check(run: Run) -> None:
    """Raises RunError unless the models of a run can be given its variables."""
    try:
        wanted = shapes_of(run)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise RunError(f"{run.path} is damaged: there is no such model: {reason(error)}; make the run again") from error
    wanted["model"] = published.only(wanted["model"], run.part)
    for name, tree in wanted.items():
        if found := misfits(tree, run.variables[name], whole=name == "model"):
            more = f" ({len(found) - 1} more do not)" if len(found) > 1 else ""
            where = f"{run.path / VARIABLES} does not fit the config beside it"
            raise RunError(f"{where}: of its {name}, {found[0][2:]}{more}; make the run again")


def shapes_of(run: Run) -> dict[str, Tree]:
    """The variables that a run can have, as shapes: its model's, and those of the clip models that it reads."""
    classes, recogniser = len(run.labels), run.recogniser and run.recogniser["config"]
    if run.config["task"] != "skim":
        return {"model": published.clip_shapes(run.config, classes or 1)}
    read = {"student": run.student} | ({"recogniser": recogniser} if recogniser else {})
    found = {name: published.clip_shapes(config, classes) for name, config in read.items()}
    frozen = from_config.skim_frozen(found["student"], found.get("recogniser"))
    return found | {"model": published.skim_shapes(run.config, classes, run.student, frozen, recogniser)}


def misfits(wanted: Tree, there: Tree, *, whole: bool) -> list[str]:
    """Lines as `mismatches` gives; if not `whole`, of those parts alone that are there, as a trunk or a classifier."""
    wanted, there = (flax.traverse_util.flatten_dict(tree) for tree in (wanted, there))
    parts = {path[:2] for path in there}
    joined = lambda tree: {"/".join(path): x for path, x in tree.items()}
    return mismatches(joined({path: x for path, x in wanted.items() if whole or path[:2] in parts}), joined(there))
