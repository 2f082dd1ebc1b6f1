"""The commands that a text shows, and whether they would run: read out of it, and checked by the programs themselves.

In Markdown and in docstrings a command is a line of an indented block or a piece between backticks. Blocks may go on
with a backslash and define variables. Words in capitals are placeholders, `...` and square brackets mark what may be
there or not: `examples` fills them.
"""

import ast
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import ml_collections
from absl import flags
from ml_collections import config_flags

from data_prep import write_shards
from l2l import __main__ as l2l_command
from l2l import main
from l2l.report.tables import formats as tables
from l2l.runs.config import config_file, load_config

ROOT = Path(__file__).parents[2]
STAGES = ("teacher", "distill", "finetune", "preview", "extract", "skim")
GUARD = 'if __name__ == "__main__":'
# What stands for a word of the reader's own, longest first where one begins with another.
PLACEHOLDERS = {
    "FLAGS": "--videos=my_videos --out=data/mine",
    "--dataset=NAME": "--dataset=folder",
    "--model=NAME": "--model=r2plus1d_18",
    "KEY=VALUE": "seed=1",
    "COMMAND": "doctor",
    "HOST:PORT,INDEX,COUNT": "127.0.0.1:1234,0,2",
    "HOST:/FOLDER": "127.0.0.1:/share",
    "A:B": "0:40",
    "STAGE": "skim",
    "VARIANT": "sample",
    "BUCKET": "bucket",
    "IMAGE_WITH_THIS_PACKAGE": "image",
    "EXE": "python",
    "PAGE": "page",
    "FILE": "file",
    "VIDEO": "film.mp4",
    "RUN": "runs/sample/skim",
    "DIR": "data/mine",
    "FOLDER": "data",
    "NAME": "name",
    "K": "2",
    "N": "2",
}
CAPITALS = re.compile(r"(?<![\w-])[A-Z][A-Z_]*(?![\w-])")
COMMAND = re.compile(r"(python -[mc]|l2l|make|pytest|sbatch|scripts/\S+\.sh)( |$)")
NAMED = re.compile(r"python -m \S+|l2l( \w+)?|scripts/\S+\.sh")  # between backticks: a program, not a call of it
VARIABLES = re.compile(r"(export )?[A-Z_]+=")


class Mistake(ValueError):
    """A command that would not run."""


@dataclasses.dataclass(frozen=True)
class Command:
    """The line of the text, the command as written and in words, and the exported variables that it would find."""

    line: int
    source: str
    words: tuple[str, ...]
    exported: dict[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return f"line {self.line}: {shlex.join(self.words)}"


def texts() -> dict[str, str]:
    """Every text that may show commands, by its path: Markdown, also of notebooks, and the docstrings of modules."""
    found = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]}
    for top in ("configs", "l2l", "data_prep", "benchmarks"):
        for path in sorted((ROOT / top).rglob("*.py")):
            found[path] = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found[path] = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return {str(path.relative_to(ROOT)): text for path, text in found.items()}


def blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Indented blocks as their lines with numbers; a line that ends with a backslash goes on with the next one."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*text.splitlines(), "end"], 1):
        if line.startswith("    ") and block and block[-1][1].endswith("\\"):
            block[-1] = (block[-1][0], block[-1][1][:-1] + line[4:].lstrip())
        elif line.startswith("    "):
            block.append((number, line[4:]))
        elif line.strip() and block:
            yield block
            block = []


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """What stands between backticks outside the blocks, with the number of its line."""
    prose = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    for found in re.finditer(r"`((?:[^`\n]|\n(?!\n))+)`", prose):
        yield prose.count("\n", 0, found.start()) + 1, " ".join(found[1].replace("\\|", "|").split())


def commands(text: str) -> Iterator[Command]:
    """Every command of a text; raises Mistake for a variable or a placeholder that is unknown, and quotes left open."""
    for block in blocks(text):
        variables: dict[str, str] = {}
        exported: dict[str, str] = {}
        for number, line in block:
            if found := VARIABLES.match(line):
                new = dict(word.split("=", 1) for word in shlex.split(line.removeprefix("export "), comments=True))
                (exported if found[1] else variables).update(new)
            elif COMMAND.match(line):
                yield Command(number, line, words_of(number, line, variables | exported), exported)
    for number, piece in pieces(text):
        if COMMAND.match(piece) and not NAMED.fullmatch(piece):
            yield Command(number, piece, words_of(number, piece, {}))


def words_of(number: int, line: str, variables: dict[str, str]) -> tuple[str, ...]:
    """A line as a shell would split it."""
    try:
        if not line.startswith("python -c"):
            line = examples(re.sub(r"\$(\w+)", lambda name: variables[name[1]], line))
        return tuple(shlex.split(line, comments=True))
    except KeyError as error:
        raise Mistake(f"line {number}: ${error.args[0]} is not defined in its block") from error
    except ValueError as error:
        raise Mistake(f"line {number}: {line}: {error}") from error


