"""docs/reference/configs.md: every key with its default, what it may be and what it means, and every variant."""

import ast
import dataclasses
import importlib
import inspect
import tokenize
from collections.abc import Iterator
from typing import Any

import flax.traverse_util

from configs import common
from l2l.models import MODELS
from l2l.runs.config import plain
from l2l.runs.values import RULES
from scripts.reference.markdown import allowed, attributes, escaped, page, prose, table

STAGES = ("teacher", "distill", "finetune", "preview", "extract", "skim")
FUNCTIONS = {"get_config": "", "data_keys": "data.", "optim_keys": "optim."}  # of configs/common.py: prefix of its keys
INPUTS = ("teacher", "student", "recognition", "init")  # keys that name what a run builds on
GIVEN = ("num_classes", "fusion", "multi_label", "dtype", "parent", "name")  # of a model, not from config.model
INTRODUCTION = """\
A config is a Python file with variants: `configs/STAGE.py:VARIANT`. Without a variant it is `sample`, which is sized
for two CPU cores and the built-in set. On the command line `--config.KEY=VALUE` changes one key:

    python -m l2l.main --config=configs/distill.py --config.epochs=20 --config.optim.lr=1e-3

A key that does not exist is an error that names the nearest ones. A value that will not do is an error before anything
is read. Lists are written as Python tuples: `--config.data.lengths="(64,128)"`. A config file is Python and is
executed: take one only from people whom you trust.

Below, a pattern is a regular expression that must match a whole path of variables, such as `classifier/kernel`."""
MODEL = """\
`config.model` has the name of a model and its numbers; every variant sets them. On the command line such a key has
`model.` before it, as in `--config.model.width=8`. A dash means that the config must give the number."""
VARIANTS = """\
A variant changes some keys. The lists say, for each, what it reads (`data.dir`), what it builds on (runs and features
made before), where it writes (`run`), and every other key that differs from its default."""


def configs() -> str:
    keys = [f"## Keys\n\n{_keys('')}"]
    keys += [f"### {name}\n\n{_keys(f'{name}.')}" for name in ("data", "optim")]
    models = "\n\n".join(_model(name, model) for name, model in MODELS.items())
    stages = "\n\n".join(_stage(stage) for stage in STAGES)
    return page(
        "Configs", INTRODUCTION, *keys, f"## Models\n\n{MODEL}\n\n{models}", f"## Variants\n\n{VARIANTS}", stages
    )


def meanings() -> dict[str, str]:
    """Key -> what the comments of configs/common.py say of it: the one behind its line, or those above."""
    found: dict[str, str] = {}
    for name, prefix in FUNCTIONS.items():
        lines, _ = inspect.getsourcelines(getattr(common, name))
        comments = _comments(lines)
        for node in ast.walk(ast.parse("".join(lines))):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                own = [node.end_lineno] if node.end_lineno in comments else _above(node.lineno, lines)
                found[prefix + node.targets[0].attr] = " ".join(comments[number] for number in own)
    return found


def _above(number: int, lines: list[str]) -> list[int]:
    """The numbers of the lines of comment that end just above a line."""
    first = number
    while lines[first - 2].lstrip().startswith("#"):
        first -= 1
    return list(range(first, number))


def _comments(lines: list[str]) -> dict[int, str]:
    tokens = tokenize.generate_tokens(iter(lines).__next__)
    return {x.start[0]: x.string.lstrip("# ") for x in tokens if x.type == tokenize.COMMENT}


def _keys(prefix: str) -> str:
    """The keys of one part of a config."""
    values, rows = flat(common.get_config()), []
    for key, text in meanings().items():
        if key in values and key.startswith(prefix) and ("." in key) == bool(prefix):
            rows.append((f"`{key}`", shown(values[key]), _allowed(key), escaped(text)))
    return table(("key", "default", "allowed", "meaning"), rows)


def flat(config: Any) -> dict[str, Any]:
    """Keys joined by dots, in the order of their definition; `model` without what it holds."""
    values = config.to_dict() | {"model": config.model.get("name")}
    return flax.traverse_util.flatten_dict(values, sep=".")


def shown(value: Any) -> str:
    """A value as one writes it."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return escaped(value) or "nothing"
    return f"{value:g}" if isinstance(value, float) else escaped(repr(value))


def _allowed(key: str) -> str:
    """What a key may be, in the words of its rule."""
    return allowed(RULES[key][1]) if key in RULES else "see [models](#models)"


def _model(name: str, model: Any) -> str:
    texts = attributes(model.__doc__)
    rows = [
        (f"`{x.name}`", _model_default(x), _allowed(f"model.{x.name}"), escaped(texts[x.name]))
        for x in dataclasses.fields(model)
        if x.name not in GIVEN
    ]
    said = escaped(inspect.cleandoc(model.__doc__).partition("\n\n")[0])
    numbers = table(("key", "default", "allowed", "meaning"), rows) if rows else "It has no numbers."
    return f"### {name}\n\n{said}\n\n{numbers}"


def _model_default(field: dataclasses.Field) -> str:
    return "-" if field.default is dataclasses.MISSING else shown(field.default)


def _stage(stage: str) -> str:
    module = importlib.import_module(f"configs.{stage}")
    rows = [(f"`{name}`", _docstring(stage, change)) for name, change in module.VARIANTS.items()]
    changes = [f"- `{name}` {_places(module.get_config(name))}" for name in module.VARIANTS]
    return "\n\n".join(
        [f"### {stage}", prose(module.__doc__), table(("variant", "what it is"), rows), "\n".join(changes)]
    )


def _places(config: Any) -> str:
    """What a variant reads, builds on and writes, and the other keys that it changes."""
    now = flat(config)
    on = [f"`{part}`" for key in INPUTS for part in now[key].split(",") if part]
    builds = f", builds on {', '.join(on)}" if on else ""
    return f"reads `{now['data.dir']}`{builds}, writes `{now['run']}`. Keys: {', '.join(_changes(config))}."


def _changes(config: Any) -> Iterator[str]:
    """Keys and values that differ from the defaults, and all of the model."""
    before, now = flat(common.get_config()), flat(config)
    for key in meanings():
        if key in now and now[key] != before[key] and key not in ("model", "makers", "run", "data.dir", *INPUTS):
            yield f"`{key}` {shown(now[key])}"
    for key, value in plain(config)["model"].items():
        yield f"`model.{key}` {shown(tuple(value) if isinstance(value, list) else value)}"


def _docstring(stage: str, change: Any) -> str:
    """Of a variant's function, or of the function that made it, followed by that of the variant which it changes."""
    module = importlib.import_module(f"configs.{stage}")
    if change.__doc__:
        return escaped(inspect.cleandoc(change.__doc__).replace("\n\n", " "))
    outer = getattr(module, change.__qualname__.partition(".")[0])
    return escaped(inspect.cleandoc(outer.__doc__))
