"""Full-size R(2+1)D-18: clips per second forward and per train step, beside torchvision's where it is installed.

    python -m benchmarks.teacher --json [--peer_python=EXE]

Clips of 16 frames of 112 pixels, batches of 2, random weights, compiled and warm; medians of rounds that take turns.
EXE is a Python with torch and torchvision; without one there is no ratio.
"""

import argparse
import functools
from collections.abc import Callable

import jax
import numpy as np

from benchmarks import rounds, trainstep
from benchmarks.student import clips
from l2l.core import sharding
from l2l.evaluate import predict
from l2l.runs.config import load_config, plain
from l2l.tasks import from_config

BATCH = 2


def ours() -> dict[str, Callable[[], float]]:
    """Calls that do a forward pass and a train step of one batch; seconds."""
    mesh = sharding.make_mesh((-1, 1))
    config = load_config("configs/teacher.py:kinetics400")
    task = from_config.clip_task(plain(config), 400)
    batch = clips(BATCH) | {"labels": np.eye(400, dtype=np.float32)[:BATCH], "mask": np.ones(BATCH, bool)}
    variables = jax.jit(task.init)(jax.random.key(0), batch, {})
    program, device = predict.jit_predict(task, mesh), sharding.put_batch(mesh, batch)
    forward = lambda: jax.block_until_ready(program(variables, {}, device))
    step = trainstep.of(task, config, variables, {}, batch, mesh)
    return {"forward": rounds.timed(forward), "train": rounds.timed(step)}


def parser() -> argparse.ArgumentParser:
    result = rounds.parser("teacher", __doc__)
    result.add_argument("--peer_python", metavar="EXE", help="a Python with torch and torchvision")
    return result


def main() -> None:
    args = parser().parse_args()
    calls = ours()
    if args.peer_python:
        peer = rounds.Peer(args.peer_python, "torchvision_teacher.py", batch=BATCH)
        calls |= {f"peer_{what}": functools.partial(peer, what) for what in ("forward", "train")}
    taken = rounds.medians(calls, args.rounds)
    found = {f"{name}_clips_per_s": BATCH / seconds for name, seconds in taken.items()}
    if args.peer_python:
        peer.close()
        found |= {f"{what}_ratio": taken[f"peer_{what}"] / taken[what] for what in ("forward", "train")}
    rounds.show(found, as_json=args.json)


if __name__ == "__main__":
    main()
