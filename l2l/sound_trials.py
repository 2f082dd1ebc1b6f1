"""What becomes of a skimmer when a film's sound is not what it was: muted, silent, or another film's.

    python -m l2l.sound_trials RUN [--data=DIR] [--split=test]

RUN is a finished skim run, DIR its feature shards, whose sound is changed in each of these ways. Prints top-1 as JSON:
with hard selection, and of positions at equal distances, which are judged with the same sound.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from l2l import build, metrics, runs, sharding
from l2l.data.batches import Batch
from l2l.evaluate import evaluate, open_for
from l2l.log import tell
from l2l.predict import jit_predict, predictor
from l2l.run_programs import student_of

Change = Callable[[Batch], Batch]


@dataclasses.dataclass(frozen=True)
class Changed:
    """Shards whose batches are changed as they are read."""

    source: Any
    change: Change

    def eval(self, split: str, *, batch: int) -> Iterator[Batch]:
        return map(self.change, self.source.eval(split, batch=batch))

    def batches(self, split: str, *, batch: int) -> int | None:
        return self.source.batches(split, batch=batch)


def muted(batch: Batch) -> Batch:
    """No sound track."""
    return batch | {"audio": np.zeros_like(batch["audio"]), "has_audio": np.zeros_like(batch["has_audio"])}


def swapped(batch: Batch) -> Batch:
    """Each video has the sound of the one before it in the batch, over and over; the first that of the last."""
    audio, real = np.zeros_like(batch["audio"]), int(batch["mask"].sum())
    donors = (np.arange(real) - 1) % real
    lengths = batch["valid"].sum(1)
    for i, donor in enumerate(donors):
        audio[i, : lengths[i]] = batch["audio"][donor, np.arange(lengths[i]) % lengths[donor]]
    has_audio = batch["has_audio"].copy()
    has_audio[:real] = has_audio[donors]
    return batch | {"audio": audio, "has_audio": has_audio}


def silent(descriptor: np.ndarray) -> Change:
    """A sound track on which there is nothing; `descriptor` (d,) is what the student makes of that."""
    return lambda batch: (
        batch
        | {
            "audio": np.where(batch["valid"][..., None], descriptor, np.float16(0)).astype(np.float16),
            "has_audio": batch["mask"].copy(),
        }
    )


def silence(run: runs.Run) -> np.ndarray:
    """The student's audio descriptor of a second of nothing, (d,)."""
    student = student_of(run)
    task, variables, frozen = predictor(student)
    size = student.config["data"]["crop"]
    frames = np.zeros((1, build.frames_of(student.config), size, size, 3), np.uint8)
    return np.asarray(
        task.predict(variables, frozen, {"frames": frames, "audio": np.zeros((1, 16_000), np.int16)})["audio"][0]
    )


def trials(path: str, data: str | None, split: str | None) -> dict[str, Any]:
    """{trial: {"hard": top-1, "uniform": top-1}}; raises as `evaluate.evaluate_run`."""
    run = runs.load_run(path)
    source = open_for(run, data or run.config["data"]["dir"], "")
    task, variables, frozen = predictor(run)
    mesh = sharding.make_mesh((-1, 1))
    program, batch = jit_predict(task, mesh), run.config["data"]["eval_batch"]
    changes = {"as it is": dict, "muted": muted, "silent": silent(silence(run)), "swapped": swapped}
    found = {}
    for name, change in changes.items():
        own = Changed(source, change)
        arrays = evaluate(program, variables, frozen, own, split or run.config["data"]["test"], batch=batch, mesh=mesh)
        top1 = lambda key, arrays=arrays: metrics.top_k(arrays[key].astype(np.float32), arrays["labels"], 1)
        found[name] = {"hard": top1("logits"), "uniform": top1("logits_uniform")}
    return found


def main(argv: list[str] | None = None) -> int:
    what, _, more = __doc__.partition("\n")
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m l2l.sound_trials", description=what, epilog=more, formatter_class=how
    )
    parser.add_argument("run", metavar="RUN", help="folder of a finished skim run")
    parser.add_argument("--data", help="directory of features (default: those that it was trained on)")
    parser.add_argument("--split", help="which split (default: the one that the run reports)")
    args = parser.parse_args(argv)
    return tell(lambda: json.dumps(trials(args.run, args.data, args.split)))


if __name__ == "__main__":
    sys.exit(main())
