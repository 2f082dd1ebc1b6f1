"""Clips per second of the full-size student beside the full-size teacher, in one run, with random weights.

    python -m benchmarks.student --json

Both predict the same clips (16 frames of 112 pixels, 1 s of sound) with the code that evaluation uses, compiled and
warm; the figure is the median of several rounds, teacher and student taking turns.
"""

import argparse
import json
import statistics
import time
from typing import Any

import jax
import numpy as np

from l2l import build, costs, inputs, predict, sharding

BATCH = {"teacher": 2, "student": 16}


def clips(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, 16, 112, 112, 3), dtype=np.uint8)
    return {"frames": frames, "audio": rng.integers(-3000, 3000, (count, 16_000), dtype=np.int16)}


def model(stage: str, name: str, mesh: jax.sharding.Mesh) -> Any:
    """A function without arguments that predicts a batch of the model's and waits for the answer."""
    task = build.clip_task(inputs.plain(inputs.load_config(f"configs/{stage}.py:kinetics400")), 400)
    batch = clips(BATCH[name])
    variables = jax.jit(task.init)(jax.random.key(0), batch, {})
    program = predict.jit_predict(task, mesh)
    device = sharding.put_batch(mesh, batch)
    return lambda: jax.block_until_ready(program(variables, {}, device))


def seconds(call: Any) -> float:
    since = time.perf_counter()
    call()
    return time.perf_counter() - since


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.student", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: %(default)s)")
    args = parser.parse_args()
    mesh = sharding.make_mesh((-1, 1))
    calls = {"teacher": model("teacher", "teacher", mesh), "student": model("distill", "student", mesh)}
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(args.rounds):
        for name, call in calls.items():
            taken[name].append(seconds(call))
    rate = {name: BATCH[name] / statistics.median(values) for name, values in taken.items()}
    macs = costs.r2plus1d_macs(16, 112) / costs.student_macs(112)
    found = {f"{name}_clips_per_s": round(value, 3) for name, value in rate.items()}
    found |= {"speed_ratio": round(rate["student"] / rate["teacher"], 1), "mac_ratio": round(macs, 1)}
    print(json.dumps(found) if args.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