def examples(text: str) -> str:
    """A text with values in place of its placeholders, and with all that may be left out."""
    while "[" in text:
        text, before = re.sub(r"\[([^\[\]]*)\]", r"\1", text), text
        if text == before:
            raise Mistake("a square bracket is left open")
    text = re.sub(r"(?<=[A-Z])\.\.\.| \.\.\.(?= |$)", "", text)
    for name, value in PLACEHOLDERS.items():
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", value, text)
    if unknown := CAPITALS.search(re.sub("#.*", "", text)):
        raise Mistake(f"{unknown[0]} stands for nothing that is known")
    return text


def check(command: Command) -> None:
    """Raises Mistake for a command that would not begin to run."""
    program, *words = command.words
    if program == "python" and words[0] == "-c":
        check_code(words[1])
    elif program == "python":
        check_module(*words[1:])
    elif program == "l2l":
        check_name(*words)
    elif program == "make":
        check_target(*words)
    elif program == "pytest":
        existing(*words)
    elif program == "sbatch":
        check_job(*words)
    else:
        check_script(program, words, command.exported)


def check_code(text: str) -> None:
    try:
        compile(text, "python -c", "exec")
    except SyntaxError as error:
        raise Mistake(str(error)) from error


def existing(*paths: str) -> None:
    if missing := [path for path in paths if not (ROOT / path).exists()]:
        raise Mistake(f"there is no {missing[0]}")


@functools.cache
def modules() -> tuple[str, ...]:
    """All modules that are commands; those below benchmarks/peers are run by other Pythons."""
    tops = [ROOT / top for top in ("l2l", "data_prep", "benchmarks")]
    files = [path for top in tops for pattern in ("*.py", "*/__main__.py") for path in top.glob(pattern)]
    files.append(ROOT / "tests" / "hostile" / "__main__.py")
    guarded = [path for path in files if GUARD in path.read_text(encoding="utf-8")]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in guarded)
    found = {name.removesuffix(".__main__") for name in names}
    return tuple(sorted(found - {"l2l"}))  # which is no command, it starts them


def file_of(module: str) -> str:
    """Where a command would lie: a file, or a package that is one."""
    path = module.replace(".", "/")
    return f"{path}/__main__.py" if (ROOT / path).is_dir() else f"{path}.py"


def loaded(module: str) -> Any:
    """The module that `python -m` of this name runs."""
    package = importlib.util.find_spec(module).submodule_search_locations
    return importlib.import_module(f"{module}.__main__" if package else module)


def check_name(name: str = "--help", *words: str) -> None:
    """`l2l NAME ...`; raises Mistake for a name that is no command's, or with what its parser says."""
    if name not in ("--help", "--version"):
        check_module(known(name), *words)


def known(name: str) -> str:
    """The module of `l2l NAME`; raises Mistake if there is none."""
    if name not in l2l_command.COMMANDS:
        raise Mistake(f"there is no command l2l {name}")
    return l2l_command.COMMANDS[name]


def check_module(module: str, *words: str) -> None:
    """By the parser of the module itself; raises Mistake with what it says."""
    if module == "l2l":
        check_name(*words)
        return
    if module not in modules():
        raise Mistake(f"there is no command {module}")
    if module == "l2l.main":
        if "--help" not in words:
            config_of(*words)
        return
    args = parsed(module, words)
    if module == "l2l.sweep" and args:
        sweep_of(args.sweep)
    if module == "l2l.report" and args and args.table not in (None, tables.ALL, *tables.BUILDERS):
        raise Mistake(f"there is no table {args.table}")


def parsed(module: str, words: Sequence[str]) -> Any:
    """What a command's parser makes of words; None if it shows its help."""
    if module == "data_prep.beam":  # what follows -- is for Beam, which need not be installed
        words = words[: [*words, "--"].index("--")]
    shares = module in ("data_prep.beam", "data_prep.write_shards")
    parse = write_shards.parse if shares else loaded(module).parser().parse_args
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return parse(list(words))
    except SystemExit as end:
        if end.code:
            raise Mistake(said.getvalue().strip().splitlines()[-1]) from end
        return None


