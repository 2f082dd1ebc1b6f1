"""What looking at videos needs of a finished run: plain functions over numpy batches, compiled once per shape."""

import dataclasses
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from l2l import build, predict, runs, sharding
from l2l.data import schema
from l2l.data.video import crop_side
from l2l.models.student import modalities

CLIPS_AT_ONCE = 8  # on every device
VIDEOS_AT_ONCE = 8  # of one length, on every device

Arrays = dict[str, np.ndarray]
Macs = Callable[[int, int, int], dict[str, int]]


@dataclasses.dataclass(frozen=True)
class Programs:
    """A run's two networks and the constants around them; an exported artefact is read into the same.

    Attributes:
      labels: class names.
      policy: cuts the clips; a clip is a position.
      frames: how many images of a clip the clip model reads, from the first.
      side: of the squares that it reads, pixels; cut out of the middle of images of `policy.short_side`.
      modality: what the clip model takes in: "image", "audio" or "both".
      describe: {"frames": uint8 (b, frames, side, side, 3), "audio": int16 (b, 16000)} -> {"logits": float32 (b, k)
        and, where it has them, "image", "audio": (b, d)}. Safe to be called by several threads.
      clips_at_once: b of `describe`.
      skim: {"image", "audio": float16 (b, n, d), "valid": bool (b, n)} -> with hard selection
        {"step_logits": (b, T, k), "modality": (b, T, 2), "counted": (b, T), "looks": (b,), and for every modality that
        indexes "picked_<modality>": (b, T), "weights_<modality>": (b, T, n)}. None for a clip model. Likewise safe.
      videos_at_once: b of `skim` is 1 or this, times the number of devices.
      lengths: n that `skim` is compiled for; the largest one doubled for longer videos.
      macs: (positions that are described, steps, different positions looked at) -> multiply-adds by
        "indexing", "skimming" and "recognition".
      folder: of the run, where what belongs to it is looked up; None for an artefact.
    """

    labels: tuple[str, ...]
    policy: schema.ClipPolicy
    frames: int
    side: int
    modality: str
    describe: Callable[[Arrays], Arrays]
    clips_at_once: int
    skim: Callable[[Arrays], Arrays] | None
    videos_at_once: tuple[int, ...]
    lengths: tuple[int, ...]
    macs: Macs
    folder: Path | None = None


def of_run(run: runs.Run) -> Programs:
    """The programs of a finished run.

    Raises:
      ValueError: the run does not fit this code, or is a skimmer without the network that describes clips.
    """
    skims = run.config["task"] == "skim"
    clip_run, policy = student_of(run) if skims else run, schema.ClipPolicy(**run.policy)
    data, mesh = clip_run.config["data"], sharding.make_mesh((-1, 1))
    ways = mesh.shape["data"]
    return Programs(
        labels=run.labels,
        policy=policy,
        frames=build.frames_of(clip_run.config),
        side=crop_side(data["crop"], data["resize"], policy.short_side),
        modality=modality_of(clip_run.config),
        describe=compiled(*predict.predictor(clip_run), mesh),
        clips_at_once=CLIPS_AT_ONCE * ways,
        skim=compiled(*skimmer(run), mesh) if skims else None,
        videos_at_once=(ways, VIDEOS_AT_ONCE * ways),
        lengths=tuple(run.config["data"]["lengths"]) if skims else (),
        macs=macs_of(run),
        folder=run.path,
    )


def modality_of(config: dict[str, Any]) -> str:
    return config["model"]["modality"] if config["model"]["name"] == "student" else "image"


@dataclasses.dataclass(frozen=True)
class Hard:
    """A skim task that only does what looking needs: hard selection, without what it is compared with."""

    task: Any

    def predict(self, variables: Any, frozen: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """See `Programs.skim`."""
        _, out = self.task.model.apply(variables, *self.task.inputs(batch, frozen), train=False, hard=True)
        picks = {f"{what}_{m}": out[what][m] for what in ("picked", "weights") for m in out["picked"]}
        steps = picks | {key: out[key] for key in ("step_logits", "modality", "counted")}
        return {name: jax.numpy.swapaxes(x, 0, 1) for name, x in steps.items()} | {"looks": out["looks"]}


def skimmer(run: runs.Run) -> tuple[Hard, Any, Any]:
    """(task, variables, frozen) of a skimmer."""
    task, variables, frozen = predict.predictor(run)
    return Hard(task), variables, frozen


def compiled(task: Any, variables: Any, frozen: Any, mesh: jax.sharding.Mesh) -> Callable[[Arrays], Arrays]:
    """task.predict over numpy batches, whose size the mesh must divide; waits for the answer.

    Of several threads that bring a new shape one compiles it and the others wait.
    """
    variables, frozen = jax.device_put((variables, frozen), sharding.replicated(mesh))
    program, lock, known = predict.jit_predict(task, mesh), threading.Lock(), {}

    def call(batch: Arrays) -> Arrays:
        shapes = tuple(sorted((key, x.shape) for key, x in batch.items()))
        args = variables, frozen, sharding.put_batch(mesh, batch)
        with lock:
            if shapes not in known:
                known[shapes] = program.lower(*args).compile()
            ready = known[shapes]
        return jax.device_get(ready(*args))

    return call


def student_of(run: runs.Run) -> runs.Run:
    """The run of the student whose descriptors a skimmer reads.

    Raises:
      RunError: the skimmer was imported without it.
    """
    missing = {*modalities(run.student["model"]["modality"])} - run.variables["student"]["params"].keys()
    if missing:
        raise runs.RunError(
            f"{run.path} reads features and has no network that makes them of a video ({', '.join(sorted(missing))}): "
            "import it again with --student=RUN"
        )
    return dataclasses.replace(run, config=run.student, variables={"model": run.variables["student"]}, student=None)


def macs_of(run: runs.Run) -> Macs:
    """Multiply-adds of a run on a video, see `Programs.macs`."""
    classes = len(run.labels)
    if run.config["task"] == "skim":
        of_video = functools.partial(build.video_macs, run.config, run.student, classes)
        return lambda positions, steps, looks: of_video(positions=positions, steps=steps, looks=looks)
    one = build.clip_macs(run.config, classes)
    return lambda positions, steps, looks: {"indexing": 0, "skimming": 0, "recognition": positions * one}
