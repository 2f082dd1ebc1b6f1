"""Fits early exit: a skimmer stops when it is confident enough, so each video gets as many looks as it needs.

    python -m l2l.sure RUN --data=DIR

RUN is a finished skim run, DIR its feature shards. After every look the skimmer has a prediction. A temperature for
each look makes its softmax say how often it is right (Guo et al., 2017); it stops once that exceeds a threshold. Both
are fitted on the run's validation split alone; the split that it reports is measured with them. All goes into
RUN/sure.json, which `python -m l2l.infer` reads. Where there were too few videos to fit on, or the measured split
shows no gain, the scores stay uncalibrated; stopping still works, with the measured loss.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2l.core import atomic, command
from l2l.evaluate import metrics
from l2l.evaluate.early_exit import Arrays, Sure
from l2l.runs import provenance, run_folder
from l2l.runs.names import EARLY_EXIT, SOURCES

COLDEST, HOTTEST = 1e-2, 1e2  # temperatures
FEWEST = 50  # videos from which temperatures are taken for granted
THRESHOLDS = 100  # that are tried: so many quantiles of the confidences on the validation split


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature, COLDEST..HOTTEST, at which softmax(logits / it) gives the labels the largest likelihood.

    The loss is convex in the inverse temperature; its slope is zero where the mean logit, weighted by the softmax,
    equals the true class's. Found by bisection.

    Args:
      logits: (n, k).
      labels: (n, k) of zeros and ones, one 1 in each row.
    """
    logits = logits.astype(np.float64)
    true = (logits * labels).sum(axis=1).mean()
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(50):
        middle = (low + high) / 2
        weights = metrics.probabilities(logits * np.exp(middle), multi_label=False)
        low, high = (low, middle) if (weights * logits).sum(axis=1).mean() > true else (middle, high)
    return float(np.exp(-(low + high) / 2))


def fit(arrays: Arrays, tolerance: float) -> Sure:
    """Temperatures, and the threshold with the smallest mean number of looks that costs no more than the tolerance.

    Args:
      arrays: predictions for held-out videos.
      tolerance: how much lower than with all looks top-1 may be, on these videos, at it and every larger threshold.
    """
    sures = [chosen(calibrated(arrays, source), arrays, tolerance) for source in SOURCES if source in arrays]
    return min(sures, key=lambda sure: sure.looks(arrays).mean())


def calibrated(arrays: Arrays, source: str) -> Sure:
    """Temperatures from held-out videos, and a threshold that nothing exceeds."""
    each = [temperature(logits, arrays["labels"]) for logits in np.swapaxes(arrays[source], 0, 1)]
    return Sure(source, tuple(each), 1.0)


def chosen(sure: Sure, arrays: Arrays, tolerance: float) -> Sure:
    """With the threshold that `fit` describes."""
    for threshold in thresholds(sure, arrays)[::-1]:
        bolder = dataclasses.replace(sure, threshold=threshold)
        if difference(bolder, arrays)[0] < -tolerance:
            break
        sure = bolder
    return sure


def thresholds(sure: Sure, arrays: Arrays) -> list[float]:
    """The thresholds to try, rising."""
    return np.unique(np.quantile(sure.confidence(arrays), np.linspace(0, 1, THRESHOLDS))).tolist()