def config_of(*words: str) -> ml_collections.ConfigDict:
    """The config that `python -m l2l.main` would load; raises Mistake with what it would say."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "", flag_values=values, lock_config=True)
    try:
        argv = main.with_paths(["l2l.main", *words])
        main.check_keys(argv)
        with mock.patch.object(sys, "argv", argv):  # where overrides are looked for
            rest = values(argv)
    except (flags.Error, ValueError, TypeError, OSError) as error:
        raise Mistake(str(error)) from error
    if rest[1:]:
        raise Mistake(f"unexpected argument {rest[1]!r}")
    return values.config


def sweep_of(name: str) -> None:
    """Raises Mistake for a sweep that is not there."""
    try:
        existing(config_file(name, "sweep_"))
    except ValueError as error:
        raise Mistake(str(error)) from error


def check_target(*targets: str) -> None:
    """What make would do, and the commands that it would call."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = called(["make", "-n", *targets], environment)
    if done.returncode:
        raise Mistake(done.stderr.strip())
    text = done.stdout.replace("\\\n", " ")
    for line in re.findall(r"^\.venv/bin/python -m ((?:l2l|data_prep|benchmarks)\..*)$", text, re.MULTILINE):
        check_module(*shlex.split(line))


def called(words: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def check_script(script: str, words: Sequence[str], exported: dict[str, str]) -> None:
    """By its own --dry_run, and the stage that it would run."""
    existing(script)
    environment = os.environ | {"TPU_POLL": "0"} | exported
    done = called([str(ROOT / script), "--dry_run", *words], environment)
    if done.returncode:
        raise Mistake(done.stderr.strip().splitlines()[-1])
    if "--" in words:
        config_of(*words[words.index("--") + 1 :])


def check_job(*words: str) -> None:
    """Flags for sbatch must be ones that the script itself gives it; the rest is a stage's."""
    first = next((n for n, word in enumerate(words) if not word.startswith("-")), None)
    if first is None:
        raise Mistake("sbatch is given no script")
    existing(words[first])
    known = re.findall(r"^#SBATCH (--[\w-]+)", (ROOT / words[first]).read_text(encoding="utf-8"), re.MULTILINE)
    if unknown := [word for word in words[:first] if word.partition("=")[0] not in known]:
        raise Mistake(f"{words[first]} says nothing of {unknown[0]}")
    config_of(*words[first + 1 :])


@functools.cache
def configs() -> dict[str, ml_collections.ConfigDict]:
    """Every variant of every stage."""
    names = [(stage, variant) for stage in STAGES for variant in importlib.import_module(f"configs.{stage}").VARIANTS]
    return {f"configs/{s}.py:{v}": load_config(f"configs/{s}.py:{v}") for s, v in names}


def check_key(word: str) -> None:
    """Raises Mistake unless KEY=VALUE, or KEY alone, fits a config."""
    key, equals, value = word.partition("=")
    having = [name for name, config in configs().items() if key in config.to_dict() or key in flat(config)]
    if not having:
        raise Mistake(f"no config has the key {key}")
    if equals:
        config_of(f"--config={having[0]}", f"--config.{key}={value}")


def flat(config: ml_collections.ConfigDict, prefix: str = "") -> set[str]:
    """Names of all keys, with dots."""
    below = (flat(value, f"{name}.") for name, value in config.items() if isinstance(value, ml_collections.ConfigDict))
    return {prefix + name for name in set(config).union(*below)}


@functools.cache
def known_flags() -> set[str]:
    """All flags of all commands and scripts, and of Beam what a text may name."""
    found = {"--runner", "--config"}
    for module in modules():
        if module not in ("l2l.main", "data_prep.beam", "data_prep.write_shards"):
            found |= set(loaded(module).parser()._option_string_actions)
    for name in write_shards.DATASETS:
        found |= set(write_shards.parser(name)._option_string_actions)
    for path in (ROOT / "scripts").rglob("*.sh"):
        found |= set(re.findall(r"--[a-z_]+", path.read_text(encoding="utf-8")))
    return found


def check_mention(piece: str) -> None:
    """Raises Mistake for a piece that names a program, a config, a key or a flag which is not there."""
    if NAMED.fullmatch(piece):
        check_program(piece)
    elif piece.startswith("--"):
        for word in words_of(0, piece, {}):
            check_flag(word)
    elif found := re.fullmatch(rf"(?:configs/)?(\w+)\.py:(\w+)|({'|'.join(STAGES)}):(\w+)", piece):
        stage, variant = (found[1] or found[3], found[2] or found[4])
        if f"configs/{examples(stage)}.py:{examples(variant)}" not in configs():
            raise Mistake(f"there is no config {piece}")
    elif re.fullmatch(r"(data|model|optim)\.\w+(=\S+)?", piece):
        check_key(piece)


def check_program(piece: str) -> None:
    """Raises Mistake for the name of a program that is not there."""
    if piece.startswith("l2l"):
        for name in examples(piece).split()[1:]:
            known(name)
    else:
        existing(file_of(piece.removeprefix("python -m ")) if piece.startswith("python") else piece)


def check_flag(word: str) -> None:
    """Raises Mistake for a flag that no command has."""
    if word.startswith("--config."):
        check_key(word.removeprefix("--config."))
    elif word.startswith("--") and word != "--" and word.partition("=")[0] not in known_flags():
        raise Mistake(f"no command has the flag {word}")
