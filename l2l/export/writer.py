"""Writes what `from_export.py` reads: the programs of a finished run, lowered for every platform, and all they need."""

import contextlib
import dataclasses
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from l2l.core import archive, atomic
from l2l.evaluate import model_macs, predict
from l2l.inference import export_rules, from_export, from_run
from l2l.inference.programs import Programs
from l2l.media import policy
from l2l.runs import fits, provenance, run_folder
from l2l.tasks import Predictor, from_config

PLATFORMS = ("cpu", "cuda", "tpu")
Constants = dict[str, np.ndarray]
Shapes = dict[str, jax.ShapeDtypeStruct]


def export(path: str, out: str) -> str:
    """Exports a finished run into a file, whole or not at all, and says what is in it.

    Raises:
      RunError, ValueError: no finished run there, a skimmer without the network that describes clips, or one that
        reads a film look by look.
      OSError: the file cannot be written.
    """
    run = run_folder.load_run(path)
    fits.check(run)
    parts = from_run.of_run(run)
    lowered = lower_run(run, parts)
    about = about_of(run, parts, {name: program for name, (program, _) in lowered.items()})
    with atomic.replacing(Path(out)) as temporary, zipfile.ZipFile(temporary, "w") as file:
        file.writestr(from_export.ABOUT, json.dumps(from_export.said(about), indent=1, ensure_ascii=False))
        for name, (program, constants) in lowered.items():
            file.writestr(f"{name}.jax", program.serialize(), zipfile.ZIP_DEFLATED)
            file.writestr(f"{name}.npz", npz(constants))
    size = Path(out).stat().st_size / 2**20
    return f"{out}: {' and '.join(lowered)} for {', '.join(PLATFORMS)}, {size:.1f} MiB"


def lower_run(run: run_folder.Run, parts: Programs) -> dict[str, tuple[jax.export.Exported, Constants]]:
    """The programs by name, for any number b of clips or videos and n of positions, each with its constants."""
    b, n = jax.export.symbolic_shape("b, n")
    shape, side = jax.ShapeDtypeStruct, parts.side
    clips = {
        "frames": shape((b, parts.frames, side, side, 3), np.uint8),
        "audio": shape((b, policy.AUDIO_RATE), np.int16),
    }
    if not parts.skim:
        return {"describe": lower(*predict.predictor(run), clips)}
    if run.recogniser:
        raise ValueError(f"{run.path} recognises with a second model (recognition), which cannot be exported")
    if parts.closer:
        raise ValueError(f"{run.path} looks closer (model.closer), which cannot be exported")
    describe, constants = lower(*predict.predictor(run_folder.student_of(run)), clips)
    skimmer = from_run.skimmer(from_run.without_stride(run))
    widths = from_config.widths_of(run.clip_model)
    banks = {m: shape((b, n, width), np.float16) for m, width in widths.items()} | {"valid": shape((b, n), np.bool_)}
    if parts.glance:
        banks["has_audio"] = shape((b,), np.bool_)
        task, variables, frozen = skimmer
        longer = Longer(task, parts.glance.steps)
        return {"describe": (describe, constants), "skim": lower(longer, variables, frozen, banks)}
    if skimmer[0].task.falls_back:
        raise ValueError(
            f"{run.path} has a fallback for videos without sound (model.fallback), which cannot be exported"
        )
    return {"describe": (describe, constants), "skim": lower(*skimmer, banks)}


@dataclasses.dataclass(frozen=True)
class Longer:
    """A glance over videos to which T places are added, so that there are T to read, whatever n turns out to be."""

    task: Predictor
    steps: int

    def predict(self, variables: Any, frozen: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """See `Programs.skim`."""
        n = batch["valid"].shape[1]
        longer = lambda x: jnp.pad(x, [(0, 0), (0, self.steps), *[(0, 0)] * (x.ndim - 2)]) if x.ndim > 1 else x
        out = self.task.predict(variables, frozen, {name: longer(x) for name, x in batch.items()})
        return out | {name: out[name][:, :n] for name in ("listener", "may")}


def lower(task: Predictor, variables: Any, frozen: Any, batch: Shapes) -> tuple[jax.export.Exported, Constants]:
    """(task.predict as a program of named constants and a batch, the constants)."""
    tree = {"variables": variables, "frozen": frozen}
    constants = flax.traverse_util.flatten_dict(jax.device_get(tree), sep="/")

    def program(constants: dict[str, jax.Array], batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        tree = {"frozen": {}} | flax.traverse_util.unflatten_dict(constants, sep="/")
        return task.predict(tree["variables"], tree["frozen"], batch)

    shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in constants.items()}
    with without_places():
        return jax.export.export(jax.jit(program), platforms=PLATFORMS)(shapes, batch), constants


@contextlib.contextmanager
def without_places() -> Iterator[None]:
    """Programs are lowered without the files and lines that made them: these are paths of this machine."""
    before = jax.config.values["jax_traceback_in_locations_limit"]
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", before)


def about_of(run: run_folder.Run, parts: Programs, programs: dict[str, jax.export.Exported]) -> from_export.About:
    """What artefact.json says."""
    return from_export.About(
        format=from_export.FORMAT,
        labels=list(parts.labels),
        policy=run.policy,
        frames=parts.frames,
        side=parts.side,
        modality=parts.modality,
        lengths=list(parts.lengths),
        stride=parts.stride,
        multi_label=parts.multi_label,
        sure=dataclasses.asdict(parts.sure) if parts.sure else None,
        macs=from_export.factors_of(at_once_macs(run, has_audio=True) if parts.glance else parts.macs),
        platforms=list(PLATFORMS),
        programs={name: export_rules.described(program) for name, program in programs.items()},
        made_of=run.hash,
        versions=provenance.versions(),
        glance=glance_of(run, parts) if parts.glance else None,
    )


def glance_of(run: run_folder.Run, parts: Programs) -> dict[str, Any]:
    """See `from_export.About`."""
    numbers = {key: getattr(parts.glance, key) for key in ("listens", "stride", "context")}
    return numbers | {"silent": from_export.factors_of(at_once_macs(run, has_audio=False))}


def at_once_macs(run: run_folder.Run, *, has_audio: bool) -> Callable[[int, int, int], dict[str, int]]:
    """(positions, those at the stride, looks) -> multiply-adds of a glance on videos with sound, or without."""
    model, student = from_config.model_of(run.config, len(run.labels), fusion=None), run.student or {}
    return lambda positions, pictures, looks: model_macs.glance_macs(
        model, student, None, positions=positions, pictures=pictures, looks=looks, has_audio=has_audio
    )


def npz(arrays: Constants) -> bytes:
    buffer = io.BytesIO()
    archive.write_arrays(buffer, arrays)
    return buffer.getvalue()
