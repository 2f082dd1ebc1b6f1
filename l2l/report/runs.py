"""What a run folder tells the report: its facts, its accuracy, its learning curves."""

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l.core import atomic
from l2l.core.archive import reason
from l2l.data import schema
from l2l.evaluate import model_macs
from l2l.report import skim
from l2l.report.charts import Chart, Series, chart
from l2l.runs import run_folder, run_rules
from l2l.runs.run_folder import RunError, read_json
from l2l.train.log import written

# Prefix of a metric and what it measures: of a skim run, of a distilled student, and of both.
WAYS = {"": "hard"} | {name: name for name in skim.OTHERS} | {"teacher": "its teacher"}
SOUND = {"with_audio": "with sound", "without_audio": "without sound"}
WAYS |= SOUND
KEPT = ("config", "inputs", "labels", "policy", "student", "recogniser", "versions")  # of config.json
STAGES = {"distill": "distillation", "preview": "preview", "skim": "skimming"}


@dataclasses.dataclass(frozen=True)
class Shown:
    """A run as its folder tells it.

    `metrics` is empty of what was not measured, as extracted features are; `log` has the lines of metrics.jsonl, `kept`
    is "step 40: best validation", or "" of runs that did not write down which step they kept.
    """

    path: Path
    name: str
    stage: str
    record: dict[str, Any]
    hash: str
    step: int | None
    metrics: dict[str, float]
    log: list[dict[str, float]]
    finished: str
    kept: str

    @property
    def config(self) -> dict[str, Any]:
        return self.record["config"]

    @property
    def labels(self) -> list[str]:
        return self.record["labels"]

    @property
    def label_hash(self) -> str:
        return atomic.hash_of(self.labels)

    @property
    def skims(self) -> bool:
        """Whether it chooses moments of videos."""
        return self.config["model"].get("name") in ("skimmer", "glance")

    @property
    def stride(self) -> int | None:
        """Every which position a skimmer takes; None of what is no skimmer."""
        return self.config["model"].get("stride", 1) if self.config["model"].get("name") == "skimmer" else None


def load(path: Path, name: str) -> Shown:
    """Reads a run folder, or a directory of extracted features.

    Raises:
      RunError, ShardError: it is not one, has not finished, or is damaged.
    """
    index, marker = path / schema.INDEX, path / run_folder.DONE
    if not (path / run_folder.CONFIG).is_file():
        raise RunError(f"{path} is not a run folder: it has no {run_folder.CONFIG}")
    if not marker.is_file() and not index.is_file():
        raise RunError(f"{path} has not finished: start the command that makes it again")
    record = run_folder.completed(read_json(path / run_folder.CONFIG))
    done = read_json(marker) if marker.is_file() else {"step": None, "metrics": {}}
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
        finished=finished(done, record, marker if marker.is_file() else index),
        kept=kept(done),
    )


