"""Folders of finished runs with the real configs and made-up results, for tests of tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from l2l.core import atomic
from l2l.evaluate import evaluation
from l2l.evaluate.curves import counts_of
from l2l.models.student import modalities
from l2l.report.tables.trade_offs import PARTS
from l2l.runs import run_folder
from l2l.runs.config import load_config, plain
from l2l.tasks.selections import SELECTIONS

LABELS = ("a", "b", "c")
SEEDS = (0, 1, 2)
SOFT = {"model__selection": "soft", "model__count_start": True, "model__weigh": False}
BOTH = modalities("both")
SMALL = {"model__steps": 4}
STRIDES, STEPS = (1, 5, 10), (1, 2, 3, 4)


def config_of(file: str, **changes):
    """configs/FILE with changes; keys with dots are written with two underscores."""
    config = load_config(f"configs/{file}")
    with config.unlocked():
        config.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
    return config


def finished(
    path: Path,
    file: str,
    metrics: dict,
    *,
    init: str = "",
    described_by: str = "",
    recogniser: str = "",
    data: str = "d",
    labels: Sequence[str] = LABELS,
    **changes,
):
    """A finished run; `init`: hash of the run it started from; `described_by` and `recogniser` are config files."""
    changes = {"data__val": "val", "data__test": "test"} | changes  # as a run records them
    config = plain(config_of(file, run=str(path), init="elsewhere" if init else "", **changes))
    inputs_ = {"data": {"path": "data", "hash": data}} | ({"init": {"path": "elsewhere", "hash": init}} if init else {})
    other = {"config": plain(config_of(recogniser)), "policy": {}} if recogniser else None
    record = {"config": config, "inputs": inputs_, "labels": labels, "policy": {}, "recogniser": other}
    described_by = described_by or ("finetune.py" if config["task"] == "skim" else "")
    record["student"] = plain(config_of(described_by)) if described_by else None
    run_folder.start(path, record)
    done = {"hash": atomic.hash_of(str(path)), "step": 1, "metrics": {"examples": 9, "mAP_classes": 3} | metrics}
    atomic.write_json(path / run_folder.DONE, done | {"code": "abc"})
    return path


def clip_predictions(truth: np.ndarray, rng: np.random.Generator, skill: float = 1.0) -> dict[str, np.ndarray]:
    """Made-up predictions of clips of some labels (n, k); every third has no sound."""
    n = len(truth)
    whose = {"video_id": np.array([f"v{i:04}" for i in range(n)]), "times": np.arange(n, dtype=np.float32) + 0.5}
    logits = (rng.normal(size=truth.shape) + skill * truth).astype(np.float32)
    return whose | {"logits": logits, "labels": truth.astype(np.float32), "has_audio": np.arange(n) % 3 > 0}


def skim_predictions(truth: np.ndarray, rng: np.random.Generator, steps: int = 4) -> dict[str, np.ndarray]:
    """The same of a skimmer over videos of twice as many positions as it has looks, which are worth more and more."""
    n, shape, positions = len(truth), truth.shape, 2 * steps
    noise = lambda skill: (rng.normal(size=shape) + skill * truth).astype(np.float32)
    found = clip_predictions(truth, rng, skill=3.0)
    steps_of = np.stack([noise(2 + t / steps) for t in range(steps - 1)] + [found["logits"]], axis=1)
    found |= {f"logits_{name}": noise(1.0) for name in ("soft", *SELECTIONS)} | {"step_logits": steps_of}
    found |= {"times": np.tile(np.arange(positions, dtype=np.float32) + 0.5, (n, 1)), "looks": np.full(n, steps)}
    found |= {"counted": np.ones((n, steps), bool), "modality": np.full((n, steps, 2), 0.5, np.float32)}
    picks = {f"picked_{m}": rng.permuted(np.tile(np.arange(positions), (n, 1)), axis=1)[:, :steps] for m in BOTH}
    return found | picks | {f"weights_{m}": rng.random((n, steps, positions), np.float32) for m in BOTH}


def predicted(path: Path, arrays: dict[str, np.ndarray], **more) -> dict[str, float]:
    """Writes predictions into a finished run, and what they measure; returns the latter."""
    done = run_folder.read_json(path / run_folder.DONE)
    done["metrics"] = (
        evaluation.measure(arrays, run_folder.read_json(path / run_folder.CONFIG)["config"]["multi_label"]) | more
    )
    atomic.write_json(path / run_folder.DONE, done)
    evaluation.save_predictions(path / "predictions.npz", arrays)
    return done["metrics"]


def curves(path: Path, rng: np.random.Generator) -> dict:
    """RUN/curves.json of a skimmer with random values."""

    def point(**where):
        parts = {part: float(rng.uniform(0.1, 1)) for part in PARTS}
        shares = {name: float(rng.uniform()) for name in ("top1", "mAP")}
        return where | shares | parts | {"gmacs": sum(parts.values())}

    every = [(w, s, t) for s in STRIDES for t in STEPS for w in ("hard", "soft")]
    found = {
        "run": run_folder.hash_at(path),
        "examples": 9,
        "split": "test",
        "positions": 20.0,
        "mAP_classes": 3,
        "points": [point(way=w, stride=s, steps=t) for w, s, t in every],
        "selections": [point(way=name, stride=1, steps=t) for name in SELECTIONS for t in counts_of(name, STEPS[-1])],
    }
    atomic.write_json(path / "curves.json", found)
    return found


def sure(path: Path, rng: np.random.Generator) -> dict:
    """RUN/sure.json with random values."""
    keys = ("looks", "gmacs", "top1", "difference", "low", "high")
    outcome = lambda: {key: float(rng.uniform()) for key in keys}
    how = {"source": "step_logits", "temperatures": [1.0] * STEPS[-1], "threshold": 0.9}
    found = {"run": run_folder.hash_at(path)} | {
        "val": {"examples": 5} | outcome(),
        "test": {"examples": 9} | outcome(),
    }
    found |= how | {"curve": [outcome() for _ in range(5)], "fixed": [outcome() for _ in range(4)]}
    atomic.write_json(path / "sure.json", found)
    return found


def at(curves, way, stride, steps):
    return next(p for p in curves["points"] if (p["way"], p["stride"], p["steps"]) == (way, stride, steps))
