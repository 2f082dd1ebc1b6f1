"""Damaged and hostile run folders: their files, what they say, their curves of training and their checkpoints."""

import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from l2l.core import atomic
from l2l.inference import from_run
from l2l.report import run_page, runs
from l2l.report.tables import formats
from l2l.runs import fits, run_folder
from l2l.runs.names import EARLY_EXIT
from l2l.train import checkpoint
from l2l.train.log import MetricLog
from l2l.train.state import TrainState
from tests.helpers import mutated_json, tables_runs, untrained
from tests.helpers.mutated import mutated
from tests.hostile import Kind

Case = tuple[str, Callable[[], object]]
REFUSALS = (ValueError, OSError)  # what the commands say in one line
JSONS = ("config.json", "done.json", "curves.json", "sure.json", "sound_trials.json")
ARRAYS = ("variables.npz", "predictions.npz")
METRICS = "metrics.jsonl"
BESIDE = ("videos.json", "actions.json")  # of its clips
OF = {"model": {"name": "small"}}  # of checkpoints


def finished(folder: Path) -> Path:
    """A finished run of a skimmer with made-up weights and results, over features of clips that lie beside it."""
    run, rng = untrained.skim_run(folder / "run"), np.random.default_rng(0)
    record, features, clips = run_folder.read_json(run / run_folder.CONFIG), folder / "features", folder / "clips"
    record["config"]["data"]["dir"] = str(features)
    atomic.write_json(run / run_folder.CONFIG, record | {"inputs": {"data": {"path": str(features), "hash": "d"}}})
    features.mkdir()
    clips.mkdir()
    record["config"]["data"]["dir"] = str(clips)
    atomic.write_json(features / run_folder.CONFIG, record)
    atomic.write_json(clips / "videos.json", {"v0000": "v0000.mp4", "v0001": {"path": "a.mp4", "start": 1.0}})
    atomic.write_json(clips / "actions.json", {"v0000": [[0.0, 2.0]], "v0001": []})
    classes, steps = len(record["labels"]), record["config"]["model"]["steps"]
    truth = np.eye(classes)[rng.integers(0, classes, 12)]
    tables_runs.predicted(run, tables_runs.skim_predictions(truth, rng, steps=steps))
    tables_runs.curves(run, rng)
    tables_runs.sure(run, rng)
    found = run_folder.read_json(run / EARLY_EXIT)
    atomic.write_json(run / EARLY_EXIT, found | {"temperatures": [1.0] * steps})
    trials = {"as it is": {"hard": 0.5, "uniform": 0.25}, "muted": {"hard": 0.5, "uniform": 0.25}}
    atomic.write_json(run / "sound_trials.json", {"run": run_folder.hash_at(run), "trials": trials})
    lines = [{"step": i, "train/loss": 1 / i, "train/top1": 0.5, "val/top1": 0.25} for i in range(1, 9)]
    (run / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def read_as_commands_do(run: Path) -> dict[str, Callable[[], object]]:
    """What commands do with a run folder before they compute anything, by name."""
    asked = run_folder.read_json(run / run_folder.CONFIG)

    def loaded() -> object:
        own = run_folder.load_run(run)
        fits.check(own)
        return from_run.early_exit_of(run)

    def begun_again() -> object:
        if run_folder.is_finished(run) and not run_folder.asks_longer(run, asked):
            return run_folder.mismatches(run_folder.read_json(run / run_folder.CONFIG), asked)
        return run_folder.check_order(run, asked)

    return {
        "load": loaded,
        "main": begun_again,
        "report": lambda: run_page.page_of([run], 2, run.parent),
        "table": lambda: formats.build("all", [run]),
    }


def folders(folder: Path, dice: random.Random) -> Iterator[Case]:
    """One to three faults in the files of a finished run, read by one of the commands."""
    good = finished(folder / "good").parent
    work = folder / "work"
    shutil.copytree(good, work)
    for path in work.rglob(run_folder.CONFIG):  # they name the folders of the copy
        path.write_text(path.read_text().replace(str(good), str(work)))
    files = {path.relative_to(work): path.read_bytes() for path in sorted(work.rglob("*")) if path.is_file()}
    names = [*files, *(name for name in files if name.name in JSONS for _ in range(3))]
    readers = read_as_commands_do(work / "run")
    while True:
        for name, data in files.items():
            put(work / name, data)
        said = [damage(work, dice.choice(names), files, dice) for _ in range(dice.randint(1, 3))]
        reader = dice.choice(list(readers))
        yield f"{reader}: {'; '.join(said)}", readers[reader]


def put(path: Path, data: bytes) -> None:
    """A file, whatever stood in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_bytes() != data:
        path.write_bytes(data)


def damage(work: Path, name: Path, files: dict[Path, bytes], dice: random.Random) -> str:
    """One fault in one file; returns what it is."""
    path, data = work / name, files[name]
    if name.suffix == ".json" and dice.random() < 0.7:
        place, fault, value = dice.choice(faults_of(name, data))
        put(path, mutated_json.text(value).encode())
        return f"{name} {place}: {fault}"
    if name.suffix == ".npz" and dice.random() < 0.7:
        fault = dice.choice(list(MEMBERS))
        put(path, changed_member(data, fault, dice))
        return f"{name}: {fault}"
    if dice.random() < 0.3:
        fault = dice.choice(list(PLACES))
        put(path, b"")
        path.unlink()
        PLACES[fault](path)
        return f"{name} is {fault}"
    put(path, mutated(data or b"\0", [x for x in files.values() if x], dice))
    return f"{name}: bytes"


_FAULTS: dict[Path, list[tuple[str, str, object]]] = {}


def faults_of(name: Path, data: bytes) -> list[tuple[str, str, object]]:
    if name not in _FAULTS:
        value = json.loads(data)
        if name.name == "curves.json":
            value = value | {"points": value["points"][:2], "selections": value["selections"][:1]}
        if name.name == run_folder.CONFIG:
            value["config"]["makers"] = []
        _FAULTS[name] = list(mutated_json.faults(value))
    return _FAULTS[name]


PLACES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\xfd"),
}

# Name of a fault -> what becomes of an array.
MEMBERS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "a member is missing": lambda x: None,
    "another shape": lambda x: np.concatenate([x, x]) if x.ndim else np.stack([x, x]),
    "a row less": lambda x: x[:-1] if x.ndim else x[None],
    "no dimensions": lambda x: x.ravel()[:1].reshape(()) if x.size else x,
    "another axis": lambda x: x[..., None],
    "NaN": lambda x: np.full(x.shape, np.nan, np.float32),
    "infinite": lambda x: np.full(x.shape, np.inf, np.float32),
    "negative": lambda x: np.full(x.shape, -5),
    "giant": lambda x: np.full(x.shape, 10**18),
    "texts": lambda x: np.full(x.shape, "a"),
    "bytes": lambda x: np.full(x.shape, b"\xff"),
    "complex": lambda x: np.full(x.shape, 1j),
    "times": lambda x: np.full(x.shape, np.datetime64("2020-01-01")),
    "objects": lambda x: np.full(x.shape, None),
    "booleans": lambda x: np.full(x.shape, True),
    "records": lambda x: np.zeros(x.shape, [("a", "i4")]),
    "float64": lambda x: np.zeros(x.shape, np.float64),
    "empty": lambda x: np.zeros((0, *x.shape[1:]), np.float32),
}


def changed_member(data: bytes, fault: str, dice: random.Random) -> bytes:
    """An .npz with one array changed, or under another name."""
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    name = dice.choice(list(arrays))
    new = MEMBERS[fault](arrays.pop(name))
    other = dice.choice([name, name, name, f"{name}/a", "../../a", "a\nb", name.partition("/")[0]])
    if new is not None:
        arrays[other] = new
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for key, value in arrays.items():
            member = io.BytesIO()
            np.save(member, value, allow_pickle=True)
            file.writestr(f"{key}.npy", member.getvalue())
    return out.getvalue()


LINES = (
    b'{"step": 3, "train/loss": 1}',
    b'{"step": -5, "train/loss": 1}',
    b'{"step": 1000000000000000000000000, "train/loss": 1}',
    b'{"train/loss": 1}',
    b'{"step": 3, "train/loss": NaN, "val/top1": Infinity}',
    b'{"step": 3, "train/loss": 1' + b"0" * 400 + b"}",
    b'{"step": 3, "train/loss": 1' + b"0" * 5000 + b"}",
    b'{"step": 3, "train/loss": "a"}',
    b'{"step": 3, "train/loss": null, "a\\u0000b": 1}',
    b'{"step": true, "val/top1": true}',
    b'{"step": 3, "val/top1": 1e308}',
    b"[]",
    b"3",
    b"null",
    b"\0" * 9,
    b"\xff\xfe" + "{}".encode("utf-16"),
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"\x1b[2J",
    b"",
)


def metrics(folder: Path, dice: random.Random) -> Iterator[Case]:
    """Lines of metrics.jsonl that are none, cut and mixed, read for the plots and by a training that goes on."""
    path, data = folder / METRICS, b"".join(b'{"step": %d, "train/loss": 0.5}\n' % i for i in range(1, 9))

    def continued() -> None:
        MetricLog(folder, lines=4, active=True).close()

    def drawn() -> object:
        shown = runs.Shown(folder, "a", "", {}, "", 0, {}, runs.read_log(path), "", "")
        return runs.curves(shown)

    while True:
        rows = data.splitlines()
        for _ in range(dice.randint(1, 3)):
            rows.insert(dice.randrange(len(rows) + 1), dice.choice(LINES))
        text = b"\n".join(rows) + b"\n"
        fault = dice.choice(["lines", "bytes", *PLACES])
        put(path, mutated(text, [data], dice) if fault == "bytes" else text)
        if fault in PLACES:
            path.unlink()
            PLACES[fault](path)
        name, read = dice.choice([("plots", drawn), ("training", continued)])
        yield f"{name}: {fault}", read


def state() -> TrainState:
    """What a checkpoint holds, as small as can be."""
    params = {"dense": {"kernel": jnp.ones((4, 5)), "bias": jnp.arange(5.0)}}
    return TrainState(jnp.int32(3), opt_state={"momentum": jnp.ones((4, 5))}, params=params, batch_stats={})


def saved(folder: Path) -> Path:
    """A folder of checkpoints with one step."""
    found = checkpoint.Checkpoints(folder, OF)
    found.save(state(), {"best": 0.5, "best_step": 2, "evaluated": 2, "lines": 3})
    found.close()
    return folder


def restored(folder: Path) -> TrainState | None:
    """What a training that goes on reads."""
    found = checkpoint.Checkpoints(folder, OF)
    step = found.latest()
    return None if step is None else found.restore(step, state())[0]


def checkpoints(folder: Path, dice: random.Random) -> Iterator[Case]:
    """One to three faults in the files of a checkpoint."""
    good, work = saved(folder / "good"), folder / "work"
    files = {path.relative_to(good): path.read_bytes() for path in sorted(good.rglob("*")) if path.is_file()}
    while True:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(good, work)
        said = []
        for name in dice.sample(list(files), dice.randint(1, 3)):
            fault = dice.choice(["bytes", "bytes", *PLACES])
            put(work / name, mutated(files[name] or b"\0", [x for x in files.values() if x], dice))
            if fault in PLACES:
                (work / name).unlink()
                PLACES[fault](work / name)
            said.append(f"{name.parent.name} {fault}")
        yield "; ".join(said), lambda: restored(work)


KINDS: tuple[Kind, ...] = (
    Kind("run folders", folders, REFUSALS, 1000),
    Kind("metrics", metrics, REFUSALS, 300),
    Kind("checkpoints", checkpoints, REFUSALS, 200),
)
