"""The page of finished runs, put together from its sections."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2l.core import atomic, trees
from l2l.evaluate import model_macs
from l2l.models.glance import Glance
from l2l.models.student import modalities
from l2l.report import classes, render, runs, skim
from l2l.report import files as report_files
from l2l.report import videos as report_videos
from l2l.report.runs import Shown
from l2l.runs import prediction_rules, run_folder
from l2l.runs.actions import actions_of
from l2l.runs.names import CURVES
from l2l.runs.run_folder import RunError, read_json
from l2l.tasks import from_config

MOST_LOOKS = 6  # rows of the cost table
PREDICTIONS = "predictions.npz"


def clip_directory(run: Shown) -> Path | None:
    """Where the clips lie that a run has seen, or the run that made its features; None if that cannot be told now."""
    directory = Path(run.config["data"]["dir"])
    if run.config["task"] == "skim":
        config = directory / run_folder.CONFIG
        if not config.is_file():
            return None
        directory = Path(read_json(config)["config"]["data"]["dir"])
    return directory if directory.is_dir() else None


def predictions_of(run: Shown) -> skim.Arrays | None:
    """What a run predicted for the split that it reports; None without labels, or where a clip model's are not there.

    Raises:
      RunError: those of a skimmer are missing, or they are damaged.
    """
    path, skims = run.path / PREDICTIONS, run.skims
    if "top1" not in run.metrics or not (skims or path.is_file()):
        return None
    if not path.is_file():
        raise RunError(f"{path} is missing: delete {run.path} and make the run again")
    arrays = trees.load_arrays(path)
    if problem := prediction_rules.wrong(
        arrays, len(run.labels), from_config.numbers_of(run.config) if skims else None
    ):
        raise RunError(f"{path} is damaged: {problem}; delete {run.path} and make the run again")
    return arrays


def class_section(run: Shown, arrays: skim.Arrays) -> dict[str, Any]:
    """What the page says of the classes of one run. Raises RunError if what lies beside its clips is damaged."""
    files = report_files.Files(clip_directory(run), run.record["policy"])
    found = classes.section(run.labels, arrays, files, multi_label=run.config["multi_label"])
    return {"run": run, "missing": "" if files.places else files.missing} | found


def curves_of(run: Shown) -> tuple[skim.Curves | None, str]:
    """What `python -m l2l.curves` found over the videos that a run reports; or nothing and why.

    Raises:
      RunError: it is damaged.
    """
    path, cure = run.path / CURVES, f"python -m l2l.curves {run.path}"
    if not path.is_file():
        return None, f"{cure} adds what it does at every stride"
    found = read_json(path)
    same = (found.get("run"), found.get("split")) == (run.hash, run.config["data"]["test"])
    return (found, "") if same else (None, f"{path} is of other weights or another split: {cure} makes it again")


def skim_section(run: Shown, arrays: skim.Arrays, shown: Sequence[Shown], count: int, folder: Path) -> dict[str, Any]:
    """What the page in a folder says of one skim run.

    Raises:
      RunError, ValueError: its predictions, or what lies beside its clips, are damaged.
    """
    config, student, model = run.config, run.record["student"], from_config.numbers_of(run.config)
    teachers = {
        other.name: model_macs.clip_macs(other.config, len(other.labels))
        for other in shown
        if other.config["model"].get("name") in ("r2plus1d", "i3d") and other.labels == run.labels
    }
    recogniser = run.record["recogniser"]
    looks, others = skim.cost_rows(config, student, arrays, teachers, recogniser and recogniser["config"])
    found, uncurved = curves_of(run)
    directory = clip_directory(run)
    actions = actions_of(Path(config["data"]["dir"]))
    at_once = isinstance(model, Glance)
    inside = skim.inside(config, arrays, actions) if actions else None
    files = report_files.Files(directory, run.record["policy"], folder)
    picks, kept = pick_videos(arrays, "listener" if at_once else f"weights_{modalities(model.index_by)[0]}", count)
    return {
        "run": run,
        "model": model,
        "given": student["model"]["name"] == "fusion",
        "at_once": at_once,
        "positions": prediction_rules.positions(arrays).mean(),
        "rows": [looks[i] for i in sorted({round(i) for i in np.linspace(0, len(looks) - 1, MOST_LOOKS)})],
        "others": others,
        "totals": {"hard": looks[-1]} | {row.way: row for row in others if row.way},
        "charts": skim.cost_charts(looks, others, found),
        "uncurved": uncurved,
        "inside": inside,
        "inside_chart": skim.inside_chart(inside) if inside else None,
        "videos": [report_videos.describe(config, run.labels, arrays, i, actions=actions, files=files) for i in picks],
        "missing": "" if files.places else files.missing,
        "kept": kept,
    }


def pick_videos(arrays: skim.Arrays, attention: str, count: int) -> tuple[list[int], int]:
    """Which test videos to show, and out of how many: those whose attention was kept."""
    kept = len(arrays[attention])
    labels, logits = arrays["labels"][:kept], arrays["logits"][:kept]
    right = np.take_along_axis(labels, logits.argmax(1)[:, None], 1)[:, 0] > 0
    return report_videos.choose(arrays["video_id"][:kept].tolist(), labels, right, count), kept


def page_of(paths: Sequence[Path], videos: int, folder: Path = Path()) -> str:
    """The page.

    Args:
      paths: run folders.
      videos: how many test videos of each skim run are shown.
      folder: where the page will lie.

    Raises:
      RunError, ShardError, ValueError: a folder is not a finished run, or damaged.
    """
    shown = [runs.load(path, name) for path, name in zip(paths, runs.names(paths), strict=True)]
    predicted = [(run, arrays) for run in shown if (arrays := predictions_of(run)) is not None]
    sections = [skim_section(run, arrays, shown, videos, folder) for run, arrays in predicted if run.skims]
    costs = {s["run"].name: {way: row.total for way, row in s["totals"].items()} for s in sections}
    common = os.path.commonpath([path.resolve().parent for path in paths])
    return render.render(
        "report.html",
        title=Path(common).name,
        made=runs.stamp(time.time()),
        runs=shown,
        model_text=runs.model_text,
        versions=runs.grouped({run.name: run.record["versions"] for run in shown}),
        labels=runs.grouped({run.name: {"count": len(run.labels), "hash": run.label_hash} for run in shown}),
        accuracy=[row for run in shown for row in runs.accuracy(run, costs.get(run.name, {}))],
        classes=[class_section(run, arrays) for run, arrays in predicted],
        unpredicted=[x.name for x in shown if "top1" in x.metrics and x.name not in {run.name for run, _ in predicted}],
        curves=[(run, found) for run in shown if (found := runs.curves(run))],
        sections=sections,
    )


def write(path: Path, text: str) -> None:
    """Writes the page so that the file is either the old one or the whole new one.

    Raises:
      RunError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(text.encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error
