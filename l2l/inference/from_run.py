"""The programs of a finished run, see `programs.Programs`."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from l2l.core import sharding
from l2l.data.batching import Arrays
from l2l.data.preprocess import crop_side
from l2l.evaluate import model_macs, predict
from l2l.evaluate.early_exit import Sure
from l2l.inference.programs import (
    CLIPS_AT_ONCE,
    VIDEOS_AT_ONCE,
    Closer,
    Glance,
    Listen,
    Macs,
    Programs,
    Recogniser,
    at_once_on,
    by_seconds,
    compiled,
    halves,
)
from l2l.inference.track_preview import hearer
from l2l.media.policy import ClipPolicy
from l2l.models import glance
from l2l.models.regions import Regions
from l2l.models.student import Student
from l2l.runs import names, run_folder
from l2l.runs.names import EARLY_EXIT
from l2l.runs.run_folder import student_of
from l2l.tasks import from_config
from l2l.tasks.skim import by_step
from l2l.tasks.skim_at_once import SkimAtOnce


def of_run(run: run_folder.Run) -> Programs:
    """The programs of a finished run.

    Raises:
      ValueError: the run does not fit this code, or is a skimmer without the network that describes clips.
    """
    skims = run.config["task"] == "skim"
    clip_run = student_of(run) if skims else run
    stride = from_config.numbers_of(run.config).stride if skims and not chooses_at_once(run) else 1
    asked, run = run, without_stride(run) if skims else run
    policy, mesh = ClipPolicy(**run.policy), sharding.make_mesh((-1, 1))
    if not skims:
        policy = dataclasses.replace(policy, clips=0)  # how many were stored to learn from says nothing of a film
    data, ways = clip_run.config["data"], mesh.shape["data"]
    listen = listen_of(asked, clip_run, mesh) if skims else None
    closer = closer_of(asked, clip_run, listen, mesh) if skims else None
    return Programs(
        name=run.path.resolve().name,
        hash=run.hash,
        labels=run.labels,
        policy=policy,
        frames=from_config.frames_of(clip_run.config),
        side=crop_side(data["crop"], data["resize"], policy.short_side),
        modality=modality_of(clip_run.config),
        describe=guarded(run, on_mesh(*describer(clip_run, cells=closer is not None), mesh)),
        clips_at_once=CLIPS_AT_ONCE * ways,
        skim=guarded(run, on_mesh(*skimmer(run), mesh)) if skims else None,
        videos_at_once=(ways, VIDEOS_AT_ONCE * ways),
        lengths=tuple(run.config["data"]["lengths"]) if skims else (),
        macs=macs_of(run),
        listen=listen,
        recogniser=recogniser_of(run, mesh) if run.recogniser else None,
        closer=closer,
        glance=glance_of(run, clip_run, mesh) if skims and chooses_at_once(run) else None,
        stride=stride,
        multi_label=run.config["multi_label"],
        sure=sure_of(run) if skims else None,
    )


def sure_of(run: run_folder.Run) -> Sure | None:
    """When a skimmer is sure, if that was measured. Raises RunError if it was, of another number of looks."""
    found, looks = early_exit_of(run.path), from_config.numbers_of(run.config).steps
    if found and len(found.temperatures) != looks:
        path = run.path / names.EARLY_EXIT
        has = f"{path} is damaged: it has {len(found.temperatures)} temperatures"
        raise run_folder.RunError(f"{has}, the run {looks} looks; {run_folder.cure_of(path)}")
    return found


def guarded(run: run_folder.Run, program: Callable[[Arrays], Arrays]) -> Callable[[Arrays], Arrays]:
    """The program; where it fails, the run's variables are looked through before anything else is blamed.

    Before it fails, that would take as long as half of the start.
    """

    def call(batch: Arrays) -> Arrays:
        try:
            return program(batch)
        except Exception:
            from l2l.runs import fits

            fits.check(run)
            raise

    return call


def chooses_at_once(run: run_folder.Run) -> bool:
    """Whether a skim run chooses all its looks at once."""
    return isinstance(from_config.numbers_of(run.config), glance.Glance)


def glance_of(run: run_folder.Run, student: run_folder.Run, mesh: jax.sharding.Mesh) -> Glance:
    """What a glance needs of its student; where that hears through a preview, whole tracks run through it at once.

    Raises:
      RunError: it sees regions closer.
    """
    model, describer = from_config.numbers_of(run.config), from_config.model_of(student.config, 1)
    if model.closer:
        raise run_folder.RunError(
            f"{run.path} sees regions closer (config.model.closer), which a glance does over features alone: use a run "
            "of skim:glance, or of skim:closer"
        )
    task, variables, frozen = predict.predictor(student)
    data, sizes = student.config["data"], at_once_on(mesh, model.steps)
    side = crop_side(data["crop"], data["resize"], ClipPolicy(**run.policy).short_side)
    # Its constants are compiled into it: of few pictures, a CPU is done much sooner.
    program = lambda _, batch: task.predict(variables, frozen, batch)
    see, ear = halves(program, (), mesh, frames=from_config.frames_of(student.config), side=side)
    heard = isinstance(describer, Student) and describer.preview
    return Glance(
        listens=model.listens,
        stride=model.stride,
        steps=model.steps,
        context=model.context,
        widths=from_config.widths_of(student.config),
        see=see,
        ear=ear,
        hear=preview_hearer(student) if heard else by_seconds(ear, sizes[-1]),
        at_once=sizes,
    )


def preview_hearer(student: run_folder.Run) -> Callable[..., Any]:
    """`hearer` of a student's preview."""
    ear = {kind: tree["audio"] for kind, tree in student.variables["model"].items()}
    trunk = from_config.preview_of(student.config)
    return hearer(lambda mel: trunk.apply(ear, mel, train=False, pool=False))


