"""What this package says of itself: its version, what it needs, under which names it is installed.

All of it is said once, in pyproject.toml. A checkout is asked itself, so that what is there counts, not what is
installed; elsewhere the installed package is.
"""

import importlib.metadata
import importlib.util
import tomllib
from pathlib import Path
from typing import Any

NAME = "l2l"
EXTRAS = ("train", "serve", "beam", "notebook")
# Imported name -> the extra that brings it.
_BROUGHT = {"tensorflow": "train", "tensorflow_datasets": "train", "optax": "train", "orbax": "train"}
_BROUGHT |= {"fastapi": "serve", "uvicorn": "serve", "apache_beam": "beam"}
_PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def version() -> str:
    """Such as "0.1.0"; "unknown" for a copy of the package that was not installed."""
    if _PYPROJECT.is_file():
        return _project()["version"]
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def requirements() -> list[str]:
    """Every package that it needs, also for an extra, as pip writes it: name, range, and when.

    Raises:
      PackageNotFoundError: it is neither a checkout nor installed.
    """
    if not _PYPROJECT.is_file():
        return importlib.metadata.requires(NAME) or []
    project = _project()
    found = list(project["dependencies"])
    for extra in EXTRAS:
        for line in project["optional-dependencies"][extra]:
            package, _, marker = line.partition(";")
            when = f'({marker.strip()}) and extra == "{extra}"' if marker else f'extra == "{extra}"'
            found.append(f"{package}; {when}")
    return found


def install(extra: str = "") -> str:
    """The command that brings what is missing, in a checkout."""
    return f'pip install ".[{extra}]"' if extra else "pip install ."


def lacking(error: ModuleNotFoundError) -> str | None:
    """What to say where an extra is not installed; None if that is not why a module was not found."""
    package = (error.name or "").partition(".")[0]
    if package not in _BROUGHT:
        return None
    return f"this needs {package}, which is not installed: {install(_BROUGHT[package])}"


def demand(package: str) -> None:
    """Raises ModuleNotFoundError now for what is imported later; the import would take seconds."""
    if not importlib.util.find_spec(package):
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def module(name: str) -> str:
    """`data_prep.sample` -> what `python -m` takes for it: an installed package has data_prep inside."""
    if name.startswith("data_prep.") and importlib.util.find_spec(f"{NAME}.data_prep"):
        return f"{NAME}.{name}"
    return name


def _project() -> dict[str, Any]:
    return tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
