"""Uploads on a disk that is full, and what killed servers left behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import starlette.formparsers

from l2l.serve import app as serve_app
from l2l.serve import uploads
from l2l.serve.app import application
from l2l.serve.guard import names
from l2l.serve.service import Limits, Service
from tests.helpers.served import ROOT, Client, hosting

LIMITS = Limits(upload=4 << 20, patience=20, memory=1 << 30, waiting=2, longest=60, connections=8)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def full_folder(dir):
    """A folder in which there is no space for a file called video."""
    folder = Path(dir) / "folder"
    folder.mkdir()
    (folder / "video").symlink_to("/dev/full")
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("size", [10, 2 << 20])
@pytest.mark.parametrize("where", ["received", "kept"])
def test_a_full_disk(disk, monkeypatch, caplog, size, where):
    """Both where uploads are received and where they are put; later requests are answered."""
    service = Service(None, None, None, limits=LIMITS, decoders=1, window=0.01, most=1)
    app = application(service, None, names=names("127.0.0.1", ()), token=None)
    with hosting(app) as port:
        client = Client(port)
        with monkeypatch.context() as patch:
            if where == "received":
                full = lambda **_: open("/dev/full", "w+b")  # noqa: SIM115
                patch.setattr(starlette.formparsers, "SpooledTemporaryFile", full)
            else:
                patch.setattr(serve_app.tempfile, "TemporaryDirectory", full_folder)
            assert client.classify(video=("film.mp4", bytes(size))) == (
                507,
                {"error": "the service's disk is full: tell whoever runs it", "status": "full"},
            )
        assert client.classify(path="x")[0] == 403
        assert client.metric("l2l_in_progress") == 0
        assert 'l2l_requests_total{status="507"} 1' in service.metrics.text()
        assert [*next(disk.iterdir()).iterdir()] == []
    assert caplog.messages == [f"no space for an upload in {disk}: free some, or set TMPDIR"]


def test_what_a_killed_server_left_goes(disk):
    code = (
        "import os, pathlib, signal, sys, tempfile; from l2l.serve import uploads; tempfile.tempdir = sys.argv[1]\n"
        "with uploads.kept() as folder:\n"
        "    (folder / 'of a request').mkdir(); (folder / 'of a request/video').write_bytes(b'x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, disk], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = disk.iterdir()
    assert (left / "of a request/video").read_bytes() == b"x"
    with uploads.kept() as folder:
        assert [*disk.iterdir()] == [folder]
        assert folder != left
        assert folder.stat().st_mode & 0o777 == 0o700
    assert [*disk.iterdir()] == []


def test_what_is_in_use_or_of_others_stays(disk):
    with uploads.kept() as first:
        (first / "video").write_bytes(b"x")
        (disk / "precious").mkdir()
        (disk / "precious/file").write_bytes(b"y")
        (disk / "l2l-uploads-link").symlink_to(disk / "precious")
        (disk / "l2l-uploads-file").write_bytes(b"z")
        (disk / "l2l-upload-other").mkdir()
        before = {*disk.rglob("*")}
        with uploads.kept() as second:
            assert {*disk.rglob("*")} == before | {second}
        assert {*disk.rglob("*")} == before
    assert {*disk.rglob("*")} == {x for x in before if not x.is_relative_to(first)}


def test_a_folder_of_another_user_stays(disk, monkeypatch):
    (disk / "l2l-uploads-x").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: (disk / "l2l-uploads-x").stat().st_uid + 1)
    with pytest.raises(PermissionError), uploads.kept():
        pass
    assert (disk / "l2l-uploads-x").is_dir()
