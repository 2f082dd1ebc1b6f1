"""The built-in sample: audio-visual actions, rendered procedurally and written as real H.264 + AAC mp4
files.

    python -m data_prep.sample --out=data/sample --parts=source,trimmed,untrimmed --workers=2 --seed=0

`data_prep/sample/render.py` says what the classes are and which modality tells which. All parts share
them. The demo needs three:

- source: trimmed clips of about a second (trains the teacher, feeds distillation);
- trimmed: the same from a mildly different domain, with few labels (fine-tuning);
- untrimmed: videos of 20-60 s of that domain with 10-30 % action (`data_prep/sample/timeline.py`).

The experiments need more:

- untrimmed_large: more such videos, for what must be told to a percentage point;
- untrimmed_large_clips: the same videos, clips of 8 frames instead of one, which the teacher can see;
- untrimmed_pairs: videos with two actions of two classes and both labels;
- far_clips, far: trimmed clips and untrimmed videos of small, far-away actions among look-alikes, in larger pictures.

Below --out lie the videos in `videos/<part>/<split>/` and the shards in `<part>/`. Beside the shards of the
untrimmed parts lies, for evaluation only, `actions.json` ({video id: [[start, stop], ...]} in seconds). The
same seed gives the same pictures and sound. A second call makes what is missing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import av

from l2l.core import command, distribution

from ..datasets.rows import PrepareError
from ..shards import pool
from .parts import DEMO, PARTS
from .write import make_part


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog=command.program("data_prep.sample"), description="Makes the built-in sample.")
    result.add_argument("--out", type=Path, default=Path("data/sample"), help="directory to write to")
    result.add_argument("--parts", default=",".join(DEMO), help="comma-separated: " + ", ".join(PARTS))
    result.add_argument("--workers", type=command.number(int, 1, pool.MOST), default=2, help="processes")
    result.add_argument("--seed", type=command.number(int, 0), default=0)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    flags = parser().parse_args(arguments)
    parts = flags.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser().error(f"--parts: unknown part {unknown[0]!r}; there are {', '.join(PARTS)}")
    distribution.demand("tensorflow")  # it writes the shards, after a minute of drawing

    def make() -> None:
        for part in parts:
            try:
                new = make_part(part, flags.out, seed=flags.seed, workers=flags.workers)
            except av.FFmpegError as error:
                raise PrepareError(f"{part}: {error}") from error
            print(f"{flags.out / part}: {'made' if new else 'there already, left alone'}")

    return command.status(make, interrupted="interrupted; the same command goes on from here")


if __name__ == "__main__":
    command.run(main)
