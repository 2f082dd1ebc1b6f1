"""What the doctor looks at beside packages: devices, codecs, folders; and how it asks without being hurt."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from l2l.core import distribution

HERE = Path(__file__).parent
PATIENCE = 120.0  # seconds for a probe; TensorFlow's first import on a slow disk takes tens
ROOM = 1 << 30  # bytes that should be free where something is written
INSTALL = distribution.install()
OK, MISSING, BROKEN, UNUSED = "ok", "missing", "broken", "unused"
FORMATS = {"h264": "most videos, the sample", "aac": "most videos, the sample", "libx264": "making the sample"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the answer: what was looked at, how it is, what needs it, and what to do where it is not ok."""

    part: str
    name: str
    status: str
    said: str
    needed_for: str
    required: bool
    cure: str = ""


def probe(*words: str) -> tuple[list[dict[str, Any]], str]:
    """What `doctor_probe` prints in a process of its own, and how that ended: "" if well."""
    # -P: the folder of this file, which has a log.py and a state.py, is no place to import packages from.
    command = [sys.executable, "-P", str(HERE / "probe.py"), *words]
    paths = [str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    how: dict[str, Any] = {"env": os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, "timeout": PATIENCE}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **how)
    except subprocess.TimeoutExpired as error:
        return parsed(error.stdout or b""), f"no answer in {PATIENCE:g} s: it hangs, or the machine is too busy"
    if done.returncode < 0:
        return parsed(done.stdout), f"it kills Python ({signal.Signals(-done.returncode).name})"
    last = (done.stderr.splitlines() or [f"it ends Python with status {done.returncode}"])[-1]
    return parsed(done.stdout), last if done.returncode else ""


def parsed(printed: str | bytes) -> list[dict[str, Any]]:
    """JSON lines, as far as they are whole."""
    lines = printed.decode(errors="replace") if isinstance(printed, bytes) else printed
    return [json.loads(line) for line in lines.splitlines(keepends=True) if line.endswith("\n")]


def devices() -> Iterator[Finding]:
    """What JAX computes on, accelerators that it does not see, and where compiled programs are kept."""
    answers, problem = probe("devices")
    for x in answers[:-1] if not problem else answers:
        memory = f", {x['memory'] / 2**30:.0f} GiB" if x["memory"] else ""
        status, cure = (OK, "") if x["works"] else (BROKEN, "it computes wrong: set JAX_PLATFORMS=cpu")
        yield Finding("devices", x["platform"], status, f"{x['kind']}{memory}", "everything", True, cure)
    if problem:
        cure = f"{INSTALL}, or JAX_PLATFORMS=cpu where an accelerator is at fault"
        yield Finding("devices", "jax", BROKEN, problem, "everything", True, cure)
        return
    platforms = {x["platform"] for x in answers[:-1]}
    for name, file, extra in (("gpu", "/dev/nvidia0", "cuda12"), ("tpu", "/dev/accel0", "tpu")):
        if Path(file).exists() and name not in platforms and "JAX_PLATFORMS" not in os.environ:
            yield Finding("devices", name, UNUSED, file, "speed", False, f'pip install -U "jax[{extra}]"')
    yield compile_cache(answers[-1]["cache"])


def compile_cache(folder: str) -> Finding:
    """Whether programs that were compiled once are kept for the next start."""
    name, why = "compile cache", "a quick second start"
    if problem := unwritable(Path(folder)):
        cure = "export JAX_COMPILATION_CACHE_DIR=FOLDER, or make it writable"
        return Finding("folders", name, BROKEN, f"{folder}: {problem}", why, False, cure)
    files = [x.stat().st_size for x in Path(folder).rglob("*") if x.is_file()]
    return Finding("folders", name, OK, f"{folder}: {len(files):,} files, {sum(files) / 2**20:,.0f} MiB", why, False)


def codecs() -> Iterator[Finding]:
    """What PyAV can read and write."""
    answers, problem = probe("codecs")
    cure = "pip install --force-reinstall --no-cache-dir av: its wheels bring an FFmpeg with all of them"
    if problem:
        yield Finding("codecs", "av", BROKEN, problem, "reading and writing video", True, cure)
    for x in answers:
        status, need = OK if x["there"] else MISSING, FORMATS.get(x["codec"], f"videos with {x['codec']}")
        name = x["codec"] + {"r": "", "w": " (encoder)"}[x["mode"]]
        yield Finding("codecs", name, status, "", need, x["codec"] in FORMATS, cure)


def folders() -> Iterator[Finding]:
    """Where the commands write, seen from here."""
    places = {"data": ("data", "shards"), "runs": ("runs", "runs"), "TMPDIR": (temporary(), "everything")}
    for name, (folder, need) in places.items():
        path = Path(folder).absolute()
        if problem := unwritable(path):
            cure = "export TMPDIR=FOLDER" if name == "TMPDIR" else "start from another folder, or write elsewhere"
            yield Finding("folders", name, BROKEN, f"{path}: {problem}", need, True, cure)
        else:
            free = shutil.disk_usage(standing(path)).free
            yield Finding("folders", name, OK, f"{path}: {free / 2**30:,.0f} GiB free", need, True)


def temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return os.environ.get("TMPDIR", "/tmp")


def standing(path: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(x for x in (path, *path.parents) if x.exists())


def unwritable(path: Path) -> str:
    """Why nothing of size can be written into a folder, or where it would be made; "" if it can."""
    place = standing(path.absolute())
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        return error.strerror or str(error)
    free = shutil.disk_usage(place).free
    return "" if free > ROOM else f"only {free / 2**20:,.0f} MiB are free"