def without_stride(run: run_folder.Run) -> run_folder.Run:
    """The same skimmer over described positions alone: with hard selection it reads no others.

    What chooses all its looks at once has its stride for the pictures that it chooses by, and keeps it.
    """
    if chooses_at_once(run):
        return run
    fallback = {"fallback": 1} if from_config.numbers_of(run.config).fallback else {}
    return dataclasses.replace(run, config=run.config | {"model": run.config["model"] | {"stride": 1} | fallback})


def listen_of(run: run_folder.Run, student: run_folder.Run, mesh: jax.sharding.Mesh) -> Listen | None:
    """How a skimmer that chooses by sound alone hears through its student's preview; None of any other.

    Raises:
      RunError: it has a fallback, but no preview to listen first with.
    """
    skimmer, describer = from_config.numbers_of(run.config), from_config.model_of(student.config, 1)
    if chooses_at_once(run):
        return None
    if skimmer.index_by != "audio" or not (isinstance(describer, Student) and describer.preview):
        if skimmer.fallback:
            raise run_folder.RunError(
                f"{run.path} has a fallback (model.fallback), but no preview to listen first with"
            )
        return None
    return Listen(
        hear=preview_hearer(student),
        see=with_constants(seer(student, cells=bool(skimmer.closer)), mesh),
        image=from_config.widths_of(student.config)["image"],
        fallback=skimmer.fallback,
    )


Program = Callable[[dict[str, jax.Array]], dict[str, jax.Array]]


def with_constants(program: Program, mesh: jax.sharding.Mesh) -> Callable[[Arrays], Arrays]:
    """A program over numpy batches whose constants are compiled into it: of one picture, a CPU is done much sooner."""
    return compiled(lambda _, batch: program(batch), (), mesh)


def seer(student: run_folder.Run, *, cells: bool) -> Program:
    """See `Listen.see`."""
    task, variables, frozen = describer(student, cells=cells)
    seen = lambda found: {key: x for key, x in found.items() if key in ("image", "cells")}
    return lambda batch: seen(task.predict(variables, frozen, batch))


def recogniser_of(run: run_folder.Run, mesh: jax.sharding.Mesh) -> Recogniser:
    """The model that judges a skimmer's looks.

    Raises:
      RunError: it listens.
    """
    config, policy = run.recogniser["config"], ClipPolicy(**run.recogniser["policy"])
    if modality_of(config) != "image":
        raise run_folder.RunError(f"{run.path} recognises with a model that listens: here it must see alone")
    own = dataclasses.replace(run, config=config, variables={"model": run.variables["recogniser"]}, recogniser=None)
    return Recogniser(
        policy=policy,
        frames=from_config.frames_of(config),
        side=crop_side(config["data"]["crop"], config["data"]["resize"], policy.short_side),
        describe=on_mesh(*predict.predictor(own), mesh),
        width=from_config.widths_of(config)["image"],
    )


