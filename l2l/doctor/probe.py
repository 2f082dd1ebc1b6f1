"""What only a process of its own can find out: a broken package may raise, hang or kill the one that imports it.

`python probe.py modules NAME...`, `devices` or `codecs` prints JSON lines. Nothing is imported before it is
asked for.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Literal

# Who needs which: codec names as FFmpeg knows them.
DECODERS = ("h264", "hevc", "mpeg4", "vp8", "vp9", "av1", "aac", "mp3", "opus", "vorbis", "ac3", "flac", "pcm_s16le")
ENCODERS = ("libx264", "aac")


def modules(*names: str) -> Iterator[dict[str, str]]:
    """Imports one after the other: its name, and what it raised or ""."""
    for name in names:
        try:
            importlib.import_module(name)
            problem = ""
        except BaseException as error:  # a broken package may raise anything, SystemExit included
            problem = f"{type(error).__name__}: {error}".splitlines()[0]
        yield {"module": name, "problem": problem}


def devices() -> Iterator[dict[str, Any]]:
    """JAX's devices, each of which has multiplied a matrix, and the folder of the compile cache."""
    import jax
    import jax.numpy as jnp

    from l2l.core import compile_cache

    for device in jax.local_devices():
        ones = jax.device_put(jnp.ones((8, 8)), device)
        works = float((ones @ ones)[0, 0]) == 8
        memory = (device.memory_stats() or {}).get("bytes_limit")
        yield {"platform": device.platform, "kind": device.device_kind, "memory": memory, "works": works}
    yield {"cache": str(compile_cache.folder())}


def codecs() -> Iterator[dict[str, Any]]:
    """Which codecs PyAV's FFmpeg has: its name, whether "r" or "w", and whether it is there."""
    import av

    kinds: tuple[tuple[Literal["r", "w"], tuple[str, ...]], ...] = (("r", DECODERS), ("w", ENCODERS))
    for mode, names in kinds:
        for name in names:
            try:
                av.codec.Codec(name, mode)
                there = True
            except av.codec.codec.UnknownCodecError:
                there = False
            yield {"codec": name, "mode": mode, "there": there}


if __name__ == "__main__":
    # Packages print what they like when they are imported; the answers go where nothing else does.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for answer in {"modules": modules, "devices": devices, "codecs": codecs}[sys.argv[1]](*sys.argv[2:]):
        print(json.dumps(answer), file=answers, flush=True)
