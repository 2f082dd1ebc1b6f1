"""Every example of a split once: predict, drop the padding, compute the metrics over all of them.

`python -m l2l.evaluate RUN --data=DIR --split=test` measures a finished run on any shards of the same labels.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from l2l import build, metrics, npz, sharding
from l2l.data import schema
from l2l.data.source import Source, source_of
from l2l.log import tell
from l2l.predict import Arrays, jit_predict, predict_batches, predictor
from l2l.runs import Run, load_run
from l2l.stop import Stop

KEPT_WEIGHTS = 64  # examples whose attention weights go into predictions.npz


def evaluate(
    predict: Callable,
    variables: Any,
    frozen: Any,
    source: Any,
    split: str,
    *,
    batch: int,
    mesh: jax.sharding.Mesh,
    stop: Stop | None = None,
) -> Arrays | None:
    """Predictions for every example of a split, in the order of the shards, with labels, video_id and has_audio.

    None if it was asked to stop meanwhile.
    """
    columns: dict[str, list[np.ndarray]] = {}
    batches = tqdm(
        source.eval(split, batch=batch),
        desc=f"evaluate {split}",
        total=source.batches(split, batch=batch),
        unit="batch",
        leave=False,
        disable=jax.process_index() > 0 or None,
    )
    for outputs, inputs in predict_batches(predict, variables, frozen, batches, mesh):
        if stop and stop.now:
            return None
        kept = {key: inputs[key] for key in ("labels", "has_audio", "example", "video_id", "times")}
        for name, rows in (outputs | kept).items():
            columns.setdefault(name, []).extend(rows)
    order = np.argsort(columns.pop("example"))
    return {name: join([rows[i] for i in order]) for name, rows in columns.items()}


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
    found = {"examples": len(arrays["labels"])}
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
    return found | by_sound(arrays)


def by_sound(arrays: Arrays) -> dict[str, float]:
    """with_audio_top1, without_audio_top1 and without_audio_examples, where a split has examples of both kinds."""
    heard = arrays["has_audio"].astype(bool)
    if heard.all() or not heard.any():
        return {}
    top1 = lambda rows: metrics.top_k(arrays["logits"][rows].astype(np.float32), arrays["labels"][rows], 1)
    split = {"with_audio_top1": top1(heard), "without_audio_top1": top1(~heard)}
    return split | {"without_audio_examples": int((~heard).sum())}


def criterion(config: Any) -> str:
    """The validation metric that picks the variables to keep: one right class is not enough where there are several."""
    return "mAP" if config["multi_label"] and config["best"] == "top1" else config["best"]


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
    schema.write_json(path, facts | {"classes": classes})


def save_predictions(path: Path, arrays: Arrays) -> None:
    """Writes predictions.npz; attention weights only of the first examples, descriptors not at all."""
    kept = {k: v for k, v in arrays.items() if k not in ("image", "audio", "feature")}
    kept = {k: v[:KEPT_WEIGHTS].astype(np.float16) if k.startswith("weights_") else v for k, v in kept.items()}
    kept["video_id"] = np.asarray([x.decode() if isinstance(x, bytes) else str(x) for x in kept["video_id"]])
    npz.save_arrays(path, kept)


def open_for(run: Run, data: str, recognition: str) -> Source:
    """The shards of a directory as a finished run reads them, `recognition` beside them where it has a recogniser.

    Raises:
      RunError, ShardError, ValueError: other labels, or shards that do not fit the run.
    """
    source = source_of(run.config | ({"recognition": recognition} if recognition else {}), data)
    build.check_labels(run, source.index.labels, source.directory)
    return source


def predictions(run: Run, source: Source, split: str, batch: int | None = None) -> Arrays:
    """What a finished run predicts for a split of shards that `open_for` opened."""
    task, variables, frozen = predictor(run)
    mesh = sharding.make_mesh((-1, 1))
    batch = batch or run.config["data"]["eval_batch"]
    sharding.check_batch(mesh, batch, "--batch")
    return evaluate(jit_predict(task, mesh), variables, frozen, source, split, batch=batch, mesh=mesh)


def evaluate_run(path: str, data: str, split: str, batch: int | None, recognition: str = "") -> dict[str, Any]:
    """Measures a finished run on a split of any shards with the same labels, without training.

    Raises:
      RunError, ShardError, ValueError: not a finished run, other labels, or shards that do not fit it.
    """
    run = load_run(path)
    source = open_for(run, data, recognition)
    arrays = predictions(run, source, split, batch)
    facts = {"run": run.hash, "data": source.index.hash, "labels": source.index.label_hash, "split": split}
    return measure(arrays, run.config["multi_label"]) | facts


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m l2l.evaluate", description=__doc__.splitlines()[0])
    result.add_argument("run", help="folder of a finished run: teacher, student or skimmer")
    result.add_argument("--data", required=True, help="directory of shards: clips, or features for a skimmer")
    result.add_argument("--split", default="val", help="which split (default: %(default)s)")
    result.add_argument("--batch", type=int, help="examples at a time (default: as the run was evaluated)")
    result.add_argument(
        "--recognition", default="", help="features that recognise (default: the directory it has used)"
    )
    return result


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return tell(lambda: json.dumps(evaluate_run(args.run, args.data, args.split, args.batch, args.recognition)))


if __name__ == "__main__":
    sys.exit(main())
