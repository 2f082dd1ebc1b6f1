"""Fits a classifier to features whose network is not there: those of R(2+1)D-152 that the paper's authors released.

    python -m l2l.feature_classifier data/activitynet_r2plus1d152 --out=runs/activitynet_r2plus1d152

A skimmer starts from the classifier of the clip model that made its features, which also scores selections that do not
learn; none was released with these. This one is logistic regression on the mean feature of every training video, the
same at every call. The run folder holds it as the head of an R(2+1)D with bottlenecks whose feature is as wide, and the
directory's index then names that run. No video can be described by it: its network is not there.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from l2l.core import command
from l2l.data import schema
from l2l.runs import run_folder
from l2l.tasks import losses
from l2l.weights import published

if TYPE_CHECKING:
    from l2l.data.dataset import Source

STAGES = (3, 8, 36, 3)  # of R(2+1)D-152
PENALTY = 1e-3  # half of it times the squared weights of standardised features is added to the mean loss
STEPS = 300  # of L-BFGS, at most
LENGTHS = tuple(2**i for i in range(3, 14))  # positions that videos are padded to


def means(source: "Source", split: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean feature of every video of a split, float32 (n, d), and its labels (n, k)."""
    features, labels = zip(*_means(source, split), strict=True)
    return np.concatenate(features), np.concatenate(labels)


def _means(source: "Source", split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for batch in source.eval(split, batch=1):
        valid = batch["valid"][0]
        bank = np.concatenate([batch[m][0][valid] for m in ("image", "audio")], axis=-1)
        yield bank.astype(np.float32).mean(0)[None], batch["labels"]


def fit(features: np.ndarray, labels: np.ndarray, multi_label: bool) -> dict[str, np.ndarray]:
    """Kernel (d, k) and bias (k,) of the classifier of features (n, d) with labels (n, k)."""
    centre, scale = features.mean(0), features.std(0) + 1e-6
    inputs, targets = jnp.asarray((features - centre) / scale), jnp.asarray(labels)
    shape = (features.shape[1] + 1, labels.shape[1])

    @jax.jit
    @jax.value_and_grad
    def loss(flat: jax.Array) -> jax.Array:
        weights = flat.reshape(shape)
        each = losses.classification(inputs @ weights[:-1] + weights[-1], targets, multi_label)
        return jnp.mean(each) + PENALTY / 2 * jnp.sum(weights[:-1] ** 2)

    value = lambda flat: tuple(np.asarray(x, np.float64) for x in loss(jnp.asarray(flat, jnp.float32)))
    start = np.zeros(shape[0] * shape[1])
    found = scipy.optimize.minimize(value, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    weights = found.x.reshape(shape)
    kernel = weights[:-1] / scale[:, None]
    return {"kernel": kernel.astype(np.float32), "bias": (weights[-1] - centre @ kernel).astype(np.float32)}


def config_of(width: int, multi_label: bool) -> dict[str, Any]:
    """The config of the network whose features are so wide.

    Raises:
      ValueError: there is no such R(2+1)D.
    """
    first, rest = divmod(width, 4 * 2 ** (len(STAGES) - 1))
    if rest or not first:
        raise ValueError(f"features of {width} values are not those of an R(2+1)D-152, whose feature has 2048")
    model = {"name": "r2plus1d", "width": first, "stages": list(STAGES), "bottleneck": True}
    return published.config_of("teacher:kinetics400") | {"model": model, "multi_label": multi_label}


def make(directory: str, out: Path) -> str:
    """Makes the run, names it in the directory's index, and says how well it does on the other splits.

    Raises:
      ShardError: no finished features there.
      RunError: the directory names another run, or `out` holds one.
      ValueError: the features are not those of such a network.
    """
    from l2l.data.dataset import open_features  # needs TensorFlow

    source = open_features(directory, lengths=LENGTHS)
    index = source.index
    if index.policy["student"]:
        raise run_folder.RunError(
            f"{directory} was extracted with {index.policy['student']['path']}, which has a classifier"
        )
    config = config_of(sum(index.policy["widths"].values()), index.multi_label) | {"run": str(out)}
    head = fit(*means(source, "train"), index.multi_label)
    inputs = {"data": {"path": directory, "hash": index.hash}}
    record = {"config": config, "labels": list(index.labels), "policy": index.policy["clips"], "student": None}
    run_folder.start(out, record | {"inputs": inputs, "part": ["params/classifier/.*"]})
    made = run_folder.finish(out, {"model": {"params": {"classifier": head}, "batch_stats": {}}}, {}, 0)
    policy = index.policy | {"student": {"path": str(out), "hash": made}}
    schema.save_index(directory, dataclasses.replace(index, policy=policy))
    right = "".join(f", {split} top-1 {accuracy(source, split, head):.1f} %" for split in index.splits)
    return f"{out}: a classifier of {len(index.labels)} classes, by the mean feature{right}"


def accuracy(source: "Source", split: str, head: dict[str, np.ndarray]) -> float:
    """Percent of a split's videos whose best class, by the mean feature, is one of theirs."""
    features, labels = means(source, split)
    best = (features @ head["kernel"] + head["bias"]).argmax(-1)
    return 100 * float(labels[np.arange(len(best)), best].mean())


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("l2l.feature_classifier"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("directory", help="feature shards that data_prep.released_features wrote")
    result.add_argument("--out", required=True, type=Path, help="run folder to make")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    return command.status(lambda: print(make(args.directory, args.out)))


if __name__ == "__main__":
    command.run(main)
