"""docs/reference/commands.md: every command with its flags, from the parsers themselves."""

import argparse
import ast
import importlib
import importlib.util
import inspect
import pathlib
import re
from collections.abc import Iterable
from typing import Any

from absl import flags

from benchmarks import distill_cache, frontier, infer, listen, loader, prepare, serve_load, skimmer, student, teacher
from data_prep import write_shards
from l2l import __main__ as l2l
from l2l import main
from scripts.reference.markdown import escaped, page, prose, table

HEAD = ("argument", "value", "default", "meaning")
KINDS = {None: "text", str: "text", int: "whole number", float: "number", pathlib.Path: "path"}
BENCHMARKS = (teacher, student, skimmer, loader, prepare, distill_cache, infer, listen, frontier, serve_load)
INTRODUCTION = """\
Every command has two names. `l2l infer` is what an installed package brings; `python -m l2l.infer` also works in a
checkout. Both take the same arguments. A command ends with status 0, or with 1 and a line that says what was wrong and
what to do. Ctrl-C ends it with status 130. An argument that is not known ends it with status 2, or 1 of `l2l train`.
With the environment variable `L2L_TRACEBACK` set, an error also shows where in the code it happened.

How to use them: [tutorials and how-to guides](../index.md). Where the keys of a config are listed:
[configs](configs.md)."""
STATUS = """\
Exit status: 0, 1 for an error, 75 if the run was told to stop (SIGTERM, or Ctrl-C while it trains) and has saved its
state: the same command continues it. 130 after Ctrl-C before or after training."""


def commands() -> str:
    parts = [INTRODUCTION]
    for group, rows in l2l.GROUPS.items():
        parts.append(f"## {group}")
        parts += [_command(name, module) for name, (module, _) in rows.items()]
    parts += ["## Benchmarks", "They print what they measure; with `--json` the last line is one JSON object."]
    parts += [_benchmark(module) for module in BENCHMARKS]
    return page("Commands", *parts)


def _command(name: str, module: str) -> str:
    parts = [f"### {name}", f"`l2l {name}` or `python -m {module}`"]
    if module == "l2l.main":
        parts += [prose(main.__doc__), table(HEAD, _of_stages()), STATUS]
    elif module == "data_prep.beam":  # its import needs Apache Beam
        note = "Its arguments are those of [prepare](#prepare), without `--dry_run`, `--shard_range` and `--finalize`."
        parts += [prose(_docstring(module)), note + " What follows `--` is for Beam."]
    elif module == "data_prep.write_shards":
        parts += [prose(write_shards.__doc__), table(HEAD, _arguments(_common())), *_datasets()]
    else:
        parts += _described(_loaded(module))
    return "\n\n".join(parts)


def _of_stages() -> list[tuple[str, ...]]:
    """The flags of absl, which has no list of its own for people."""
    return [
        ("`--config`", "text", "required", escaped(flags.FLAGS["config"].help)),
        ("`--config.KEY=VALUE`", "as the key", "", "another value of one key, see [configs](configs.md)"),
    ]


def _benchmark(module: Any) -> str:
    return "\n\n".join([f"### {module.__name__}", f"`python -m {module.__name__}`", *_described(module)])


def _docstring(module: str) -> str | None:
    path = importlib.util.find_spec(module).origin
    return ast.get_docstring(ast.parse(pathlib.Path(path).read_text(encoding="utf-8")))


def _loaded(module: str) -> Any:
    """The module that `python -m` of this name runs."""
    is_package = importlib.util.find_spec(module).submodule_search_locations
    return importlib.import_module(f"{module}.__main__" if is_package else module)


def _described(module: Any) -> list[str]:
    """What a command does, its arguments, and what its help says below them."""
    parser, text = module.parser(), inspect.getmodule(module.parser).__doc__ or ""
    text, more = max(text, parser.description or "", key=len), parser.epilog or ""  # whichever says more
    below = [] if more.strip() in text else [prose(more)]
    return [prose(text), table(HEAD, _arguments(parser._actions)), *below]


def _common() -> list[argparse.Action]:
    """The flags of `prepare` that every kind of list has."""
    parser = write_shards.parser("folder")
    own = {id(action) for action in _own(parser)}
    return [action for action in parser._actions if id(action) not in own]


def _own(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Those of the one kind of list that a parser is for."""
    return [x for group in parser._action_groups if "--dataset=" in (group.title or "") for x in group._group_actions]


def _datasets() -> Iterable[str]:
    for name in write_shards.DATASETS:
        reader = importlib.import_module(f"data_prep.datasets.{name}")
        rows = _arguments(_own(write_shards.parser(name)))
        yield "\n\n".join([f"#### prepare --dataset={name}", prose(reader.__doc__), table(HEAD, rows)])


def _arguments(actions: Iterable[argparse.Action]) -> list[tuple[str, ...]]:
    shown = [action for action in actions if not isinstance(action, argparse._HelpAction)]
    return [(_name(x), _value(x), _default(x), _meaning(x)) for x in shown]


def _name(action: argparse.Action) -> str:
    if action.option_strings:
        return ", ".join(f"`{flag}`" for flag in action.option_strings)
    many = " ..." if action.nargs in ("*", "+") else ""
    return f"{action.metavar or action.dest.upper()}{many}"


def _value(action: argparse.Action) -> str:
    """What may stand behind a flag."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return ""
    if action.choices:
        return "one of " + ", ".join(f"`{choice}`" for choice in action.choices)
    repeated = " (may be repeated)" if isinstance(action, argparse._AppendAction) else ""
    repeated = ", several" if action.nargs in ("*", "+") and action.option_strings else repeated
    if action.type in KINDS:
        return KINDS[action.type] + repeated
    try:  # a type that has bounds says them when it refuses something
        action.type("?")
    except argparse.ArgumentTypeError as error:
        return re.sub(r"must be an? |, got .*", "", str(error))
    return f"text{repeated}"


def _default(action: argparse.Action) -> str:
    """As the help has it, which does not depend on the machine; else the value."""
    if said := re.search(r"\(default: (.*)\)", action.help or ""):
        return escaped(said[1] % vars(action)) if "%(" in said[1] else escaped(said[1])
    if action.required:
        return "required"
    value = action.default
    if value in (None, False, "", argparse.SUPPRESS) or value == []:
        return ""
    return escaped(" ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _meaning(action: argparse.Action) -> str:
    return escaped(re.sub(r"\s*\(default: .*\)", "", action.help or ""))
