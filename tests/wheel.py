"""The package as it is installed: builds a wheel, installs it, and uses it from an empty folder.

    python -m tests.wheel

First beside the packages of this Python, which are those of requirements-dev.txt, then in an environment of its own
with what looking at videos needs and nothing more. pip's index must be there. Prints what it finds; it takes minutes,
which is why it is no part of the test suite.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from l2l.__main__ import COMMANDS
from l2l.core import distribution
from tests.helpers.commands import ROOT

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "l2l", "configs", "data_prep")
DATA = "data/sample/trimmed"
STEPS = "--config.epochs=0.34"  # of 6 steps an epoch: 2
MOST = 1000  # MiB that the core may take
RELEASE = ROOT / "tests" / "release"
FILM = str(RELEASE / "film.mp4")
INSTALLED = {"l2l", f"l2l-{distribution.version()}.dist-info", "bin"}


class WheelError(Exception):
    """Something of an installed package is not as it should be."""


def built(folder: Path) -> Path:
    """A wheel of copies of the sources, so that nothing beside them has a part in it."""
    source = folder / "source"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            source.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, source)
    asked([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", str(source)], folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def asked(command: Sequence[str], folder: Path, site: Path | None = None) -> str:
    """What a command prints, started in a folder; raises WheelError if it fails."""
    path = {"PYTHONPATH": str(site) if site else ""}
    done = subprocess.run(command, cwd=folder, env=os.environ | path, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WheelError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def demand(true: bool, what: str) -> None:
    if not true:
        raise WheelError(what)
    print(f"{what}: yes", flush=True)


def check_all(wheel: Path, folder: Path) -> None:
    """All commands begin, and a student is distilled. Raises WheelError for the first thing that is wrong."""
    site, empty = folder / "site", folder / "empty"
    empty.mkdir()
    asked([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={site}", str(wheel)], folder)
    demand({x.name for x in site.iterdir()} == INSTALLED, "site-packages gets nothing but l2l")
    demand((site / "l2l" / "py.typed").is_file(), "its types can be read")
    run = lambda *words: asked([str(site / "bin" / "l2l"), *words], empty, site)
    demand(run("--version") == f"l2l {distribution.version()}\n", "it tells its version")
    for name in COMMANDS:
        text = run(name, "--help")
        demand(name == "train" or text.startswith(f"usage: l2l {name} "), f"l2l {name} --help")
    run("train", "--config=teacher", f"--config.data.dir={DATA}", STEPS, "--config.run=runs/teacher")
    demand((empty / DATA / "index.json").is_file(), "a config of the package makes the data that it names")
    words = [f"--config.data.dir={DATA}", STEPS, "--config.teacher=runs/teacher", "--config.run=runs/distill"]
    run("train", "--config=distill", *words)
    demand((empty / "runs/distill/done.json").is_file(), "a student is distilled")
    demand('"top": [{"label"' in run("infer", FILM, "--run=runs/distill", "--json"), "it looks at a film")


def check_core(wheel: Path, folder: Path) -> None:
    """Without any extra it answers, and says what is missing for the rest. Raises WheelError as `check_all`."""
    core, empty = folder / "core", folder / "nothing"
    empty.mkdir()
    venv.create(core, with_pip=True)
    asked([str(core / "bin" / "pip"), "install", "--quiet", str(wheel)], folder)
    bytes_ = sum(x.stat().st_size for x in core.rglob("*") if x.is_file() and not x.is_symlink())
    demand(bytes_ < MOST << 20, f"the core takes {bytes_ >> 20} MiB, less than {MOST}")
    run = lambda *words: asked([str(core / "bin" / "l2l"), *words], empty)
    run("doctor")
    for name in ("report", "serve", "train"):
        run(name, "--help")
    run("export", str(RELEASE / "skim"), "--out=skim.l2l")
    for path in (RELEASE / "skim", RELEASE / "skim.l2l", "skim.l2l"):
        demand("clapping" in run("infer", FILM, f"--run={path}"), f"the core looks at a film with {Path(path).name}")
    try:
        run("train", "--config=distill")
    except WheelError as error:
        said = str(error).splitlines()[1:]
        demand(said == ['error: this needs tensorflow, which is not installed: pip install ".[train]"'], "it says so")
    else:
        raise WheelError("the core trains without TensorFlow")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        wheel = built(folder)
        check_all(wheel, folder)
        check_core(wheel, folder)
