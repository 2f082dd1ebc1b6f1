"""The doctor finds what is broken, missing or in the way, and lives through it."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from l2l.doctor import __main__ as doctor
from l2l.doctor import checks
from l2l.doctor import packages as doctor_packages
from l2l.doctor.checks import BROKEN, INSTALL, MISSING, OK, UNUSED
from l2l.doctor.packages import Package

ROOT = Path(__file__).parents[2]


def by_name(findings):
    return {x.name: x for x in findings}


def test_command_in_json_on_this_machine(tmp_path):
    """The real thing, once, where everything required is there."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "l2l.doctor", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["ok"]
    found = {x["name"]: x for x in answer["findings"]}
    assert found["python"]["said"] == sys.version.split()[0]
    assert {found[name]["status"] for name in ("jax", "flax", "tensorflow-cpu", "av", "h264", "aac (encoder)")} == {OK}
    assert found["cpu"]["part"] == "devices"
    assert found["runs"]["said"].startswith(str(tmp_path / "runs"))
    assert found["compile cache"]["said"].startswith(f"{tmp_path / 'cache'}: ")
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Packages that fail in every way, installed as far as Python can tell."""
    bodies = {
        "fine": "print('hello')",
        "raises": "raise ImportError('libx.so.1: cannot open')",
        "leaves": "raise SystemExit('no licence')",
        "dies": "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
        "ends": "import os; os._exit(3)",
        "after": "",
    }
    for name, body in bodies.items():
        (tmp_path / f"{name}.py").write_text(body)
        info = tmp_path / f"{name}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    listed = (*bodies, "absent")
    monkeypatch.setattr(doctor_packages, "PACKAGES", tuple(Package((name,), name, f"{name} things") for name in listed))


def test_broken_packages_are_told_apart_and_none_hides_another(packages):
    found = by_name(doctor_packages.versions())
    assert {name: x.status for name, x in found.items()} == {
        "python": OK,
        "fine": OK,
        "raises": BROKEN,
        "leaves": BROKEN,
        "dies": BROKEN,
        "ends": BROKEN,
        "after": OK,
        "absent": MISSING,
    }
    assert found["raises"].said == "1.5: ImportError: libx.so.1: cannot open"
    assert found["leaves"].said == "1.5: SystemExit: no licence"
    assert found["dies"].said == "1.5: it kills Python (SIGILL)"
    assert found["ends"].said == "1.5: it ends Python with status 3"


def test_one_that_hangs(packages, tmp_path, monkeypatch):
    (tmp_path / "fine.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(checks, "PATIENCE", 1.0)
    monkeypatch.setattr(doctor_packages, "PACKAGES", doctor_packages.PACKAGES[:1])
    said = by_name(doctor_packages.versions())["fine"].said
    assert said == "1.5: no answer in 1 s: it hangs, or the machine is too busy"


def test_untested_version_is_named(packages, monkeypatch):
    from packaging.specifiers import SpecifierSet

    monkeypatch.setattr(
        doctor_packages, "tested", lambda: {"fine": SpecifierSet(">=2,<3"), "after": SpecifierSet(">=1")}
    )
    found = by_name(doctor_packages.versions())
    assert found["fine"].said == "1.5, tested with <3,>=2"
    assert found["after"].said == "1.5"


def test_ranges_are_those_of_the_requirements():
    assert doctor_packages.tested()["jax"].contains("0.10.2")
    assert not doctor_packages.tested()["jax"].contains("0.9.0")


def test_status_and_text_say_what_cannot_be_done(packages, monkeypatch, capsys):
    monkeypatch.setattr(checks, "devices", lambda: iter(()))
    monkeypatch.setattr(checks, "codecs", lambda: iter(()))
    assert doctor.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    mend = lines[lines.index("to mend") + 1 :]
    assert f"  absent things: absent is missing; {INSTALL}" in mend
    assert not any(line.startswith("  fine") for line in mend)
    optional = tuple(dataclasses.replace(package, required=False) for package in doctor_packages.PACKAGES)
    monkeypatch.setattr(doctor_packages, "PACKAGES", optional)
    assert doctor.main([]) == 0
    assert "only if you want it" in capsys.readouterr().out


def test_device_that_cannot_be_used(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    (found,) = checks.devices()
    assert (found.status, found.required) == (BROKEN, True)
    assert "tpu" in found.said


def test_accelerator_that_jax_does_not_see(monkeypatch):
    monkeypatch.setattr(checks.Path, "exists", lambda path: str(path) == "/dev/nvidia0")
    monkeypatch.setattr(checks, "compile_cache", lambda folder: None)
    cpu = {"platform": "cpu", "kind": "cpu", "memory": None, "works": True}
    monkeypatch.setattr(checks, "probe", lambda *words: ([cpu, {"cache": None}], ""))
    monkeypatch.delenv("JAX_PLATFORMS")
    found = by_name(x for x in checks.devices() if x)
    assert (found["gpu"].status, found["gpu"].cure) == (UNUSED, 'pip install -U "jax[cuda12]"')
    assert "tpu" not in found


def test_folders_that_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file where a folder should be")
    found = by_name(checks.folders())
    assert (found["runs"].status, found["data"].status) == (BROKEN, OK)
    assert "Not a directory" in found["runs"].said
    assert checks.compile_cache(str(tmp_path / "runs")).status == BROKEN
    assert checks.compile_cache(str(tmp_path / "new")).said == f"{tmp_path / 'new'}: 0 files, 0 MiB"
    monkeypatch.setattr(checks, "ROOM", 1 << 60)
    assert "MiB are free" in by_name(checks.folders())["data"].said


def test_codec_that_is_missing(monkeypatch):
    answers = [{"codec": "h264", "mode": "r", "there": False}, {"codec": "hevc", "mode": "r", "there": False}]
    monkeypatch.setattr(checks, "probe", lambda *words: (answers, ""))
    found = by_name(checks.codecs())
    assert [(x.status, x.required) for x in found.values()] == [(MISSING, True), (MISSING, False)]
    assert found["hevc"].needed_for == "videos with hevc"
