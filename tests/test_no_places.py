"""What is written tells nobody where on whose machine it was made: every file, and every member of every archive."""

import getpass
import gzip
import io
import os
import re
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_prep import write_shards
from l2l import export_weights, infer
from l2l.export import __main__ as export
from l2l.report import __main__ as report
from tests.helpers import shards, small, tables_runs, untrained
from tests.helpers.videos import write_video

ROOT = Path(__file__).parent.parent
HOME = "home_of_somebody"


def contents(path):
    """(name, bytes) of a file and of what is packed in it."""
    todo = [(str(path), path.read_bytes())]
    while todo:
        name, data = todo.pop()
        yield name, data
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                todo += [(f"{name}:{member}", file.read(member)) for member in file.namelist()]
        if data.startswith(b"\x1f\x8b"):
            todo.append((f"{name}:", gzip.decompress(data)))


def told(folder):
    """What the files below a folder tell of this machine: (name, pattern)."""
    user = (
        f"(?i)[/\\\\]{re.escape(getpass.getuser())}[/\\\\]|\\b(user|host)(name)?\\W+{re.escape(getpass.getuser())}\\b"
    )
    places = (HOME, str(ROOT), str(Path.home()) + os.sep, sysconfig.get_path("purelib"), "site-packages")
    patterns = [re.escape(place) for place in places] + [user]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        (name, pattern)
        for path in files
        for name, data in contents(path)
        for pattern in patterns
        if re.search(pattern.encode(), data.replace(b"\0", b""))  # numpy's text has four bytes a letter
    ]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory below a telling folder, in which everything is named from there."""
    here = tmp_path / HOME / "work"
    here.mkdir(parents=True)
    (here / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(here)
    return here


def test_what_is_searched(here):
    """A path is found wherever it hides."""
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("deep", gzip.compress(f"{ROOT}/l2l/export/__main__.py".encode()))
    np.savez_compressed("b.npz", of=np.array(str(here)))
    Path("c.json").write_text(f'{{"user": "{getpass.getuser()}"}}')
    assert {name.partition(":")[0].rpartition("/")[2] for name, _ in told(here)} == {"a.zip", "b.npz", "c.json"}


def test_a_run_and_its_checkpoints(here):
    shards.clip_directory(Path("data"), videos={"train": 8, "val": 4, "test": 4})
    small.run(
        small.config("finetune", Path("run"), Path("data"), model__stages=(1, 1), model__modality="audio", epochs=1.0)
    )
    names = {path.name for path in here.rglob("*")}
    assert {"config.json", "metrics.jsonl", "variables.npz", "predictions.npz", "commit_success.txt"} <= names
    assert told(here) == []


def test_an_export_and_weights(here):
    untrained.skim_run(Path("skim"))
    assert export.main(["skim", "--out=skim.l2l"]) == 0
    assert export_weights.main(["skim", "--out=skim.safetensors"]) == 0
    with zipfile.ZipFile("skim.l2l") as file:
        assert b"conv1" in file.read("describe.jax")  # names of layers stay: they help to read a program
    assert told(here) == []


def test_shards_and_a_page(here):
    """Also a page that lies elsewhere plays its film."""
    for name in ("cat/a.mp4", "cat/b.mp4", "dog/c.mp4", "dog/d.mp4"):
        (here / "films" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(f"films/{name}", seconds=2)
    cut = ["--frames=2", "--hop=0.5", "--short_side=16", "--workers=1", "--val=0.5"]
    assert write_shards.main(["--videos=films", "--out=shards", *cut]) == 0
    untrained.clip_run(Path("run"))
    assert infer.main(["films/cat/a.mp4", "--run=run", "--html=deep/pages"]) == 0
    assert 'src="../../films/cat/a.mp4"' in Path("deep/pages/a.html").read_text(encoding="utf-8")
    assert {"index.json", "videos.json", "dataset_info.json"} <= {path.name for path in here.rglob("*")}
    assert told(here) == []


def test_tables_and_a_report(here):
    for seed in (0, 1):
        tables_runs.finished(Path(f"runs/students/{seed}"), "finetune.py", {"top1": 0.5, "mAP": 0.4}, seed=seed)
    assert report.main(["--table=clips", "runs", "--out=tables/page.html"]) == 0
    assert report.main(["runs/students/0", "--out=report.html"]) == 0
    assert {".html", ".md", ".csv", ".json"} <= {path.suffix for path in here.rglob("*")}
    assert told(here) == []
