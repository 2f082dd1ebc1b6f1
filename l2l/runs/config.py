"""STAGE:VARIANT, or configs/STAGE.py:VARIANT, -> its keys and their values."""

import importlib.util
import json
import re
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_collections

from l2l.core import archive
from l2l.runs import run_folder

_PLACES = [path / "configs" for path in Path(__file__).parents[1:3]]  # in an installed package, in a checkout
CONFIGS = next((path for path in _PLACES if (path / "common.py").is_file()), _PLACES[-1])  # those of this package
SHARED = ("common", "sweeps")  # files there that others import, and that are no configs themselves


def config_file(file: str, prefix: str = "") -> str:
    """ "distill" -> the file of the config of that name that comes with this package. Any other path is left as it is.

    configs/distill.py, which makers and finished runs name, means the same where there is no such file.

    Args:
      file: a name, or a path; what follows a colon, the variant, stays behind it.
      prefix: what the files of its kind begin with: "sweep_", or "" for one stage.

    Raises:
      RunError: there is no config of that name.
    """
    name, colon, variant = file.partition(":")
    ours = CONFIGS / name.removeprefix("configs/")
    if name == f"configs/{ours.name}" and ours.is_file() and not Path(name).is_file():
        return f"{ours}{colon}{variant}"
    if not re.fullmatch(r"\w+", name):
        return file
    known = {path.stem.removeprefix(prefix): path for path in sorted(CONFIGS.glob(f"{prefix}*.py"))}
    if not prefix:
        known = {name: path for name, path in known.items() if name not in SHARED and not name.startswith("sweep_")}
    if name not in known:
        raise run_folder.RunError(f"there is no {prefix or 'config '}{name}: name one of {', '.join(known)}, or a file")
    return f"{known[name]}{colon}{variant}"


def load_config(argument: str) -> ml_collections.ConfigDict:
    """ "teacher:sample" or "configs/teacher.py:sample" -> its config, as the command line would load it.

    Raises:
      RunError: no such file, or one that makes no config.
      ValueError: it has no such variant.
    """
    file, _, variant = config_file(argument).partition(":")
    return called("config", file, "get_config", *([variant] if variant else []))


def called(what: str, file: str, function: str, *arguments: str) -> Any:
    """What a function of a Python file returns. The file is executed: it is trusted like the command itself.

    Raises:
      RunError: there is no such file, it is no Python, or it raises an error; `what` says what it should be.
      ValueError: the function raises it, with words of its own.
    """
    if not Path(file).is_file():
        raise run_folder.RunError(f"{what} {file} does not exist")
    if not file.endswith(".py"):
        raise run_folder.RunError(f"{what} {file} is no Python file: its name must end in .py")
    for name in SHARED:
        _know(name, Path(file).absolute().parent == CONFIGS)
    try:
        return getattr(_executed(f"{what}_{Path(file).stem}", file), function)(*arguments)
    except ValueError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {archive.reason(error)}"
        raise run_folder.RunError(f"{what} {file} cannot be used: {reason}") from error


def _know(shared: str, ours: bool) -> None:
    """Makes what configs import known where it is not: a checkout is not the working directory.

    One of ours gets ours, whatever else is called so; another one whatever Python finds first.
    """
    name, file = f"configs.{shared}", CONFIGS / f"{shared}.py"
    known = sys.modules.get(name)
    if ours and known and Path(known.__file__ or "") != file:
        del sys.modules[name]
    if name not in sys.modules and (ours or not _is_found(name)):
        sys.modules[name] = _executed(name, str(file))


def _is_found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # nor is the package that it would be in
        return False


def _executed(name: str, file: str) -> ModuleType:
    """A module made of a file, wherever that lies."""
    module = ModuleType(name)
    module.__file__ = file
    SourceFileLoader(name, file).exec_module(module)
    return module


def plain(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """A config as JSON types, tuples as lists, the way config.json has it."""
    return json.loads(json.dumps(config.to_dict()))
