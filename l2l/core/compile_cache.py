"""Compiled programs are kept on disk, so that a second start is quick.

They are machine code: whoever may write to their folder may have it run.
"""

import contextlib
import glob
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

# What JAX warns of before it compiles as if there were no such folder.
_WARNING = "Error (reading|writing) persistent compilation cache entry for '([^']*)': (.*)"


def folder() -> Path:
    """Where they are kept: JAX_COMPILATION_CACHE_DIR, else below XDG_CACHE_HOME or ~/.cache."""
    if chosen := jax.config.values["jax_compilation_cache_dir"]:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "l2l" / "programs"


def use() -> None:
    """Keeps what this process compiles from now on, also what compiles fast, and reads what is there.

    What is damaged there is made anew; where that cannot be, a line says so, once, and the process goes on without.
    """
    jax.config.update("jax_compilation_cache_dir", str(folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if not isinstance(warnings.showwarning, _Show):
        warnings.showwarning = _Show(warnings.showwarning)
        warnings.filterwarnings("always", _WARNING.partition(" for ")[0])


class _Show:
    """Shows warnings as before, but for those of compiled programs."""

    def __init__(self, before: Callable[..., None]) -> None:
        self.before, self.said = before, False

    def __call__(self, message: Warning | str, *more: Any, **how: Any) -> None:
        found = re.match(_WARNING, str(message), re.DOTALL)
        if not found:
            self.before(message, *more, **how)
            return
        doing, program, reason = found.groups()
        if doing == "reading" and _removed(program):
            return  # JAX writes it again, which it would not where there is one
        if not self.said:
            reason = " ".join(reason.split())
            print(f"compiled programs are not kept in {folder()}: {reason:.200}", file=sys.stderr, flush=True)
        self.said = True


def _removed(program: str) -> bool:
    """Whether it removed what is kept of programs with this name, one of which is damaged: JAX does not say which."""
    removed = False
    for path in folder().glob(f"{glob.escape(program)}-*-cache"):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # another process may be faster
            removed = True
    return removed