def read_log(path: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl; none if there is no such file.

    Raises:
      RunError: a line is not JSON or holds something else than numbers by their names.
    """
    if not path.is_file():
        return []
    lines = []
    for number, line in enumerate(written(path), 1):
        try:
            value = json.loads(line)
            if problem := run_rules.wrong_line(value):
                raise ValueError(problem)
        except (ValueError, RecursionError) as error:
            cure = "delete that line; it is for the plots alone"
            raise RunError(f"{path} is damaged in line {number}: {reason(error)}; {cure}") from error
        lines.append({"step": 0} | value)
    return lines


def names(paths: Sequence[Path]) -> list[str]:
    """The folders' own names, or their whole paths where those are not unique."""
    short = [path.resolve().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def stamp(seconds: float) -> str:
    """Seconds since 1970 as "2026-11-30 05:48 UTC"."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def finished(done: Mapping[str, Any], record: Mapping[str, Any], file: Path) -> str:
    """When a run finished, as it wrote down; of earlier runs the time of a file, which a copy does not keep."""
    said = done.get("finished") or record.get("finished")
    if not said:
        return f"{stamp(file.stat().st_mtime)} (its file's time)"
    return stamp(datetime.datetime.fromisoformat(said).timestamp())


def kept(done: Mapping[str, Any]) -> str:
    """Which step a run kept and why; "" where it is not written down."""
    found = done.get("kept")
    return f"step {found['step']:,}: {found['why']}" if found else ""


def model_text(run: Shown) -> str:
    """The model and its numbers in words."""
    model = run.config["model"]
    if not model:
        return ""
    word = lambda value: "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return ", ".join([model["name"], *(f"{key} {word(value)}" for key, value in model.items() if key != "name")])


def accuracy(run: Shown, video_cost: dict[str, float]) -> list[dict[str, Any]]:
    """One row of the accuracy table per set of logits that the run measured, and per part of the examples.

    Shares are percent, each of its row's own `count` of examples; what a run did not measure is None.
    """
    skims = run.config["task"] == "skim"
    return [
        {
            "run": run.name,
            "way": way if skims or prefix else "",
            "split": run.config["data"]["test"],
            **shares(run.metrics, prefix),
            "cost": video_cost.get(way) if skims else clip_cost(run, prefix),
            "unit": "video" if skims else "clip",
        }
        for prefix, way in WAYS.items()
        if measured(run.metrics, prefix, "top1") is not None or (not prefix and "agree" in run.metrics)
    ]


def shares(metrics: Mapping[str, float], prefix: str) -> dict[str, float | None]:
    """top1 with its binomial standard error, top5, mAP, agreement and looks inside labelled stretches, in percent.

    And of how many examples and classes these are.
    """
    of = lambda key: measured(metrics, prefix, key)
    percent = lambda value: None if value is None else 100 * value
    top1, count = of("top1"), examples(metrics, prefix)
    error = None if top1 is None or not count else (top1 * (1 - top1) / count) ** 0.5
    found = {key: percent(of(key)) for key in ("top1", "top5", "mAP")} | {"error": percent(error), "count": count}
    found |= {key: percent(of(key)) for key in ("inside", "inside_chance")}
    classes = of("mAP_classes") if prefix in SOUND else metrics.get("mAP_classes")
    return found | {"agree": None if prefix else percent(metrics.get("agree")), "classes": classes}


def measured(metrics: Mapping[str, float], prefix: str, key: str) -> float | None:
    """A metric of a set of logits, or of a part of the examples; None where it was not measured or has no meaning."""
    value = metrics.get(f"{prefix}_{key}" if prefix else key)
    return None if value is None or math.isnan(value) else value


def examples(metrics: Mapping[str, float], prefix: str) -> float | None:
    """How many examples the shares of a prefix are of; earlier runs wrote down those without sound alone."""
    if prefix not in SOUND:
        return metrics.get("examples")
    count = metrics.get(f"{prefix}_examples")
    if count is None and prefix == "with_audio" and "without_audio_examples" in metrics:
        return metrics.get("examples", 0) - metrics["without_audio_examples"]
    return count


def clip_cost(run: Shown, prefix: str) -> float | None:
    """GMACs a clip; None for what is not this run's own model."""
    return None if prefix else model_macs.clip_macs(run.config, len(run.labels)) / skim.GIGA


def curves(run: Shown) -> list[Chart]:
    """Learning curves: loss, and top-1 and agreement with a teacher in training and validation."""
    drawn = lambda line, key: key in line and math.isfinite(line[key])
    points = lambda key, scale=1: [(line["step"], scale * line[key]) for line in run.log if drawn(line, key)]
    loss = [Series("train", points("train/loss"), "train")]
    both = lambda key: [
        Series("train", points(f"train/{key}", 100), "train"),
        Series("validation", points(f"val/{key}", 100), "accent", "circle"),
    ]
    found = [
        chart("Loss", "step", "training loss", loss),
        chart("Accuracy", "step", "top-1, %", both("top1"), percent=True),
        chart("Agreement with the teacher", "step", "same best class, %", both("agree"), percent=True),
    ]
    return [x for x in found if x]


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
