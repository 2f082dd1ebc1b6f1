"""Compiled programs are kept on disk, so that a second start is quick."""

import os
from pathlib import Path

import jax


def folder() -> Path:
    """Where they are kept: JAX_COMPILATION_CACHE_DIR, else below XDG_CACHE_HOME or ~/.cache."""
    if jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "l2l" / "programs"


def use() -> None:
    """Keeps what this process compiles from now on, also what compiles fast, and reads what is there.

    JAX warns where the folder cannot be written, and goes on without.
    """
    jax.config.update("jax_compilation_cache_dir", str(folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
