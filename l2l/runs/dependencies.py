"""What a run builds on: found, checked, or made first.

A config names its inputs by path (data.dir, teacher, init, student, recognition) and, in `makers`, the command that
makes a path. Commands run as processes of their own, so that nothing here imports the preparation code.
"""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import jax
import ml_collections

from l2l.core import command, distribution
from l2l.core.terminal import say
from l2l.data import schema
from l2l.runs import run_folder
from l2l.runs.config import load_config, plain

KEYS = ("teacher", "init", "student", "recognition")


def paths(config: ml_collections.ConfigDict) -> dict[str, str]:
    """Input name -> path, for the inputs that a config has."""
    named = {"data": config.data.dir} | {key: config[key] for key in KEYS}
    for number, path in enumerate(named.pop("init").split(",")):
        named[f"init {number + 1}" if number else "init"] = path.strip()
    return {name: path for name, path in named.items() if path}


def ensure(config: ml_collections.ConfigDict) -> dict[str, dict[str, str]]:
    """Makes what is missing and has a maker, checks what is there; returns {name: {path, hash}}.

    Raises:
      RunError, ShardError: an input is missing and has no maker, could not be made, or differs from what its maker
        makes now.
    """
    makers = dict(config.makers)
    found = {}
    for name, path in paths(config).items():
        maker = makers.get(path)
        if not exists(Path(path)):
            make(name, path, maker)
        elif maker:
            check(Path(path), maker)
        found[name] = {"path": path, "hash": run_folder.hash_at(path)}
    return found


def exists(path: Path) -> bool:
    """Whether finished shards or a finished run lie there."""
    return (path / schema.INDEX).is_file() or run_folder.is_finished(path)


def make(name: str, path: str, maker: str | None) -> None:
    """Runs the maker's command.

    Raises:
      RunError: no maker, several processes, or the command failed.
    """
    if not maker:
        key = "data.dir" if name == "data" else name.partition(" ")[0]
        cure = f"`python -m l2l.main --config=... --config.run={path}`"
        cure += f", or from published weights `python -m l2l.import_weights --model=... FILE --out={path}`"
        cure = f"`python -m data_prep.write_shards --out={path} ...`" if name == "data" else cure
        raise run_folder.RunError(
            f"{path} (config.{key}) is missing or not finished: make it ({cure}) or point --config.{key} elsewhere"
        )
    name, *words = shlex.split(maker)
    module = distribution.module(name)
    called = f"python -m {module}{maker.removeprefix(name)}"
    if jax.distributed.is_initialized():
        raise run_folder.RunError(f"{path} is missing; several processes do not make it: first `{called}`")
    say(f"{path} is missing: {called}")
    code = run_module([module, *words])
    if code:
        raise run_folder.RunError(f"`{called}` ended with code {code}, so {path} is missing")
    if not exists(Path(path)):
        raise run_folder.RunError(f"`{called}` did not make {path}; fix config.makers")


def run_module(arguments: list[str]) -> int:
    """Runs `python -m ...` to its end and returns its exit code.

    Raises:
      KeyboardInterrupt: it was interrupted, or stopped after it saved; Ctrl-C reaches it as well as this process.
    """
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        code = subprocess.run([sys.executable, "-m", *arguments], check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if code in (command.STOPPED, command.INTERRUPTED, -signal.SIGINT):
        raise KeyboardInterrupt
    return code


def check(path: Path, maker: str) -> None:
    """Raises RunError if what is there is not what its maker would make now."""
    module, *arguments = shlex.split(maker)
    if module != "l2l.main":
        made_by, asked = schema.load_index(path).made_by, canonical(maker)
        if made_by != asked:
            raise run_folder.RunError(
                f"{path} was made by `{made_by or 'another command'}`, the config asks for `{asked}`: "
                f"delete {path} to make it again, or point --config.data.dir elsewhere"
            )
        return
    config = load_config(next(a.removeprefix("--config=") for a in arguments if a.startswith("--config=")))
    there = run_folder.read_json(path / run_folder.CONFIG)
    run_folder.check_same(path, {"config": plain(config), "inputs": named(paths(config))})
    for name, source in dict(config.makers).items():
        if exists(Path(name)) and name in {x["path"] for x in there["inputs"].values()}:
            check(Path(name), source)


def named(found: dict[str, str]) -> dict[str, dict[str, str | None]]:
    """Input name -> path, as a run records it: {name: {path, hash}}."""
    return {name: {"path": path, "hash": hash_or_none(path)} for name, path in found.items()}


def hash_or_none(path: str) -> str | None:
    return run_folder.hash_at(path) if exists(Path(path)) else None


def canonical(maker: str) -> str:
    """A preparation command without the place it writes to: what an index records as `made_by`."""
    return " ".join(word for word in shlex.split(maker) if not word.startswith("--out="))
