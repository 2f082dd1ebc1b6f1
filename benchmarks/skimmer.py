"""The full-size skimmer: train steps and evaluations per second, beside the released code on the same CPU.

    python -m benchmarks.skimmer --json [--official=DIR --peer_python=EXE]

Batches of 64 and 256 videos of 300 positions, T = 10, soft selection as released, random features; medians of rounds
that take turns. DIR is a checkout of the released code, EXE a Python with torch; without them there is no ratio.
"""

import argparse
import functools
from collections.abc import Callable

import jax
import numpy as np

from benchmarks import rounds, trainstep
from l2l.core import sharding
from l2l.runs.config import load_config, plain
from l2l.tasks import from_config

BATCHES, POSITIONS, CLASSES = (64, 256), 300, 200


def videos(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    banks = {m: rng.normal(size=(count, POSITIONS, 512)).astype(np.float16) for m in ("image", "audio")}
    labels = np.eye(CLASSES, dtype=np.float32)[np.arange(count) % CLASSES]
    valid = np.ones((count, POSITIONS), bool)
    return banks | {"labels": labels, "valid": valid, "mask": np.ones(count, bool), "example": np.arange(count)}


def ours() -> tuple[dict[str, Callable[[], float]], Callable[[], int]]:
    """Calls that train on and evaluate a batch; seconds. And how many programs the train step has become."""
    mesh = sharding.make_mesh((-1, 1))
    config = load_config("configs/skim.py:activitynet")
    student = plain(load_config("configs/finetune.py:activitynet"))
    task = from_config.skim_task(plain(config), CLASSES, student)
    heads = np.zeros((1, 512), np.float32)
    frozen = {"fusion": task.model.fusion.init(jax.random.key(1), heads, heads)["params"]}
    frozen["classifier"] = {"kernel": np.zeros((512, CLASSES), np.float32), "bias": np.zeros(CLASSES, np.float32)}
    soft = jax.jit(lambda variables, batch: task.model.apply(variables, *task.inputs(batch, frozen), train=False)[0])
    calls: dict[str, Callable[[], float]] = {}
    programs = []
    for size in BATCHES:
        batch = videos(size)
        variables = jax.jit(task.init)(jax.random.key(0), batch, frozen)
        step = trainstep.of(task, config, variables, frozen, batch, mesh)
        device = sharding.put_batch(mesh, batch)
        answer = lambda v=variables, d=device: jax.block_until_ready(soft(v, d))
        calls |= {f"train_{size}": rounds.timed(step), f"evaluate_{size}": rounds.timed(answer)}
        programs.append(step.program)
    return calls, lambda: sum(program._cache_size() for program in programs)


def parser() -> argparse.ArgumentParser:
    result = rounds.parser("skimmer", __doc__)
    result.add_argument("--official", metavar="DIR", help="checkout of the released code")
    result.add_argument("--peer_python", metavar="EXE", help="a Python with torch")
    return result


def main() -> None:
    args = parser().parse_args()
    calls, programs = ours()
    names = list(calls)
    with_peer = bool(args.official and args.peer_python)
    if with_peer:
        numbers = {"official": args.official, "positions": POSITIONS, "steps": 10, "batches": BATCHES}
        peer = rounds.Peer(args.peer_python, "official_skimmer.py", **numbers)
        calls |= {f"peer_{name}": functools.partial(peer, name.replace("_", " ")) for name in names}
    taken = rounds.medians(calls, args.rounds)
    found = {f"{name}_videos_per_s": int(name.rsplit("_", 1)[1]) / seconds for name, seconds in taken.items()}
    if with_peer:
        peer.close()
        found |= {f"{name}_ratio": taken[f"peer_{name}"] / taken[name] for name in names}
    found |= {"train_programs": programs(), "lengths": len(BATCHES)}
    rounds.show(found, as_json=args.json)


if __name__ == "__main__":
    main()
