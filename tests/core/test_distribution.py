"""What the package says of itself is said once, and the same installed and not."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from setuptools import find_namespace_packages

import l2l
from l2l.core import command, distribution
from l2l.doctor import packages

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]


def asked(lines):
    """Name -> range and marker of lines that pip would read."""
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    return sorted((x.name, str(x.specifier), str(x.marker)) for x in found)


def listed(name):
    return asked((ROOT / name).read_text().splitlines())


def test_requirements_are_the_core_and_what_training_needs():
    assert listed("requirements.txt") == asked([*PROJECT["dependencies"], *EXTRAS["train"]])
    assert set(asked([*EXTRAS["serve"], *EXTRAS["beam"], *EXTRAS["notebook"]])) < set(listed("requirements-dev.txt"))
    assert set(EXTRAS) == set(distribution.EXTRAS)
    assert not {"tensorflow-cpu", "tensorflow", "matplotlib"} & {x for x, *_ in asked(PROJECT["dependencies"])}


def test_every_package_is_in_the_wheel():
    found = {
        f"{inside}.{name}".strip(".")
        for top, inside in (("l2l", ""), ("data_prep", "l2l"), ("configs", "l2l"))
        for name in (top, *(f"{top}.{x}" for x in find_namespace_packages(str(ROOT / top))))
        if any((ROOT / name.replace(".", "/")).glob("*.py"))
    }
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == found


def test_version_is_said_once():
    assert l2l.__version__ == distribution.version() == PROJECT["version"]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An installed package instead of a checkout."""
    info = tmp_path / "l2l-7.5.dist-info"
    info.mkdir()
    needs = ["jax<0.13,>=0.10", 'optax<0.3,>=0.2.5; extra == "train"', 'never<1; python_version < "3" and extra == "x"']
    lines = ["Metadata-Version: 2.1", "Name: l2l", "Version: 7.5", *(f"Requires-Dist: {line}" for line in needs)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(distribution, "_PYPROJECT", tmp_path / "pyproject.toml")
    return info


def test_an_installed_package_is_asked(elsewhere):
    assert distribution.version() == "7.5"
    assert {name: str(x) for name, x in packages.tested().items()} == {"jax": "<0.13,>=0.10", "optax": "<0.3,>=0.2.5"}


def test_a_copy_that_was_not_installed(elsewhere, monkeypatch):
    monkeypatch.setattr(distribution, "NAME", "l2l_that_is_not_installed")
    assert distribution.version() == "unknown"
    assert packages.tested() == {}


def test_ranges_of_a_checkout_have_those_of_the_extras():
    found = packages.tested()
    assert {"jax", "optax", "fastapi", "apache-beam", "ipykernel"} <= set(found)
    assert str(found["fastapi"]) == "<1,>=0.160"


@pytest.mark.parametrize(
    ("package", "extra"), [("tensorflow.io", "train"), ("uvicorn", "serve"), ("apache_beam", "beam")]
)
def test_an_extra_that_is_missing(package, extra):
    code = f"from l2l.core import command\ndef main():\n    raise ModuleNotFoundError(name={package!r})\n"
    code += "command.run(main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    name = package.partition(".")[0]
    said = f'error: this needs {name}, which is not installed: pip install ".[{extra}]"\n'
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_what_is_no_extra_is_told_with_its_trace():
    with pytest.raises(ModuleNotFoundError, match="own"):
        command.explained(ModuleNotFoundError("own", name="own.module"))


def test_what_is_imported_late_is_missed_early():
    distribution.demand("json")
    with pytest.raises(ModuleNotFoundError) as error:
        distribution.demand("nothing_of_this_name")
    assert error.value.name == "nothing_of_this_name"


def test_where_the_preparation_is(tmp_path, monkeypatch):
    assert distribution.module("data_prep.sample") == "data_prep.sample"
    (tmp_path / "data_prep").mkdir()
    (tmp_path / "data_prep" / "__init__.py").touch()
    monkeypatch.setattr(l2l, "__path__", [*l2l.__path__, str(tmp_path)])
    assert distribution.module("data_prep.sample") == "l2l.data_prep.sample"
    assert distribution.module("l2l.main") == "l2l.main"


def test_what_the_package_shows():
    import pydoc

    shown = pydoc.render_doc(l2l, renderer=pydoc.plaintext)
    for name in ("class Model(", "class Result(", "class Moment(", "class Arrays(", "load(run: str | os.PathLike"):
        assert name in shown
    assert "Classifies whole videos." in shown
    assert set(l2l.__all__) <= set(dir(l2l))
    assert all(getattr(l2l, name) for name in l2l.__all__)
    with pytest.raises(AttributeError, match="module 'l2l' has no attribute 'nothing'"):
        _ = l2l.nothing


def test_importing_it_is_light():
    code = "import sys, l2l; print([m for m in ('jax', 'numpy', 'importlib.metadata', 'av') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True).stdout == b"[]\n"
