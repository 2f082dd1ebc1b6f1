"""What a run folder tells the report: its facts, its accuracy, its learning curves."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l2l import model_costs, report_skim, runs
from l2l.data import schema
from l2l.report_plots import Chart, Series, chart
from l2l.runs import RunError, read_json

# Prefix of a metric and what it measures: of a skim run, of a distilled student, and of both.
WAYS = {"": "hard"} | {name: name for name in report_skim.OTHERS} | {"teacher": "its teacher"}
WAYS |= {"with_audio": "videos with sound", "without_audio": "videos without sound"}
KEPT = ("config", "inputs", "labels", "policy", "student", "recogniser", "versions")  # of config.json
STAGES = {"distill": "distillation", "preview": "preview", "skim": "skimming"}


@dataclasses.dataclass(frozen=True)
class Shown:
    """A run as its folder tells it. `metrics` is empty for extracted features; `log` has the lines of metrics.jsonl."""

    path: Path
    name: str
    stage: str
    record: dict[str, Any]
    hash: str
    step: int | None
    metrics: dict[str, float]
    log: list[dict[str, float]]
    finished: str

    @property
    def config(self) -> dict[str, Any]:
        return self.record["config"]

    @property
    def labels(self) -> list[str]:
        return self.record["labels"]

    @property
    def label_hash(self) -> str:
        return schema.hash_of(self.labels)


def load(path: Path, name: str) -> Shown:
    """Reads a run folder, or a directory of extracted features.

    Raises:
      RunError, ShardError: it is not one, has not finished, or is damaged.
    """
    index, marker = path / schema.INDEX, path / runs.DONE
    if not (path / runs.CONFIG).is_file():
        raise RunError(f"{path} is not a run folder: it has no {runs.CONFIG}")
    if not marker.is_file() and not index.is_file():
        raise RunError(f"{path} has not finished: start the command that makes it again")
    record = read_json(path / runs.CONFIG)
    done = read_json(marker) if marker.is_file() else {"step": None, "metrics": {}}
    try:
        record = runs.completed(record)
        config = record["config"]
        training = "fine-tuning" if config["init"] else "training"
        return Shown(
            path=path,
            name=name,
            stage="extraction" if config["mode"] == "extract" else STAGES.get(config["task"], training),
            record={key: record[key] for key in KEPT},
            hash=done["hash"] if marker.is_file() else schema.load_index(path).hash,
            step=done["step"],
            metrics=done["metrics"],
            log=read_log(path / "metrics.jsonl"),
            finished=stamp((marker if marker.is_file() else index).stat().st_mtime),
        )
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged: {error} in its {runs.CONFIG} or {runs.DONE}") from error


def read_log(path: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl; none if there is no such file.

    Raises:
      RunError: a line is not JSON or has no step.
    """
    if not path.is_file():
        return []
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            lines.append({"step": 0} | json.loads(line))
        except (ValueError, TypeError) as error:
            raise RunError(f"{path} is damaged in line {number}: {error}") from error
    return lines


def names(paths: Sequence[Path]) -> list[str]:
    """The folders' own names, or their whole paths where those are not unique."""
    short = [path.resolve().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def model_text(run: Shown) -> str:
    """The model and its numbers in words."""
    model = run.config["model"]
    if not model:
        return ""
    word = lambda value: "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return ", ".join([model["name"], *(f"{key} {word(value)}" for key, value in model.items() if key != "name")])


def accuracy(run: Shown, video_cost: dict[str, float]) -> list[dict[str, Any]]:
    """One row of the accuracy table per set of logits that the run measured."""
    rows, found = [], run.metrics
    for prefix, way in WAYS.items():
        key = f"{prefix}_" if prefix else ""
        if f"{key}top1" not in found:
            continue
        top1, count = found[f"{key}top1"], found["examples"]
        rows.append(
            {
                "run": run.name,
                "way": way if run.config["task"] == "skim" or prefix else "",
                "split": run.config["data"]["test"],
                "top1": 100 * top1,
                "error": 100 * (top1 * (1 - top1) / max(count, 1)) ** 0.5,
                "top5": 100 * found[f"{key}top5"],
                "mAP": 100 * found[f"{key}mAP"],
                "classes": found["mAP_classes"],
                "count": count,
                "cost": video_cost.get(way) if run.config["task"] == "skim" else clip_cost(run, prefix),
                "unit": "video" if run.config["task"] == "skim" else "clip",
            }
        )
    return rows


def clip_cost(run: Shown, prefix: str) -> float | None:
    """GMACs a clip; None for what is not this run's own model."""
    return None if prefix else model_costs.clip_macs(run.config, len(run.labels)) / report_skim.GIGA


def curves(run: Shown) -> list[Chart]:
    """Learning curves: loss, and top-1 and agreement with a teacher in training and validation."""
    points = lambda key, scale=1: [(line["step"], scale * line[key]) for line in run.log if key in line]
    loss = [Series("train", points("train/loss"), "train")]
    both = lambda key: [
        Series("train", points(f"train/{key}", 100), "train"),
        Series("validation", points(f"val/{key}", 100), "accent", "circle"),
    ]
    drawn = [
        chart("Loss", "step", "training loss", loss),
        chart("Accuracy", "step", "top-1, %", both("top1"), percent=True),
        chart("Agreement with the teacher", "step", "same best class, %", both("agree"), percent=True),
    ]
    return [x for x in drawn if x]


def grouped(facts: dict[str, dict[str, Any]]) -> list[tuple[list[str], dict[str, Any]]]:
    """Equal facts once, each with the names of the runs they hold for."""
    found: list[tuple[list[str], dict[str, Any]]] = []
    for name, value in facts.items():
        same = next((who for who, other in found if other == value), None)
        if same is None:
            found.append(([name], value))
        else:
            same.append(name)
    return found