def closer_of(
    run: run_folder.Run, student: run_folder.Run, listen: Listen | None, mesh: jax.sharding.Mesh
) -> Closer | None:
    """How a skimmer sees the regions that it chooses; None of one that does not look closer.

    Raises:
      RunError: it looks closer, but describes every picture first.
    """
    if chooses_at_once(run) or not from_config.numbers_of(run.config).closer:
        return None
    if listen is None:
        raise run_folder.RunError(
            f"{run.path} looks closer without listening first, which only prepared data have: train it with "
            "--config.model.index_by=audio over the features of a student with a preview"
        )
    glances, data = from_config.glances_of(student.config), student.config["data"]
    size = crop_side(data["crop"], data["resize"], ClipPolicy(**run.policy).short_side)
    eye = {kind: tree["image"] for kind, tree in student.variables["model"].items()}
    look = compiled(lambda eye, batch: {"image": glances.region(eye, batch["squares"])}, eye, mesh)
    return Closer(Regions(size, glances.crop, glances.across), look, glances.widths)


@dataclasses.dataclass(frozen=True)
class FirstGlance:
    """A clip task that leaves the regions of a picture alone."""

    task: Any

    def predict(self, variables: Any, frozen: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """As the task's, without "regions"; compiled, they are not computed."""
        return {key: x for key, x in self.task.predict(variables, frozen, batch).items() if key != "regions"}


def describer(run: run_folder.Run, *, cells: bool) -> tuple[Any, Any, Any]:
    """(task, variables, frozen) of a clip model that sees each picture once, with what that says of its `cells`."""
    task, variables, frozen = predict.predictor(run)
    if cells:
        task = FirstGlance(dataclasses.replace(task, glances=from_config.glances_of(run.config)))
    return task, variables, frozen


def on_mesh(task: Any, variables: Any, frozen: Any, mesh: jax.sharding.Mesh) -> Callable[[Arrays], Arrays]:
    """task.predict over numpy batches."""
    return compiled(lambda constants, batch: task.predict(*constants, batch), (variables, frozen), mesh)


def modality_of(config: dict[str, Any]) -> str:
    return config["model"]["modality"] if config["model"]["name"] == "student" else "image"


@dataclasses.dataclass(frozen=True)
class Hard:
    """A skim task that only does what looking needs: hard selection, without what it is compared with."""

    task: Any

    def predict(self, variables: Any, frozen: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """See `Programs.skim`."""
        _, out = self.task.model.apply(variables, *self.task.inputs(batch, frozen), train=False, hard=True)
        if isinstance(self.task, SkimAtOnce):
            steps = {name: jnp.swapaxes(out[name], 0, 1) for name in ("step_logits", "picked", "counted", "worth")}
            return steps | {"looks": out["looks"], "listener": out["scores"], "may": out["may"]}
        return by_step(out, head=self.task.head > 0) | {"looks": out["looks"]}


def skimmer(run: run_folder.Run) -> tuple[Hard, Any, Any]:
    """(task, variables, frozen) of a skimmer."""
    task, variables, frozen = predict.predictor(run)
    return Hard(task), variables, frozen


def macs_of(run: run_folder.Run) -> Macs:
    """Multiply-adds of a run on a video, see `Programs.macs`."""
    classes = len(run.labels)
    if run.config["task"] == "skim":
        recogniser = run.recogniser and run.recogniser["config"]
        of_video = functools.partial(model_macs.video_macs, run.config, run.student, classes, recogniser=recogniser)
        return lambda positions, steps, looks, **how: of_video(positions=positions, steps=steps, looks=looks, **how)
    one = model_macs.clip_macs(run.config, classes)
    return lambda positions, steps, looks: {"indexing": 0, "skimming": 0, "recognition": positions * one}


def early_exit_of(run: str | Path) -> Sure | None:
    """What `python -m l2l.sure` found for a finished run; None if it was never asked.

    Raises:
      RunError: RUN/sure.json is damaged, or was made for other weights.
    """
    path = Path(run) / EARLY_EXIT
    if not path.is_file():
        return None
    found = run_folder.read_json(path)
    if found["run"] != run_folder.hash_at(run):
        raise run_folder.RunError(f"{path} was made for another run: {run_folder.cure_of(path)}")
    numbers = tuple(map(float, found["temperatures"])), float(found["threshold"])
    return Sure(found["source"], *numbers, found.get("calibrates", True))
