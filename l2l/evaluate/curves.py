"""Accuracy against cost of a finished skim run: how sparsely features are taken, when to stop, and what else chooses.

    python -m l2l.curves RUN [--data=DIR] [--split=test]

Writes RUN/curves.json. Its "points" are the run's own model at strides of 1 to 30 positions (figure 6a of the paper),
stopped after each look (figure 6b), with hard and with soft selection; its "selections" are those that do not learn,
of as many positions, some also of fewer. (A model that chooses all its looks at once has one stride; "soft" is its
judge over everything.) Each has top1, mAP, and the mean GMACs per video in all and by parts
(figure 7). One pass over the videos per stride.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from l2l.core import atomic, command, sharding
from l2l.data.dataset import Source
from l2l.evaluate import metrics
from l2l.evaluate.evaluation import evaluate, open_for
from l2l.evaluate.predict import Arrays, jit_predict, predictor
from l2l.evaluate.video_macs import looked_at, mean_gmacs, selection_gmacs
from l2l.models.glance import Glance
from l2l.models.skimmer import Skimmer
from l2l.models.student import modalities
from l2l.runs import provenance, run_folder
from l2l.runs.names import CURVE_METRICS, CURVES
from l2l.runs.prediction_rules import positions
from l2l.runs.run_folder import Run, RunError
from l2l.tasks import Skim
from l2l.tasks.selections import SELECTIONS

STRIDES = (1, 2, 3, 5, 7, 10, 20, 30)
FEWER = ("uniform", "confident")  # selections that are also measured with fewer positions than the model's looks

Point = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Measured:
    """A skim task that predicts what the curves need of a video, instead of all that there is to show."""

    task: Skim

    def predict(self, variables: Any, frozen: Any, batch: Any) -> dict[str, jax.Array]:
        """hard and soft (b, T, k), logits after each look, or (b, 1, k) of a model without looks of its own.

        Also what a skimmer's looks were, and the logits of selections that do not learn.
        """
        ways = self.task.both(variables, frozen, batch)
        found = {}
        for way, (logits, out) in ways.items():
            found[way] = jnp.swapaxes(out["step_logits"], 0, 1) if "step_logits" in out else logits[:, None]
        out = ways["hard"][1]
        if isinstance(self.task.model, Glance):
            found |= {"counted": out["counted"].T}
        elif "counted" in out:
            found |= {f"picked_{m}": picked.T for m, picked in out["picked"].items()} | {"counted": out["counted"].T}
        dense = not isinstance(self.task.model, Skimmer) or self.task.model.stride == 1  # selections have no stride
        return found | (self.selected(frozen, batch) if "looks" in out and dense else {})

    def selected(self, frozen: Any, batch: Any) -> dict[str, jax.Array]:
        """logits_NAME_COUNT (b, k) of the selections that do not learn."""
        by_count = {count: self.task.selected(frozen, batch, count) for count in range(1, self.task.model.steps + 1)}
        return {
            f"{key}_{count}": logits
            for count, found in by_count.items()
            for key, logits in found.items()
            if count in counts_of(key.removeprefix("logits_"), self.task.model.steps)
        }


@dataclasses.dataclass(frozen=True)
class Trial:
    """A finished run and the videos it is measured on."""

    run: Run
    source: Source
    split: str
    batch: int

    def arrays(self, task: Skim, variables: Any, frozen: Any) -> Arrays:
        """What a task says of every video."""
        mesh = sharding.make_mesh((-1, 1))
        program = jit_predict(Measured(task), mesh)
        return evaluate(program, variables, frozen, self.source, self.split, batch=self.batch, mesh=mesh)

    @property
    def recogniser(self) -> Mapping[str, Any] | None:
        return self.run.recogniser and self.run.recogniser["config"]

    def point(self, logits: np.ndarray, labels: np.ndarray, gmacs: dict[str, float], **what: Any) -> Point:
        """One line of the file."""
        found = metrics.classification(logits.astype(np.float32), labels, self.run.config["multi_label"])
        return what | {name: found[name] for name in CURVE_METRICS} | gmacs | {"gmacs": sum(gmacs.values())}


def strides(model: Any, arrays: Arrays) -> list[int]:
    """The strides that leave a video of mean length more than one position."""
    length = positions(arrays).mean()
    return [s for s in STRIDES if s == 1 or (isinstance(model, Skimmer) and s < length)]


def points(trial: Trial, model: Any, arrays: Arrays) -> Iterator[Point]:
    """The model's own points from what it says with one stride."""
    if isinstance(model, Glance):
        yield from at_once(trial, model, arrays)
        return
    if not isinstance(model, Skimmer):
        yield from whole(trial, model, arrays)
        return
    config = trial.run.config | {"model": trial.run.config["model"] | {"stride": model.stride}}
    for t in range(1, model.steps + 1):
        picks = t - model.count_start  # how many of the picks are read by the first t looks
        numbers: dict[str, Any] = {
            "positions": positions(arrays),
            "steps": arrays["counted"][:, :picks].sum(axis=1),
            "looks": looked_at(arrays, modalities(model.index_by), picks),
            "has_audio": arrays["has_audio"],
            "recogniser": trial.recogniser,
        }
        for way in ("hard", "soft"):
            gmacs = mean_gmacs(config, trial.run.clip_model, len(trial.run.labels), **numbers, soft=way == "soft")
            logits = arrays[way][:, t - 1]
            yield trial.point(logits, arrays["labels"], gmacs, way=way, stride=model.stride, steps=t)


