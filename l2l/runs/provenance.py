"""When, by which code and by which packages a run was made."""

import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax

from l2l.core import distribution


def utc() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def code_version() -> str:
    """The commit of a checkout, marked where files differ from it; else the installed version of this package."""
    root = Path(__file__).parents[2]
    if (root / ".git").exists():
        words = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--match="]
        try:
            return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            pass  # no git, or another user's checkout
    return distribution.version()


def versions() -> dict[str, str]:
    """Of Python, the main packages and this one, and the devices."""
    names = ("jax", "flax", "optax", "orbax-checkpoint", "numpy")
    found = {name: importlib.metadata.version(name) for name in names}
    return found | {
        "l2l": code_version(),
        "python": platform.python_version(),
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    }
