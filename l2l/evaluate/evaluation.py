"""Every example of a split once: predict, drop the padding, compute the metrics over all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, overload

import jax
import numpy as np
from ml_collections import ConfigDict

from l2l.core import atomic, sharding, trees
from l2l.core.terminal import Bar
from l2l.data import schema
from l2l.data.dataset import Source, source_of
from l2l.evaluate import metrics
from l2l.evaluate.predict import Arrays, jit_predict, predict_batches, predictor
from l2l.runs import compatibility, fits
from l2l.runs.actions import Actions, positions_inside
from l2l.runs.prediction_rules import positions
from l2l.runs.run_folder import Run

KEPT_WEIGHTS = 64  # examples whose attention weights go into predictions.npz
DESCRIPTORS = ("image", "audio", "feature")  # of every clip: too large to keep, and only extraction wants them


@overload
def evaluate(
    predict: Callable,
    variables: Any,
    frozen: Any,
    source: Any,
    split: str,
    *,
    batch: int,
    mesh: jax.sharding.Mesh,
) -> Arrays: ...


@overload
def evaluate(
    predict: Callable,
    variables: Any,
    frozen: Any,
    source: Any,
    split: str,
    *,
    batch: int,
    mesh: jax.sharding.Mesh,
    stop: Callable[[], bool],
) -> Arrays | None: ...


def evaluate(
    predict: Callable,
    variables: Any,
    frozen: Any,
    source: Any,
    split: str,
    *,
    batch: int,
    mesh: jax.sharding.Mesh,
    stop: Callable[[], bool] = lambda: False,
) -> Arrays | None:
    """Predictions for every example of a split, in the order of the shards, with labels, video_id, has_audio and times.

    Of whole videos, whose times are filled up with zeros, also "positions" int32 (n,), how many each has.

    None if it was asked to stop meanwhile.

    Raises:
      ShardError: the split is not there or empty.
    """
    columns: dict[str, list[np.ndarray]] = {}
    with Bar(f"evaluate {split}", total=records_of(source, split), unit="example") as bar:
        for outputs, inputs in predict_batches(predict, variables, frozen, source.eval(split, batch=batch), mesh):
            if stop():
                return None
            kept = {name: rows for name, rows in outputs.items() if name not in DESCRIPTORS}
            kept |= {key: inputs[key] for key in ("labels", "has_audio", "example", "video_id", "times")}
            if np.ndim(inputs["times"][0]):  # whole videos
                kept["positions"] = np.array([len(times) for times in inputs["times"]], np.int32)
            for name, rows in kept.items():
                columns.setdefault(name, []).extend(rows)
            bar.update(len(inputs["example"]))
    order = np.argsort(columns.pop("example"))
    return {name: join([rows[i] for i in order]) for name, rows in columns.items()}


def records_of(source: Source, split: str, key: str = "split") -> int:
    """How many examples a split has. Raises ShardError, naming the key that asked, if it is not there or empty."""
    filled = {name: source.index.records(name) for name in source.index.splits if source.index.records(name)}
    if split not in filled:
        what = "has no examples" if split in source.index.splits else "is not there"
        raise schema.ShardError(
            f"{source.directory}: its split {split!r} {what}; set --{key} to one of {', '.join(sorted(filled))}, or "
            "prepare the data with it"
        )
    return filled[split]


def join(rows: list[np.ndarray]) -> np.ndarray:
    """Stacks rows; where videos have different lengths, the shorter are padded with zeros."""
    rows = [np.asarray(row) for row in rows]
    shape = np.max([row.shape for row in rows], axis=0, initial=0)
    if rows[0].ndim == 0 or all(row.shape == rows[0].shape for row in rows):
        return np.stack(rows)
    return np.stack([np.pad(row, [(0, n - m) for n, m in zip(shape, row.shape, strict=True)]) for row in rows])


def measure(arrays: Arrays, multi_label: bool = False) -> dict[str, float]:
    """The metrics of every set of logits: "logits" gives top1, ...; "logits_soft" gives soft_top1, ...

    Beside a teacher also "agree", how often the best classes are the same. Without labels nothing else has a meaning.
    With `multi_label` the logits stand for each class by itself.
    """
    found: dict[str, float] = {"examples": len(arrays["labels"])}
    if "logits_teacher" in arrays:
        found["agree"] = metrics.agreement(arrays["logits"], arrays["logits_teacher"])
    if not arrays["labels"].shape[1]:
        return found
    for name, logits in arrays.items():
        if name == "logits" or name.startswith("logits_"):
            prefix = name.removeprefix("logits").removeprefix("_")
            values = metrics.classification(logits.astype(np.float32), arrays["labels"], multi_label)
            shared = ("examples", "mAP_classes")
            found |= {f"{prefix}_{k}" if prefix and k not in shared else k: v for k, v in values.items()}
    return found | by_sound(arrays, multi_label)


def by_sound(arrays: Arrays, multi_label: bool) -> dict[str, float]:
    """The metrics of the examples with sound, and of those without, each with its own count.

    with_audio_ and without_audio_ before top1, top5, mAP, mAP_classes and examples; {} where a split has one kind only.
    """
    heard = arrays["has_audio"].astype(bool)
    if heard.all() or not heard.any():
        return {}
    logits = arrays["logits"].astype(np.float32)
    found: dict[str, float] = {}
    for kind, rows in (("with", heard), ("without", ~heard)):
        values = metrics.classification(logits[rows], arrays["labels"][rows], multi_label)
        found |= {f"{kind}_audio_{name}": value for name, value in values.items() if name != "mAP_micro"}
    return found


def inside(arrays: Arrays, actions: Actions | None) -> dict[str, float]:
    """How many of a video model's looks lie inside labelled stretches; {} of a model that picks no positions.

    A position lies inside if its middle does. Of a skimmer that chooses by two modalities the picks of both count.

    Args:
      arrays: predictions for whole videos.
      actions: the stretches; None if there are none.

    Returns:
      inside: share of the looks that lie inside, of all videos that have stretches together.
      inside_chance: the share that is expected of as many looks at random positions of each of these videos.
      inside_examples: how many videos these are. If it is 0, or nothing is looked at, it comes alone.
    """
    picked = [arrays[key] for key in ("picked_image", "picked_audio", "picked") if key in arrays]
    if not picked:
        return {}
    where = positions_inside(arrays["video_id"], arrays["times"], positions(arrays), actions or {})
    rows = list(where)
    examples: dict[str, float] = {"inside_examples": len(where)}
    counted = arrays["counted"][rows]  # (v, T)
    if not counted.any():
        return examples
    hit = np.mean([(metrics.hits(where.values(), own[rows]) & counted).sum() for own in picked])
    chance = np.dot([marks.mean() for marks in where.values()], counted.sum(axis=1))
    return {"inside": float(hit / counted.sum()), "inside_chance": float(chance / counted.sum())} | examples


def said_inside(values: dict[str, float], directory: Path) -> str:
    """What `inside` found over a directory of features, for a person."""
    if "inside" not in values:
        return f"{directory} has no {schema.ACTIONS}, so nothing is said of looks inside labelled stretches"
    shares = f"{100 * values['inside']:.1f} % of the looks, by chance {100 * values['inside_chance']:.1f} %"
    return f"inside the labelled stretches of {values['inside_examples']:.0f} videos: {shares}"


def by_video(arrays: Arrays, multi_label: bool) -> Arrays:
    """Predictions of clips -> one a video, in the order of their first clips; scores are averaged over its clips."""
    _, first, place = np.unique(arrays["video_id"], return_index=True, return_inverse=True)
    order = np.argsort(first)
    found = {name: arrays[name][first[order]] for name in ("labels", "has_audio", "video_id")}
    for name in ("logits", "logits_teacher") if "logits_teacher" in arrays else ("logits",):
        scores = metrics.probabilities(arrays[name].astype(np.float64), multi_label)
        mean = np.stack([scores[place == video].mean(axis=0) for video in order])
        found[name] = metrics.logits(mean, multi_label)
    return found


def criterion(config: ConfigDict) -> str:
    """The validation metric that picks the variables to keep, top1 if the config names none.

    One right class is not enough where there are several, and a skimmer is judged the way it was trained: by what soft
    selection answers, or hard selection.
    """
    name = config["best"] or "top1"
    name = "mAP" if config["multi_label"] and name == "top1" else name
    soft = "selection" in config["model"] and config["model"]["selection"] == "soft"
    return f"soft_{name}" if soft else name


def save_classes(path: Path, arrays: Arrays, index: schema.Index, split: str, multi_label: bool) -> None:
    """Writes what the predictions of a split say of every class, if it has labels.

    {"examples", "split", "data", "labels" (hashes), "classes": {label: {"positives", "AP"}}}; a class without positive
    examples has no average precision.
    """
    if not index.labels:
        return
    scores = metrics.probabilities(arrays["logits"].astype(np.float64), multi_label)
    each, counts = metrics.average_precisions(scores, arrays["labels"]), arrays["labels"].sum(axis=0)
    classes = {
        label: {"positives": int(count), "AP": float(value) if count else None}
        for label, count, value in zip(index.labels, counts, each, strict=True)
    }
    facts = {"examples": len(arrays["labels"]), "split": split, "data": index.hash, "labels": index.label_hash}
    atomic.write_json(path, facts | {"classes": classes})


def save_predictions(path: Path, arrays: Arrays) -> None:
    """Writes predictions.npz; attention weights only of the first examples."""
    kept = {k: v[:KEPT_WEIGHTS].astype(np.float16) if k.startswith("weights_") else v for k, v in arrays.items()}
    kept["video_id"] = np.asarray([x.decode() if isinstance(x, bytes) else str(x) for x in kept["video_id"]])
    trees.save_arrays(path, kept)


def open_for(run: Run, data: str, recognition: str) -> Source:
    """The shards of a directory as a finished run reads them, `recognition` beside them where it has a recogniser.

    Raises:
      RunError, ShardError, ValueError: other labels, or shards that do not fit the run.
    """
    fits.check(run)
    source = source_of(run.config | ({"recognition": recognition} if recognition else {}), data)
    compatibility.check_labels(run, source.index.labels, source.directory)
    if run.config["model"]["name"] == "fusion":
        compatibility.check_widths(source, run.config, str(run.path))
    return source


def predictions(run: Run, source: Source, split: str, batch: int | None = None) -> Arrays:
    """What a finished run predicts for a split of shards that `open_for` opened."""
    task, variables, frozen = predictor(run)
    mesh = sharding.make_mesh((-1, 1))
    batch = batch or run.config["data"]["eval_batch"]
    sharding.check_batch(mesh, batch, "--batch")
    return evaluate(jit_predict(task, mesh), variables, frozen, source, split, batch=batch, mesh=mesh)


def reported(index: schema.Index) -> str:
    """The split that is reported where none is named: test where the shards have one with examples, else val."""
    return "test" if "test" in index.splits and index.records("test") else "val"