def at_once(trial: Trial, model: Glance, arrays: Arrays) -> Iterator[Point]:
    """The points of a model that chooses all its looks at once: after each, and when everything is read."""
    for way, steps in [*(("hard", t + 1) for t in range(model.steps)), ("soft", model.steps)]:
        looks = arrays["counted"][:, :steps].sum(axis=1)
        numbers: dict[str, Any] = {"positions": positions(arrays), "steps": looks, "looks": looks}
        numbers |= {"has_audio": arrays["has_audio"], "recogniser": trial.recogniser, "soft": way == "soft"}
        gmacs = mean_gmacs(trial.run.config, trial.run.student or {}, len(trial.run.labels), **numbers)
        logits = arrays[way][:, steps - 1 if way == "hard" else 0]
        yield trial.point(logits, arrays["labels"], gmacs, way=way, stride=1, steps=steps)


def whole(trial: Trial, model: Any, arrays: Arrays) -> Iterator[Point]:
    """The points of a model that reads all positions at once; hard selection then is of its T best."""
    count = positions(arrays)
    steps = getattr(model, "steps", None)
    for way in ("hard", "soft") if steps else ("hard",):
        looks = np.minimum(count, steps) if steps else count
        numbers: dict[str, Any] = {
            "positions": count,
            "steps": np.zeros_like(count),
            "looks": looks,
            "recogniser": trial.recogniser,
        }
        numbers["has_audio"] = arrays["has_audio"]
        gmacs = mean_gmacs(trial.run.config, trial.run.clip_model, len(trial.run.labels), **numbers, soft=way == "soft")
        yield trial.point(arrays[way][:, 0], arrays["labels"], gmacs, way=way, stride=1, steps=steps)


def counts_of(selection: str, steps: int) -> Sequence[int]:
    """Of how many positions a selection that does not learn is measured beside a model of so many looks."""
    return range(1, steps + 1) if selection in FEWER else (steps,)


def selections(trial: Trial, model: Any, arrays: Arrays) -> Iterator[Point]:
    """The points of the selections that do not learn."""
    steps = getattr(model, "steps", 0)
    measured = [(name, count) for name in SELECTIONS for count in counts_of(name, steps)]
    for name, count in measured:
        if (logits := arrays.get(f"logits_{name}_{count}")) is not None:
            numbers: dict[str, Any] = {"positions": positions(arrays), "count": count, "recogniser": trial.recogniser}
            gmacs = selection_gmacs(name, trial.run.clip_model, len(trial.run.labels), **numbers)
            yield trial.point(logits, arrays["labels"], gmacs, way=name, stride=1, steps=count)


def curves(trial: Trial) -> dict[str, Any]:
    """The content of the file."""
    task, variables, frozen = predictor(trial.run)
    dense = at_stride(task, 1)
    first = trial.arrays(dense, variables, frozen)
    found = list(points(trial, dense.model, first))
    for stride in strides(task.model, first)[1:]:
        sparse = at_stride(task, stride)
        found += points(trial, sparse.model, trial.arrays(sparse, variables, frozen))
    return facts(trial, first) | {"points": found, "selections": list(selections(trial, dense.model, first))}


def at_stride(task: Skim, stride: int) -> Skim:
    """The task with the same variables and another stride, if its model has one."""
    if not isinstance(task.model, Skimmer):
        return task
    return dataclasses.replace(task, model=task.model.clone(stride=stride))


def facts(trial: Trial, arrays: Arrays) -> dict[str, Any]:
    """What was measured on what."""
    index = trial.source.index
    return {
        "run": trial.run.hash,
        "data": index.hash,
        "labels": index.label_hash,
        "split": trial.split,
        "examples": len(arrays["labels"]),
        "mAP_classes": int(arrays["labels"].any(axis=0).sum()),
        "positions": float(positions(arrays).mean()),
        "metrics": list(CURVE_METRICS),
        "config": trial.run.config,
        "versions": provenance.versions(),
    }


def write(path: str, data: str | None, split: str | None, recognition: str) -> Path:
    """Measures a finished skim run and writes its file.

    Raises:
      RunError, ShardError, ValueError: not a skim run, other labels, or shards that do not fit it.
    """
    run = run_folder.load_run(path)
    if run.config["task"] != "skim":
        raise RunError(f"{path} is no skim run: it classifies clips, not videos")
    source = open_for(run, data or run.config["data"]["dir"], recognition)
    trial = Trial(run, source, split or run.config["data"]["test"], run.config["data"]["eval_batch"])
    atomic.write_json(run.path / CURVES, curves(trial))
    return run.path / CURVES


def parser() -> argparse.ArgumentParser:
    what, _, more = __doc__.partition("\n")
    how = argparse.RawDescriptionHelpFormatter
    result = argparse.ArgumentParser(
        prog=command.program("l2l.curves"), description=what, epilog=more, formatter_class=how
    )
    result.add_argument("run", metavar="RUN", help="folder of a finished skim run")
    result.add_argument("--data", help="directory of features (default: those that it was trained on)")
    result.add_argument("--split", help="which split (default: the one that the run reports)")
    result.add_argument("--recognition", default="", help="features that recognise (default: those it has used)")
    return result


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return command.status(lambda: print(write(args.run, args.data, args.split, args.recognition)))
