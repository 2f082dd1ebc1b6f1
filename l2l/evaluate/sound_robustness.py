"""What becomes of a skimmer when a film's sound is not what it was: muted, faint noise, another film's, music.

    python -m l2l.sound_trials RUN [--data=DIR] [--split=test]

RUN is a finished skim run, DIR its feature shards, whose sound is changed in each of these ways. Writes
RUN/sound_trials.json: top-1 with hard selection, and of positions at equal distances, recognised with the same sound. A
track on which there is nothing counts as none (`preprocess.silent`), so that such films are among the muted ones.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from l2l.core import atomic, command, sharding
from l2l.data import schema
from l2l.data.batching import Batch
from l2l.evaluate import metrics
from l2l.evaluate.evaluation import evaluate, open_for
from l2l.evaluate.predict import jit_predict, predictor
from l2l.models.backbones.frontend import RATE
from l2l.runs import run_folder
from l2l.runs.names import SOUND_TRIALS
from l2l.runs.run_folder import student_of
from l2l.tasks import from_config

SECONDS = 8  # of noise and of music, which begin anew after these
HISS = 100.0  # standard deviation of the noise: -50 dB
CHORDS = (0, 5, 7, 0, 9, 5, 7, 12)  # semitones above a low A, a second each

Change = Callable[[Batch], Batch]


@dataclasses.dataclass(frozen=True)
class Changed:
    """Shards whose batches are changed as they are read."""

    source: Any
    change: Change

    def eval(self, split: str, *, batch: int) -> Iterator[Batch]:
        return map(self.change, self.source.eval(split, batch=batch))

    @property
    def index(self) -> schema.Index:
        return self.source.index


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


def played(descriptors: np.ndarray) -> Change:
    """The same sound in every video: its audio descriptors (m, d) over and over, one a position."""

    def change(batch: Batch) -> Batch:
        everywhere = descriptors[np.arange(batch["valid"].shape[1]) % len(descriptors)]
        audio = np.where(batch["valid"][..., None], everywhere, 0).astype(np.float16)
        return batch | {"audio": audio, "has_audio": batch["mask"].copy()}

    return change


def hiss() -> np.ndarray:
    """Faint white noise, int16 (n,)."""
    return np.random.default_rng(0).normal(0, HISS, SECONDS * RATE).round().astype(np.int16)


def music() -> np.ndarray:
    """Plucked major chords, two a second, int16 (n,)."""
    time = np.arange(SECONDS * RATE) / RATE
    root = 110 * 2 ** (np.repeat(CHORDS, RATE) / 12)  # Hz
    tones = [np.sin(2 * np.pi * h * root * 2 ** (step / 12) * time) / h for step in (0, 4, 7, 12) for h in (1, 2, 3)]
    return (2500 * np.sum(tones, 0) * np.exp(-6 * (time % 0.5))).round().astype(np.int16)


def described(run: run_folder.Run, wave: np.ndarray) -> np.ndarray:
    """The student's audio descriptors (m, d) of the seconds of a sound, int16 (m * 16000,)."""
    student = student_of(run)
    task, variables, frozen = predictor(student)
    seconds, size = wave.reshape(-1, RATE), student.config["data"]["crop"]
    frames = np.zeros((len(seconds), from_config.frames_of(student.config), size, size, 3), np.uint8)
    return np.asarray(task.predict(variables, frozen, {"frames": frames, "audio": seconds})["audio"])


def changes_of(run: run_folder.Run) -> dict[str, Change]:
    """Every trial by name."""
    sounds = {name: played(described(run, sound())) for name, sound in (("hiss", hiss), ("music", music))}
    plain: dict[str, Change] = {"as it is": dict, "muted": muted, "swapped": swapped}
    return plain | sounds


def trials(run: run_folder.Run, source: Any, split: str) -> dict[str, dict[str, float]]:
    """{trial: {"hard": top-1, "uniform": top-1}}."""
    task, variables, frozen = predictor(run)
    mesh = sharding.make_mesh((-1, 1))
    program, batch = jit_predict(task, mesh), run.config["data"]["eval_batch"]
    found = {}
    for name, change in changes_of(run).items():
        arrays = evaluate(program, variables, frozen, Changed(source, change), split, batch=batch, mesh=mesh)
        top1 = lambda key, arrays=arrays: metrics.top_k(arrays[key].astype(np.float32), arrays["labels"], 1)
        found[name] = {"hard": top1("logits"), "uniform": top1("logits_uniform")}
    return found


def write(path: str, data: str | None, split: str | None) -> str:
    """Tries a finished skim run, writes its file, and says what is in it; raises as `evaluate.evaluate_run`."""
    run = run_folder.load_run(path)
    source, split = open_for(run, data or run.config["data"]["dir"], ""), split or run.config["data"]["test"]
    found = {"trials": trials(run, source, split)}
    atomic.write_json(run.path / SOUND_TRIALS, {"run": run.hash, "data": source.index.hash, "split": split} | found)
    return json.dumps(found["trials"])


def parser() -> argparse.ArgumentParser:
    what, _, more = __doc__.partition("\n")
    how = argparse.RawDescriptionHelpFormatter
    result = argparse.ArgumentParser(
        prog=command.program("l2l.sound_trials"), description=what, epilog=more, formatter_class=how
    )
    result.add_argument("run", metavar="RUN", help="folder of a finished skim run")
    result.add_argument("--data", help="directory of features (default: those that it was trained on)")
    result.add_argument("--split", help="which split (default: the one that the run reports)")
    return result


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return command.status(lambda: print(write(args.run, args.data, args.split)))
