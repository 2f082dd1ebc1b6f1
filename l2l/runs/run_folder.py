"""A run folder: what it was asked to do, what it was made from, and what prediction needs of it.

config.json   config, inputs (path and hash), labels, clip policy, versions; written first
metrics.jsonl, checkpoints/, best.npz   while training
variables.npz, predictions.npz, classes.json, done.json   written last; done.json marks a finished run, with its hash
.lock         held by the process that works in the folder
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from l2l.core import atomic, trees
from l2l.core.archive import reason
from l2l.core.atomic import demand_file
from l2l.core.terminal import say
from l2l.data import schema
from l2l.models.student import modalities
from l2l.runs import processes, run_rules
from l2l.runs.provenance import code_version, utc, versions
from l2l.runs.run_rules import ADDED_KEYS
from l2l.tasks.from_config import BLIND

CONFIG, DONE, VARIABLES, LOCK = "config.json", "done.json", "variables.npz", ".lock"
MEASURED = ("curves", "sure", "sound_trials")  # commands that write a file of their name into a finished run
MOST_JSON = 2**26  # bytes of a JSON file that is read
# Keys of config.data, with the value that leaves them open; a run decides them once, see l2l/evaluate/resolve.py.
OPEN_KEYS = {"val": "", "test": "", "streams": 0}
OPEN_WIDTHS = ("image", "audio")  # keys of config.model of a fusion; open where both are 0
# Where and how fast a run works, not what comes out of it.
FREE_KEYS = ("run", "mesh", "shard_min", "distributed", "patience", "log_every", "profile", "makers")
# Keys of config.data that say in which order examples come; of a run without that order's number they meant others.
ORDER_KEYS = ("draw", "streams", "shuffle")


class RunError(ValueError):
    """A run folder that is absent, unfinished, or of something else than asked for."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run. `policy` cut its clips; `variables` has the trees "model" and, for a skimmer, "student".

    A skimmer whose looks are recognised by other features also has the tree "recogniser".
    """

    path: Path
    config: dict[str, Any]
    labels: tuple[str, ...]
    policy: dict[str, Any]
    hash: str
    variables: dict[str, Any]
    student: dict[str, Any] | None  # config of the clip model whose features a skimmer reads
    recogniser: dict[str, Any] | None  # config and clip policy of the clip model whose features recognise its looks
    part: tuple[str, ...] = ()  # patterns of the variables it holds, where these are imported and not the whole model's

    @property
    def clip_model(self) -> dict[str, Any]:
        """The config of the clip model whose features a video model reads.

        Raises:
          RunError: it reads none.
        """
        if self.student is None:
            name = self.config["model"]["name"]
            raise RunError(f"{self.path} is a {name} that reads no clip model's features: use a skimmer's run")
        return self.student

    @property
    def label_hash(self) -> str:
        return atomic.hash_of(list(self.labels))


def read_json(path: Path) -> dict[str, Any]:
    """A file of a run folder, or one beside its clips, that holds what its name says.

    Raises:
      RunError: it is missing, not JSON, or holds something else.
    """
    try:
        demand_file(path)
        if path.stat().st_size > MOST_JSON:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, more than {MOST_JSON:,}")
        value = json.loads(path.read_text(encoding="utf-8"))
        if problem := run_rules.wrong(path.name, value):
            raise ValueError(problem)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {reason(error)}; {cure_of(path)}") from error
    return value


def cure_of(path: Path) -> str:
    """What to do about a damaged file of a run folder."""
    if path.stem in MEASURED:
        return f"make it again with python -m l2l.{path.stem} {path.parent}"
    if path.name in (CONFIG, DONE):
        return f"delete {path.parent} and make the run again"
    return "write it again, or delete it"


def is_finished(path: Path) -> bool:
    return (path / DONE).is_file()


def load_run(path: str | os.PathLike, *, part: bool = False) -> Run:
    """Reads a finished run; with `part` also one that holds the weights of a part of its model only.

    Raises:
      RunError: no such folder, the run has not finished, it holds a part only, or its weights are not finite.
    """
    path = Path(path)
    if not is_finished(path):
        what = "has not finished: start the same command again" if (path / CONFIG).is_file() else "is not a run folder"
        what = "holds shards, not a trained model" if (path / schema.INDEX).is_file() else what
        raise RunError(f"{path} {what}")
    asked, done = completed(read_json(path / CONFIG)), read_json(path / DONE)
    run = Run(
        path=path,
        config=asked["config"],
        labels=tuple(asked["labels"]),
        policy=asked["policy"],
        hash=done["hash"],
        variables=trees.load_arrays(path / VARIABLES),
        student=asked["student"],
        recogniser=asked["recogniser"],
        part=tuple(asked.get("part", ())),
    )
    if odd := trees.not_finite(run.variables):
        raise RunError(f"{path} cannot be used: in its {VARIABLES}, {odd} is not finite; make the run again")
    check_trees(run)
    if run.part and not part:
        held = ", ".join(sorted(run.variables["model"]["params"]))
        raise RunError(f"{path} holds only a part of a model ({held}): start a run from it with --config.init={path}")
    return run


def check_trees(run: Run) -> None:
    """Raises RunError unless the variables are of as many models as the run has."""
    wanted = ["model", *(["student"] if run.student else []), *(["recogniser"] if run.recogniser else [])]
    for name in wanted:
        tree = run.variables.get(name)
        if not isinstance(tree, dict) or not isinstance(tree.get("params"), dict):
            raise RunError(f"{run.path / VARIABLES} is damaged: it has no {name}/params; make the run again")


def completed(record: dict[str, Any]) -> dict[str, Any]:
    """What config.json says, with what came later filled in."""
    student, recogniser = record["student"], record.get("recogniser")
    return record | {
        "config": ADDED_KEYS | record["config"],
        "student": student and ADDED_KEYS | student,
        "recogniser": recogniser and recogniser | {"config": ADDED_KEYS | recogniser["config"]},
    }


def hash_at(path: str | Path) -> str:
    """The hash of what an input path holds: a directory of shards or a finished run.

    Raises:
      RunError, ShardError: neither is there, or not whole.
    """
    path = Path(path)
    if (path / schema.INDEX).is_file():
        return schema.load_index(path).hash
    if is_finished(path):
        return read_json(path / DONE)["hash"]
    raise RunError(f"{path} holds neither shards nor a finished run")


def start(path: Path, record: dict[str, Any]) -> None:
    """Writes config.json, or checks that the one there asks for the same; epochs may be more, see `asks_longer`.

    Args:
      path: the run folder; made if missing.
      record: config, inputs, labels, policy, student.

    Raises:
      RunError: the folder cannot be written to, another process works in it, or it was started with another config or
        other inputs; the message lists the differences.
    """
    record = json.loads(json.dumps(record))
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
        with claimed(path):
            if jax.process_index() == 0 and not (path / CONFIG).is_file():
                atomic.write_json(path / CONFIG, record | {"versions": versions()})
            elif jax.process_index() == 0 and not is_finished(path) and asks_longer(path, record):
                check_order(path, record)
                record_epochs(path, record["config"]["epochs"])
    except OSError as error:
        raise RunError(
            f"the run folder {path} cannot be written to ({error.strerror}): choose another with --config.run=FOLDER"
        ) from error
    processes.meet("the run folder is there")
    longer = asks_longer(path, record)
    if longer or not is_finished(path):
        check_order(path, record)
    if not longer:
        check_same(path, record)


@contextlib.contextmanager
def claimed(path: Path, key: str = "run") -> Iterator[None]:
    """Keeps other programs out of a folder; of the processes of one program the first holds the lock.

    The system takes it back when the process ends, however it ends.

    Args:
      path: a run folder, or one that a run writes to.
      key: of the config, which names another folder.

    Raises:
      RunError: another program works in the folder.
    """
    if jax.process_index() > 0:
        yield
        return
    with (path / LOCK).open("ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            cure = f"wait for it to end, or write elsewhere with --config.{key}=FOLDER"
            raise RunError(f"another process is working in {path}: {cure}") from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
            say(f"{path}: its file system has no locks; let no other process work in it")
        yield


def settled(asked: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """A config that is asked for, with what a run has recorded where that is left open or cannot be compared."""
    has, ordered = there["config"].get("data", {}), "order" in there
    is_open = lambda key, value: key in OPEN_KEYS and key in has and value == OPEN_KEYS[key]
    left = lambda key, value: is_open(key, value) or (key in ORDER_KEYS and not ordered)
    data = {key: has.get(key) if left(key, value) else value for key, value in asked.get("data", {}).items()}
    model, decided = asked.get("model", {}), there["config"].get("model", {})
    if model.get("name") == "fusion" and not any(model[m] for m in OPEN_WIDTHS):
        model = model | {m: decided.get(m) for m in OPEN_WIDTHS}
    return asked | {"data": data} | ({"model": model} if model else {})


def check_order(path: Path, record: dict[str, Any]) -> None:
    """Raises RunError if a run that is to go on has begun with its examples in another order."""
    if read_json(path / CONFIG).get("order") != record.get("order"):
        raise RunError(
            f"{path} was begun by an earlier release, which drew the examples in another order, so it cannot be "
            f"continued: delete {path} to begin it again, or write elsewhere with --config.run=FOLDER"
        )


def check_same(path: Path, record: dict[str, Any]) -> None:
    """Raises RunError listing how a run folder differs from what is asked for."""
    found = mismatches(read_json(path / CONFIG), record)
    if found:
        raise RunError(
            f"{path} was made from another config or other data:\n  "
            + "\n  ".join(found)
            + f"\nDelete {path} to make it again, or write elsewhere with --config.run=FOLDER"
        )


def mismatches(there: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """One line per key and per input in which a recorded run differs from what is asked for."""
    found = differences(ADDED_KEYS | there["config"], settled(record["config"], there))
    for name, now in record["inputs"].items():
        hash_before = there["inputs"].get(name, {}).get("hash")
        if hash_before != now["hash"]:
            found.append(f"input {name} ({now['path']}): made from {hash_before}, there is now {now['hash']}")
    return found


def asks_longer(path: Path, record: dict[str, Any]) -> bool:
    """Whether what is asked for is the training of a run folder for more epochs, which can go on from where it is.

    Raises:
      RunError: it is, but it cannot go on; the message says why.
    """
    there, config = read_json(path / CONFIG), record["config"]
    before, after = there["config"]["epochs"], config["epochs"]
    same = record | {"config": config | {"epochs": before}}
    if config["mode"] != "train" or after <= before or mismatches(there, same):
        return False
    fresh = f"start another run from its weights with --config.init={path} --config.run=FOLDER"
    if config["optim"]["schedule"] == "cosine":
        raise RunError(
            f"{path} was started for config.epochs={before:g}, over which its rate falls to 0; {after:g} epochs along "
            f"a cosine are another training: {fresh}, or use --config.optim.schedule=constant from the first epoch on"
        )
    if is_finished(path) and not any(step.name.isdigit() for step in path.glob("checkpoints/*")):
        raise RunError(f"{path} has no checkpoint from which config.epochs={after:g} could go on: {fresh}")
    return True


def record_epochs(path: Path, epochs: float) -> None:
    """Writes into config.json that a run is trained for so many epochs."""
    there = read_json(path / CONFIG)
    atomic.write_json(path / CONFIG, there | {"config": there["config"] | {"epochs": epochs}})


def reopen(path: Path, epochs: float) -> None:
    """Takes the mark off a finished run that was trained for longer, before its files are replaced."""
    if is_finished(path):
        (path / DONE).unlink()
        record_epochs(path, epochs)


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """One line per key whose value differs, for two nested configs."""
    lines = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if prefix == "" and key in FREE_KEYS:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"config.{prefix}{key}: it has {old!r}, asked for {new!r}")
    return lines


def finish(
    path: Path, variables: dict[str, Any], metrics: dict[str, float], step: int, kept: dict[str, Any] | None = None
) -> str:
    """Writes variables.npz, then done.json with the run's hash, which is returned.

    Args:
      path: the run folder.
      variables: the trees of a `Run`.
      metrics: of the split that is reported.
      step: the last one of the training.
      kept: of which step the variables are, and why: {"step", "why", ...}.

    Raises:
      RunError: a variable is not finite; nothing is written.
    """
    if odd := trees.not_finite(variables):
        raise RunError(f"{path} is not finished: {odd} is not finite; train it again with a lower --config.optim.lr")
    asked = read_json(path / CONFIG)
    made_from = [x["hash"] for _, x in sorted(asked["inputs"].items())]
    content = atomic.hash_of([asked["labels"], made_from, trees.digest(variables)])
    trees.save_arrays(path / VARIABLES, variables)
    done = {"hash": content, "step": step, "metrics": metrics, "code": code_version(), "finished": utc()}
    atomic.write_json(path / DONE, done | ({"kept": kept} if kept else {}))
    return content


def student_of(run: Run) -> Run:
    """The run of the student whose descriptors a skimmer reads.

    Raises:
      RunError: the skimmer was imported without it, or is none.
    """
    if run.student and run.student["model"]["name"] == "fusion":
        raise RunError(f"{run.path} cannot take videos: {BLIND}")
    if (kind := run.config["model"]["name"]) not in ("skimmer", "glance"):
        raise RunError(f"{run.path} is a {kind} over features and names no moments: use a skimmer's run")
    student = run.clip_model
    needed = modalities(student["model"]["modality"]) if student["model"]["name"] == "student" else ()
    missing = {*needed} - run.variables["student"]["params"].keys()
    if missing:
        raise RunError(
            f"{run.path} reads features and has no network that makes them of a video ({', '.join(sorted(missing))}): "
            "import it again with --student=RUN"
        )
    for whose, config in (("student", student), ("recogniser", run.recogniser and run.recogniser["config"])):
        if config and run.variables[whose]["params"].keys() == {"classifier"}:
            raise RunError(
                f"{run.path} reads features of {config['model']['name']} that were released without their network: it "
                "cannot take videos, only features (python -m l2l.evaluate)"
            )
    return dataclasses.replace(run, config=student, variables={"model": run.variables["student"]}, student=None)
