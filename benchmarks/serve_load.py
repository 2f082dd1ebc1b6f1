"""How long videos take at a service, alone and beside clients that send what is damaged, odd or made to do harm.

    python -m benchmarks.serve_load --json

Ten clients send short films of five codecs one after the other; in every second round ten others send something else.
The model is small and has made-up weights, so that what is measured is the service. The rounds share the seconds.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import rounds
from tests.helpers import serve_load, untrained
from tests.helpers.served import Client, serving

WARM = 20.0  # seconds in which programs are compiled for all that comes
DAMAGED = 100  # films that have faults


def measured(client: Client, folder: Path, seconds: float, count: int) -> dict[str, Any]:
    """Seconds of the videos in both kinds of rounds, and bytes of the service and its decoders before and after."""
    films, acts = serve_load.films(folder), serve_load.acts(folder, DAMAGED)
    serve_load.run(client, films, acts, WARM)
    before = serve_load.memory(client)
    found = [[serve_load.run(client, films, bad, seconds / count) for bad in ([], acts)] for _ in range(count)]
    alone, beside = zip(*found, strict=True)
    told = {"others": sum(each.bad.total() for each in beside)}
    told |= {"refused_videos": sum(video.status != 200 for each in (*alone, *beside) for video in each.good)}
    told |= {"before_mb": before / 1e6, "after_mb": serve_load.memory(client) / 1e6}
    return figures("alone", alone) | figures("beside", beside) | told


def figures(name: str, answers: Sequence[serve_load.Answers]) -> dict[str, Any]:
    taken = [video.seconds for each in answers for video in each.good]
    median, slow = np.percentile(taken, (50, 95)).tolist()
    return {f"{name}_videos": len(taken), f"{name}_median_s": median, f"{name}_p95_s": slow}


def parser() -> argparse.ArgumentParser:
    result = rounds.parser("serve_load", __doc__)
    result.add_argument("--seconds", type=float, default=60, help="of both kinds of rounds (default: %(default)s)")
    return result


def main() -> None:
    args = parser().parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "films").mkdir()
        run = untrained.skim_run(folder / "run")
        flags = (f"--run={run}", f"--root={folder / 'films'}", "--megabytes=4", f"--decoders={os.cpu_count()}")
        with serving(*flags) as client:
            found = measured(client, folder, args.seconds, args.rounds)
    rounds.show(found, as_json=args.json)


if __name__ == "__main__":
    main()
