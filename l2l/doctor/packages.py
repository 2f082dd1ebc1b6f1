"""The packages that something needs: are they there, are they the versions that were tested, can they be imported?"""

import contextlib
import dataclasses
import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from l2l.core import distribution
from l2l.doctor.checks import BROKEN, INSTALL, MISSING, OK, Finding, probe


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


_TRAIN, _SERVE = distribution.install("train"), distribution.install("serve")
PACKAGES = (
    Package(("numpy",), "numpy", "everything"),
    Package(("jax",), "jax", "everything"),
    Package(("flax",), "flax", "everything"),
    Package(("ml_collections",), "ml_collections", "everything"),
    Package(("tqdm",), "tqdm", "everything"),
    Package(("av",), "av", "reading and writing video"),
    Package(("pillow",), "PIL.Image", "reading and writing video"),
    Package(("safetensors",), "safetensors", "published weights"),
    Package(("jinja2",), "jinja2", "pages"),
    Package(("flatbuffers",), "flatbuffers", "exported files"),
    Package(("scipy",), "scipy.stats", "tables over seeds"),
    Package(("absl-py",), "absl", "the command line of training"),
    Package(("packaging",), "packaging", "the ranges in this list"),
    optional(("optax",), "optax", "training", _TRAIN),
    optional(("orbax-checkpoint",), "orbax.checkpoint", "training", _TRAIN),
    optional(("tensorflow-cpu", "tensorflow"), "tensorflow", "preparing, training, evaluating", _TRAIN),
    optional(("tensorflow-datasets",), "tensorflow_datasets", "preparing", _TRAIN),
    optional(("matplotlib",), "matplotlib", "pictures of a benchmark", _TRAIN),
    optional(("chex",), "chex", "the tests", _TRAIN),
    optional(("fastapi",), "fastapi", "the service", _SERVE),
    optional(("uvicorn",), "uvicorn", "the service", _SERVE),
    optional(("python-multipart",), "python_multipart", "the service", _SERVE),
    optional(("apache-beam",), "apache_beam", "preparing with Beam", distribution.install("beam")),
    optional(("tensorboard",), "tensorboard.summary", "curves in TensorBoard", "pip install tensorboard"),
    optional(("ipykernel",), "ipykernel", "the notebook", distribution.install("notebook")),
    optional(("pytest",), "pytest", "the tests", "pip install -r requirements-dev.txt"),
)


def versions() -> Iterator[Finding]:
    """Python, and every package: installed, in the range that was tested, and whether it can be imported."""
    good = sys.version_info >= (3, 11)
    cure = "make a virtual environment with Python 3.11, 3.12 or 3.13"
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
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, OSError, InvalidRequirement):
        asked = [Requirement(line) for line in distribution.requirements()]
        here = lambda marker: any(marker.evaluate({"extra": extra}) for extra in ("", *distribution.EXTRAS))
        return {x.name: x.specifier for x in asked if not x.marker or here(x.marker)}
    return {}
