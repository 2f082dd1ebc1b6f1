"""Examples per second from shards to the device: whole clips of 16 frames, and image-audio pairs (one frame, 1 s).

    python -m benchmarks.loader --json

Shards of the default clip policy (128 x 171 pixels, JPEG quality 90) go through interleave, shuffle, parallel decode,
random crop and mirror, batching and the prefetch thread onto the device, as in training, with nothing that computes on
it; once without the random zoom and once with it (`data.scale`). Of every round the rate of the stream while it runs,
what was read ahead not counted, and beside it the seconds until its first batch. Medians of rounds that take turns.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import jax

from benchmarks import rounds
from benchmarks.shards import write_clips
from l2l.core import sharding
from l2l.core.prefetch import Ahead
from l2l.data import loader
from l2l.data.dataset import open_clips
from l2l.data.order import streams_of

CLIPS, FRAMES, SHARDS, BATCH = 512, 16, 8, 32
KINDS = {"clips": (FRAMES, 20), "pairs": (1, 100)}  # frames read, batches a round
SHUFFLE = 512
AHEAD = 6  # batches that may have been read when the first one comes
SCALES = {"": 1.0, "_zoomed": 0.8}


class Reading:
    """A call that opens an endless stream and returns the seconds of so many of its batches, in the midst of it.

    Attributes:
      first: seconds until the first batch of each call.
    """

    def __init__(self, directory: Path, frames: int, scale: float, batches: int):
        self._source = open_clips(str(directory), frames=frames, crop=112, resize=128, scale=scale, flip=True)
        self._mesh, self._batches = sharding.make_mesh((-1, 1)), batches
        self.first: list[float] = []

    def __call__(self) -> float:
        begun = time.perf_counter()
        streams = streams_of(BATCH)
        rows = self._source.train(
            "train", draw="video", batch=BATCH, streams=streams, seed=0, first_step=0, shuffle=SHUFFLE
        )
        ahead = Ahead((sharding.put_batch(self._mesh, batch) for batch in rows), loader.PREFETCH)
        next(ahead)
        self.first.append(time.perf_counter() - begun)
        for _ in range(AHEAD):
            jax.block_until_ready(next(ahead))
        since = time.perf_counter()
        for batch in itertools.islice(ahead, self._batches):
            jax.block_until_ready(batch)
        taken = time.perf_counter() - since
        ahead.close()
        return taken


def parser() -> argparse.ArgumentParser:
    return rounds.parser("loader", __doc__)


def main() -> None:
    args = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder, "clips")
        write_clips(where, clips=CLIPS, frames=FRAMES, shards=SHARDS)
        cases = {f"{kind}{name}": (*KINDS[kind], scale) for kind in KINDS for name, scale in SCALES.items()}
        calls = {name: Reading(where, frames, scale, count) for name, (frames, count, scale) in cases.items()}
        taken = rounds.medians(calls, args.rounds)
    found = {f"{name}_per_s": BATCH * cases[name][1] / seconds for name, seconds in taken.items()}
    found |= {f"{name}_first_s": statistics.median(call.first) for name, call in calls.items()}
    rounds.show(found | {"batch": BATCH, "frames": FRAMES}, as_json=args.json)


if __name__ == "__main__":
    main()