def right(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the best class is a true one, bool (n,)."""
    return np.take_along_axis(labels, logits.argmax(axis=1)[:, None], axis=1)[:, 0] > 0


def difference(sure: Sure, arrays: Arrays) -> tuple[float, float, float]:
    """Top-1 when stopping minus top-1 with all looks, over the same videos, and its 95 % interval."""
    labels = arrays["labels"]
    return metrics.paired_difference(right(sure.logits(arrays), labels), right(arrays["logits"], labels))


def splits_of(run: run_folder.Run, val: str | None, test: str | None) -> tuple[str, str]:
    """The split to fit on and the one to measure: those that are asked for, else the run's own.

    Raises:
      ValueError: the run has none to fit on, or they are the same.
    """
    val, test = val or run.config["data"]["val"], test or run.config["data"]["test"]
    if not val:
        raise ValueError(f"{run.path} was trained without a validation split: name one to fit on, --val=SPLIT")
    if val == test:
        raise ValueError(
            f"{run.path} would be fitted and measured on the same split, {val!r}: name two of its features, "
            "--val=SPLIT --test=SPLIT, or prepare its videos with a split of each"
        )
    return val, test


def find(
    run: run_folder.Run, data: str, recognition: str, val: str | None, test: str | None, tolerance: float
) -> dict[str, Any]:
    """Fits on one split, measures on another; what RUN/sure.json holds. `val` and `test` as in `splits_of`.

    Raises:
      RunError, ShardError, ValueError: not a skimmer of one label a video, or shards or splits that do not fit it.
    """
    from l2l.evaluate import evaluation, measure_early_exit  # they need TensorFlow, which `infer` does without

    if run.config["model"]["name"] not in ("skimmer", "glance") or run.config["multi_label"]:
        raise ValueError(f"{run.path} is no skimmer that gives a video one label: it cannot be sure of one")
    val, test = splits_of(run, val, test)
    source = evaluation.open_for(run, data, recognition)
    held, arrays = (evaluation.predictions(run, source, split) for split in (val, test))
    sure = fit(held, tolerance)
    tried = [dataclasses.replace(sure, threshold=threshold) for threshold in thresholds(sure, held)]
    gmacs = measure_early_exit.gmacs_of(run, arrays)
    facts: dict[str, Any] = {"run": run.hash, "data": source.index.hash, "labels": source.index.label_hash}
    facts |= {"config": run.config, "versions": provenance.versions()}
    fitted = {"split": val} | measure_early_exit.whole(sure, held, measure_early_exit.gmacs_of(run, held))
    measured = {"split": test} | measure_early_exit.whole(sure, arrays, gmacs)
    sure = dataclasses.replace(sure, calibrates=not doubts(fitted, measured))
    return dataclasses.asdict(sure) | {
        "tolerance": tolerance,
        **facts,
        "val": fitted,
        "test": measured,
        "curve": [measure_early_exit.outcome(each, arrays, gmacs) for each in tried],
        "fixed": measure_early_exit.fixed(arrays, gmacs),
    }


def doubts(val: dict[str, Any], test: dict[str, Any]) -> list[str]:
    """Why scores do not count as calibrated, by what was measured on both splits; [] if they do."""
    found = []
    if val["examples"] < FEWEST:
        found.append(f"{val['split']} has {val['examples']} videos to fit on, {FEWEST} are needed")
    if test["error_after"] >= test["error_before"]:
        found.append(f"the calibration error of {test['split']} does not fall")
    return found


def told(found: dict[str, Any]) -> str:
    """A few lines for a person."""
    val, test, every = found["val"], found["test"], found["fixed"][-1]
    percent = {key: f"{100 * test[key]:.1f} %" for key in ("top1", "error_before", "error_after")}
    points = {key: f"{100 * test[key]:+.2f}" for key in ("difference", "low", "high")}
    why = "; ".join(doubts(val, test))
    doubt = f"\nscores stay uncalibrated ({why}); --stop_when_sure works, with the difference above" if why else ""
    return (
        f"{test['examples']} videos of {test['split']}: top-1 {percent['top1']} after {test['looks']:.1f} looks and "
        f"{test['gmacs']:.3f} GMACs on average, {100 * every['top1']:.1f} % after {every['looks']:.1f} looks and "
        f"{every['gmacs']:.3f}\n"
        f"difference {points['difference']} points, 95 % interval {points['low']} to {points['high']}\n"
        f"stops at a confidence above {found['threshold']:.3f} ({found['source']}, from {val['examples']} videos of "
        f"{val['split']}); calibration error {percent['error_before']}, with temperatures {percent['error_after']}"
        f"{doubt}"
    )


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog=command.program("l2l.sure"), description=__doc__.splitlines()[0])
    add = result.add_argument
    add("run", help="folder of a finished skim run")
    add("--data", required=True, help="directory of its feature shards")
    add("--recognition", default="", help="features that recognise (default: those it has used)")
    add("--val", help="split to fit on (default: the run's validation split)")
    add("--test", help="split to measure (default: the one that the run reports)")
    share = command.number(float, 0, 1)
    add("--tolerance", type=share, default=0.005, help="what top-1 may lose on --val, 0..1 (default: %(default)s)")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    return command.status(lambda: fit_run(args))


def fit_run(args: argparse.Namespace) -> None:
    """Fits the rule, writes it into the run folder, and says what it is."""
    run = run_folder.load_run(args.run)
    found = find(run, args.data, args.recognition, args.val, args.test, args.tolerance)
    atomic.write_json(Path(args.run) / EARLY_EXIT, found)
    print(told(found))
