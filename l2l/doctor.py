"""What this machine has and what is missing for what, with the cure.

    python -m l2l.doctor [--json]

Versions, packages that break when they are imported, devices, codecs, folders that can be written to, the compile
cache. It needs nothing but Python, whatever else is missing or broken.
"""

import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

EPILOG = """\
--json prints one object: ok, and findings: a list of
  {part, name, status (ok, missing, broken, unused), said, needed_for, required, cure}.

Exit status: 0, 1 if something required is missing or broken.
"""
HERE = Path(__file__).parent
PATIENCE = 120.0  # seconds for a probe; TensorFlow's first import on a slow disk takes tens
ROOM = 1 << 30  # bytes that should be free where something is written
INSTALL = "pip install -r requirements.txt"
OK, MISSING, BROKEN, UNUSED = "ok", "missing", "broken", "unused"


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


@dataclasses.dataclass(frozen=True)
class Package:
    """A package under the names that pip knows it by, the first of which to install; what needs it."""

    names: tuple[str, ...]
    module: str
    needed_for: str
    required: bool = True
    cure: str = INSTALL


def optional(names: tuple[str, ...], module: str, needed_for: str, cure: str) -> Package:
    return Package(names, module, needed_for, required=False, cure=cure)


PACKAGES = (
    Package(("numpy",), "numpy", "everything"),
    Package(("jax",), "jax", "everything"),
    Package(("flax",), "flax", "everything"),
    Package(("orbax-checkpoint",), "orbax.checkpoint", "everything"),
    Package(("optax",), "optax", "training"),
    Package(("ml_collections",), "ml_collections", "training"),
    Package(("absl-py",), "absl", "training"),
    Package(("tqdm",), "tqdm", "everything"),
    Package(("av",), "av", "reading and writing video"),
    Package(("pillow",), "PIL.Image", "reading and writing video"),
    Package(("safetensors",), "safetensors", "published weights"),
    Package(("jinja2",), "jinja2", "pages"),
    Package(("matplotlib",), "matplotlib", "pages"),
    Package(("tensorflow-cpu", "tensorflow"), "tensorflow", "preparing, training, evaluating (not for infer)"),
    Package(("tensorflow-datasets",), "tensorflow_datasets", "preparing"),
    optional(("fastapi",), "fastapi", "the service", 'pip install "l2l[serve]"'),
    optional(("uvicorn",), "uvicorn", "the service", 'pip install "l2l[serve]"'),
    optional(("python-multipart",), "python_multipart", "the service", 'pip install "l2l[serve]"'),
    optional(("apache-beam",), "apache_beam", "preparing with Beam", 'pip install "l2l[beam]"'),
    optional(("tensorboard",), "tensorboard.summary", "curves in TensorBoard", "pip install tensorboard"),
    optional(("ipykernel",), "ipykernel", "the notebook", 'pip install "l2l[notebook]"'),
    optional(("pytest",), "pytest", "the tests", INSTALL),
)
FORMATS = {"h264": "most videos, the sample", "aac": "most videos, the sample", "libx264": "making the sample"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m l2l.doctor",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args(argv)
    sys.stdout.reconfigure(errors="backslashreplace")
    found = [*versions(), *devices(), *codecs(), *folders()]
    bad = [x for x in found if x.required and x.status != OK]
    if args.json:
        print(json.dumps({"ok": not bad, "findings": [dataclasses.asdict(x) for x in found]}))
    else:
        print(text(found))
    return int(bool(bad))


def text(found: Sequence[Finding]) -> str:
    """For a person: the parts, then what is missing for what."""
    lines = []
    for part in dict.fromkeys(x.part for x in found):
        lines += [part, *(f"  {x.status:<8} {x.name:<20} {x.said}" for x in found if x.part == part)]
    for title, required in (("to mend", True), ("only if you want it", False)):
        bad = [x for x in found if x.status != OK and x.required == required]
        lines += ["", title, *(f"  {x.needed_for}: {x.name} is {x.status}; {x.cure}" for x in bad)] if bad else []
    return "\n".join(lines)


def probe(*words: str) -> tuple[list[dict[str, Any]], str]:
    """What `doctor_probe` prints in a process of its own, and how that ended: "" if well."""
    # -P: the folder of this file, which has a log.py and a state.py, is no place to import packages from.
    command = [sys.executable, "-P", str(HERE / "doctor_probe.py"), *words]
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    how = {"env": os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, "timeout": PATIENCE}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **how)
    except subprocess.TimeoutExpired as error:
        return parsed(error.stdout or b""), f"it hangs: no answer in {PATIENCE:g} s"
    if done.returncode < 0:
        return parsed(done.stdout), f"it kills Python ({signal.Signals(-done.returncode).name})"
    last = (done.stderr.splitlines() or [f"it ends Python with status {done.returncode}"])[-1]
    return parsed(done.stdout), last if done.returncode else ""


def parsed(printed: str | bytes) -> list[dict[str, Any]]:
    """JSON lines, as far as they are whole."""
    lines = printed.decode(errors="replace") if isinstance(printed, bytes) else printed
    return [json.loads(line) for line in lines.splitlines(keepends=True) if line.endswith("\n")]


def versions() -> Iterator[Finding]:
    """Python, and every package: installed, in the range that was tested, and whether it can be imported."""
    good = sys.version_info >= (3, 11)
    cure = "make a virtual environment with Python 3.11 or 3.12"
    yield Finding("versions", "python", OK if good else BROKEN, platform.python_version(), "everything", True, cure)
    there = {package: installed(package) for package in PACKAGES}
    problems, ranges = imported([package.module for package, version in there.items() if version]), tested()
    for package, version in there.items():
        status, said = OK, version
        allowed = next((ranges[name] for name in package.names if name in ranges), None)
        if not version:
            status, said = MISSING, ""
        elif problem := problems[package.module]:
            status, said = BROKEN, f"{version}: {problem}"
        elif allowed is not None and not allowed.contains(version, prereleases=True):
            said = f"{version}, tested with {allowed}"
        yield Finding("versions", package.names[0], status, said, package.needed_for, package.required, package.cure)


def installed(package: Package) -> str:
    """The version of whichever of its names is there, or ""."""
    for name in package.names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return ""


def imported(modules: Sequence[str]) -> dict[str, str]:
    """Module -> why it cannot be imported, or ""; one that ends the process ends it for itself alone."""
    found: dict[str, str] = {}
    while rest := [name for name in modules if name not in found]:
        answers, how = probe("modules", *rest)
        found |= {answer["module"]: answer["problem"] for answer in answers}
        if guilty := next((name for name in rest if name not in found), None):
            found[guilty] = how or "it ends Python"  # with status 0
    return found


def tested() -> dict[str, Any]:
    """Package -> the versions that this project was tested with; nothing where that cannot be told."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return {}
    file = HERE.parent / "requirements.txt"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, OSError, InvalidRequirement):
        lines = file.read_text().splitlines() if file.is_file() else importlib.metadata.requires("l2l")
        asked = [Requirement(line) for line in lines or [] if line and not line.startswith(("#", "-"))]
        return {x.name: x.specifier for x in asked if not x.marker or x.marker.evaluate({"extra": ""})}
    return {}


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


if __name__ == "__main__":
    sys.exit(main())
