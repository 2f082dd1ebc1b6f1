"""Examples per second from shards to the device: whole clips of 16 frames, and image-audio pairs (one frame, 1 s).

    python -m benchmarks.loader --json

Shards of the default clip policy (128 x 171 pixels, JPEG quality 90) go through interleave, shuffle, parallel decode,
random crop and mirror, batching and the prefetch thread onto the device, as in training, with nothing that computes on
it; once without the random zoom and once with it (`data.scale`). Medians of rounds that take turns.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax

from benchmarks import rounds
from benchmarks.shards import write_clips
from l2l import sharding
from l2l.ahead import Ahead
from l2l.data import loader
from l2l.data.source import open_clips

CLIPS, FRAMES, SHARDS, BATCH = 512, 16, 8, 32
KINDS = {"clips": (FRAMES, 20), "pairs": (1, 100)}  # frames read, batches a round
SCALES = {"": 1.0, "_zoomed": 0.8}


def reading(directory: Path, frames: int, scale: float, batches: int) -> Callable[[], None]:
    """A call that reads so many batches of an endless stream onto the device; the first ones are behind it."""
    mesh = sharding.make_mesh((-1, 1))
    source = open_clips(str(directory), frames=frames, crop=112, resize=128, scale=scale, flip=True)

    def read() -> None:
        rows = source.train("train", batch=BATCH, streams=SHARDS, seed=0, first_step=0, shuffle=64)
        ahead = Ahead((sharding.put_batch(mesh, batch) for batch in rows), loader.PREFETCH)
        for batch in itertools.islice(ahead, batches):
            jax.block_until_ready(batch)
        ahead.close()

    return read


def main() -> None:
    args = rounds.parser("loader", __doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder, "clips")
        write_clips(where, clips=CLIPS, frames=FRAMES, shards=SHARDS)
        cases = {f"{kind}{name}": (*KINDS[kind], scale) for kind in KINDS for name, scale in SCALES.items()}
        calls = {
            name: rounds.timed(reading(where, frames, scale, count)) for name, (frames, count, scale) in cases.items()
        }
        taken = rounds.medians(calls, args.rounds)
    found = {f"{name}_per_s": BATCH * cases[name][1] / seconds for name, seconds in taken.items()}
    rounds.show(found | {"batch": BATCH, "frames": FRAMES}, as_json=args.json)


if __name__ == "__main__":
    main()
