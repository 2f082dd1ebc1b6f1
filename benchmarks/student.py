"""Clips per second of the full-size student beside the full-size teacher, in one run, with random weights.

    python -m benchmarks.student --json

Both predict the same clips (16 frames of 112 pixels, 1 s of sound) with the code that evaluation uses, compiled and
warm; the figure is the median of several rounds, teacher and student taking turns.
"""

import argparse
from typing import Any

import jax
import numpy as np

from benchmarks import rounds
from l2l.core import sharding
from l2l.evaluate import model_macs, predict
from l2l.runs import config
from l2l.tasks import from_config

BATCH = {"teacher": 2, "student": 16}
STAGES = {"teacher": "teacher", "student": "distill"}
CLASSES = 400


def clips(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, 16, 112, 112, 3), dtype=np.uint8)
    return {"frames": frames, "audio": rng.integers(-3000, 3000, (count, 16_000), dtype=np.int16)}


def config_of(name: str) -> dict[str, Any]:
    return config.plain(config.load_config(f"configs/{STAGES[name]}.py:kinetics400"))


def model(name: str, mesh: jax.sharding.Mesh) -> Any:
    """A function without arguments that predicts a batch of the model's and waits for the answer."""
    task = from_config.clip_task(config_of(name), CLASSES)
    batch = clips(BATCH[name])
    variables = jax.jit(task.init)(jax.random.key(0), batch, {})
    program = predict.jit_predict(task, mesh)
    device = sharding.put_batch(mesh, batch)
    return lambda: jax.block_until_ready(program(variables, {}, device))


def parser() -> argparse.ArgumentParser:
    return rounds.parser("student", __doc__)


def main() -> None:
    args = parser().parse_args()
    mesh = sharding.make_mesh((-1, 1))
    calls = {name: model(name, mesh) for name in STAGES}
    taken = rounds.medians({name: rounds.timed(call) for name, call in calls.items()}, args.rounds)
    rate = {name: BATCH[name] / seconds for name, seconds in taken.items()}
    found = {f"{name}_clips_per_s": value for name, value in rate.items()}
    macs = {name: model_macs.clip_macs(config_of(name), CLASSES) for name in STAGES}
    found |= {"speed_ratio": rate["student"] / rate["teacher"], "mac_ratio": macs["teacher"] / macs["student"]}
    rounds.show(found, as_json=args.json)


if __name__ == "__main__":
    main()
