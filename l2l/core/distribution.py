"""What this package says of itself: its version and what it needs. Said once, in pyproject.toml.

A checkout is asked itself, so that what is there counts, not what is installed; elsewhere the installed package is.
"""

import importlib.metadata
import tomllib
from pathlib import Path
from typing import Any

NAME = "l2l"
_PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def version() -> str:
    """Such as "0.1.0"; "unknown" for a copy of the package that was not installed."""
    if _PYPROJECT.is_file():
        return _read()["project"]["version"]
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _read() -> dict[str, Any]:
    return tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))
