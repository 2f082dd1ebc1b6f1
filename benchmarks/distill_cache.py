"""Seconds of an epoch of full-size distillation, uncached beside with the teacher's answers cached, random weights.

    python -m benchmarks.distill_cache --json

Clips go through shards, loader, prefetch and the train step of a real run; compilation and the one time that the
teacher is asked are left out. The figure is the median of several epochs, both ways taking turns.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.shards import LABELS, write_clips
from l2l.core import sharding
from l2l.core.prefetch import Ahead
from l2l.data import loader
from l2l.runs import dependencies, run_folder
from l2l.runs.config import load_config, plain
from l2l.tasks import from_config
from l2l.train import setup
from l2l.train.step import make_step

CLIPS, BATCH, SHARDS, FRAMES = 32, 8, 2, 16


def write_teacher(out: Path) -> None:
    """A finished run of the full-size teacher with random weights."""
    config = plain(load_config("configs/teacher.py:kinetics400"))
    side = config["data"]["crop"]
    frames = np.zeros((1, FRAMES, side, side, 3), np.float32)
    variables = jax.jit(from_config.model_of(config, len(LABELS)).init, static_argnames="train")
    host = jax.device_get(variables(jax.random.key(0), frames, None, train=False))
    run_folder.start(out, {"config": config, "inputs": {}, "labels": LABELS, "policy": {}, "student": None})
    run_folder.finish(out, {"model": host}, {}, 0)


def epochs(where: Path, *, cached: bool) -> Callable[[], None]:
    """A function without arguments that trains an epoch and waits for its end; the first step is behind it."""
    config = load_config("configs/distill.py:kinetics400")
    config.init, config.teacher, config.cache_teacher = "", str(where / "teacher"), cached
    config.run, config.data.dir = str(where / f"cached_{cached}"), str(where / "clips")
    config.data.train = config.data.test = "train"
    config.data.batch = config.data.eval_batch = BATCH
    config.data.streams, config.data.shuffle = SHARDS, BATCH
    job = setup.prepare(config, dependencies.ensure(config))
    how: dict[str, Any] = {
        "draw": "clip",
        "batch": BATCH,
        "streams": SHARDS,
        "seed": 0,
        "first_step": 0,
        "shuffle": BATCH,
    }
    batches = Ahead((sharding.put_batch(job.mesh, x) for x in job.source.train("train", **how)), loader.PREFETCH)
    step, key = make_step(job.task, job.optimizer, job.mesh), jax.random.key(0)
    state: list[Any] = [setup.init_state(job)]

    def steps(count: int) -> None:
        for batch in itertools.islice(batches, count):
            state[0], _ = step(state[0], job.frozen, batch, key)
        jax.block_until_ready(state[0])

    steps(1)
    return lambda: steps(CLIPS // BATCH)


def seconds(call: Callable[[], None]) -> float:
    since = time.perf_counter()
    call()
    return time.perf_counter() - since


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m benchmarks.distill_cache", description=__doc__.splitlines()[0])
    result.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    result.add_argument("--rounds", type=int, default=5, help="measured epochs (default: %(default)s)")
    return result


def main() -> None:
    args = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        write_clips(where / "clips", clips=CLIPS, frames=FRAMES, shards=SHARDS)
        write_teacher(where / "teacher")
        calls = {name: epochs(where, cached=name == "cached") for name in ("uncached", "cached")}
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(args.rounds):
            for name, call in calls.items():
                taken[name].append(seconds(call))
    median = {name: statistics.median(values) for name, values in taken.items()}
    found = {f"{name}_epoch_s": round(value, 3) for name, value in median.items()}
    found |= {"clips": CLIPS, "batch": BATCH, "speed_ratio": round(median["uncached"] / median["cached"], 1)}
    print(json.dumps(found) if args.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
