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
from l2l.evaluate import macs as costs
from l2l.evaluate import predict
from l2l.runs import config
from l2l.tasks import from_config

BATCH = {"teacher": 2, "student": 16}


def clips(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, 16, 112, 112, 3), dtype=np.uint8)
    return {"frames": frames, "audio": rng.integers(-3000, 3000, (count, 16_000), dtype=np.int16)}


def model(stage: str, name: str, mesh: jax.sharding.Mesh) -> Any:
    """A function without arguments that predicts a batch of the model's and waits for the answer."""
    task = from_config.clip_task(config.plain(config.load_config(f"configs/{stage}.py:kinetics400")), 400)
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
    calls = {"teacher": model("teacher", "teacher", mesh), "student": model("distill", "student", mesh)}
    taken = rounds.medians({name: rounds.timed(call) for name, call in calls.items()}, args.rounds)
    rate = {name: BATCH[name] / seconds for name, seconds in taken.items()}
    found = {f"{name}_clips_per_s": value for name, value in rate.items()}
    macs = costs.r2plus1d_macs(16, 112) / costs.student_macs(112)
    rounds.show(found | {"speed_ratio": rate["student"] / rate["teacher"], "mac_ratio": macs}, as_json=args.json)


if __name__ == "__main__":
    main()
