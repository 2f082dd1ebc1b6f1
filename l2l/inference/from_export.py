"""A model that `python -m l2l.export` wrote, read back without flax and without this package's models.

The file is a zip archive, and nothing in it is a pickle:

    artefact.json           labels, how clips are cut, what goes into the programs and what comes out; see `About`
    describe.jax, .npz      clips -> scores and descriptors: a program of `jax.export`, and its constants
    skim.jax, .npz          of a skimmer: descriptors of a video's clips -> which ones count, and the answer

Such a file is a program: take it only from people whom you trust. Custom calls, which could reach into the process, are
refused here (`export_rules.py`) but not by JAX.

Pixels and samples go in as they are: sizes, normalisation and log-mel are inside. JAX and numpy are enough to run it:

    import io, json, sys, zipfile
    import jax, jax.export, numpy as np

    def program(name):
        run = jax.jit(jax.export.deserialize(bytearray(file.read(f"{name}.jax"))).call)
        constants = dict(np.load(io.BytesIO(file.read(f"{name}.npz"))))
        return lambda **batch: jax.device_get(run(constants, batch))

    file = zipfile.ZipFile(sys.argv[1])
    about = json.loads(file.read("artefact.json"))
    clips = np.load(sys.argv[2])  # frames: uint8 (n, frames, side, side, 3); audio: int16 (n, 16000)
    seen = program("describe")(frames=clips["frames"], audio=clips["audio"])
    if "skim" in about["programs"]:
        banks = {m: seen[m][None].astype(np.float16) for m in ("image", "audio")}
        heard = {"has_audio": np.ones(1, bool)} if "has_audio" in about["programs"]["skim"]["takes"] else {}
        valid = np.ones((1, len(clips["audio"])), bool)
        logits = program("skim")(**banks, **heard, valid=valid)["step_logits"][0, -1]
    else:
        logits = jax.nn.softmax(seen["logits"]).mean(0)
    print(about["labels"][logits.argmax()])

`jax.export` promises that a JAX up to six months younger than the one that wrote a file reads it, and up to three weeks
older. Keep the run folder: it can be exported again.
"""

import dataclasses
import io
import itertools
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from l2l.core import archive, atomic, sharding
from l2l.core.rules import whole
from l2l.data.batching import descriptions
from l2l.evaluate.early_exit import Sure
from l2l.inference import export_rules, programs
from l2l.media.policy import ClipPolicy

FORMAT = 1
ABOUT = "artefact.json"
POWERS = tuple(itertools.product((0, 1), repeat=3))  # of positions, steps and looks


class ArtefactError(ValueError):
    """A file that is no exported model, is damaged, or does not fit this machine; the message is one line."""


@dataclasses.dataclass(frozen=True)
class About:
    """What artefact.json says.

    Attributes:
      format: of the file; this code reads FORMAT.
      labels, policy, frames, side, modality, lengths, stride, multi_label, sure: as in `programs.Programs`.
      macs: "indexing", "skimming", "recognition" -> eight numbers, the multiply-adds of a video as a polynomial: the
        i-th times positions^a steps^b looks^c with (a, b, c) = POWERS[i].
      platforms: that it was lowered for, as `jax.export` names them.
      programs: name -> {"takes", "gives"}: name of an array -> "dtype[shape]"; b clips or videos, n positions.
      made_of: hash of the run.
      versions: of what made it.
      glance: of a run that chooses all its looks at once: listens, stride, context as in `programs.Glance`, and silent,
        the `macs` of videos without sound. In its macs the positions at the stride stand in the place of steps. None
        of any other run; the file then does not have it.
    """

    format: int
    labels: list[str]
    policy: dict[str, Any]
    frames: int
    side: int
    modality: str
    lengths: list[int]
    stride: int
    multi_label: bool
    sure: dict[str, Any] | None
    macs: dict[str, list[int]]
    platforms: list[str]
    programs: dict[str, dict[str, dict[str, str]]]
    made_of: str
    versions: dict[str, str]
    glance: dict[str, Any] | None = None


def said(about: About) -> dict[str, Any]:
    """The content of artefact.json."""
    return {key: value for key, value in dataclasses.asdict(about).items() if key != "glance" or value}


def load(path: str | os.PathLike) -> programs.Programs:
    """An exported model, ready to look at videos.

    Raises:
      ArtefactError: it cannot be used.
    """
    try:
        with archive.Archive(path) as file:
            about = read_about(file)
            read = {name: program(file, name) for name in about.programs}
        if wrong := export_rules.unlike(about.programs, {name: exported for name, (exported, _) in read.items()}):
            raise ArtefactError(f"is damaged: {wrong}; export the run again")
        return programs_of(Path(path).name, about, read)
    except (zipfile.BadZipFile, OSError) as error:
        raise ArtefactError(f"{path} is no exported model: {error}") from error
    except ArtefactError as error:
        raise ArtefactError(f"{path} {error}") from error
    except Exception as error:  # flatbuffers, MLIR and zlib raise types of their own for damaged content
        raise ArtefactError(f"{path} is damaged, or of a JAX too far from this one: {archive.reason(error)}") from error


def read_about(file: zipfile.ZipFile) -> About:
    """Raises ArtefactError if the file is of another format or for other machines, or says what cannot be."""
    if ABOUT not in file.namelist():
        raise ArtefactError(f"is no exported model: it has no {ABOUT}")
    try:
        said = atomic.read_json(file.read(ABOUT))
        form = said.get("format") if isinstance(said, dict) else None
        if whole(0)[0](form) and form != FORMAT:
            raise ArtefactError(f"has format {form}, this code reads {FORMAT}: export the run again")
        wrong = export_rules.wrong(said)
    except ArtefactError:
        raise
    except (ValueError, RecursionError) as error:
        wrong = archive.reason(error)
    if wrong:
        raise ArtefactError(f"is damaged: its {ABOUT} cannot be used: {wrong}; export the run again")
    about, here = About(**said), jax.export.default_export_platform()
    if here not in about.platforms:
        raise ArtefactError(f"was made for {', '.join(about.platforms)}, this machine has {here}")
    return about


def program(file: zipfile.ZipFile, name: str) -> tuple[jax.export.Exported, dict[str, np.ndarray]]:
    """One program and its constants. Raises ArtefactError if one of these is not finite, or it is not to be run."""
    try:
        with archive.Archive(io.BytesIO(file.read(f"{name}.npz"))) as arrays:
            constants = archive.arrays(arrays)
    except zipfile.BadZipFile as error:
        raise ValueError(f"its {name}.npz: {error}") from error
    for key, value in constants.items():
        if not np.isfinite(value).all():
            raise ArtefactError(f"cannot be used: {key} of {name} is not finite (NaN or infinite): export another run")
    read = jax.export.deserialize(bytearray(file.read(f"{name}.jax")))
    if unknown := export_rules.unknown(read):
        raise ArtefactError(
            f"is not run: its {name} holds {unknown[0]}, which no export of this project does; have the run exported "
            "again, and take such files only from people whom you trust"
        )
    if not export_rules.fits(read, constants):
        raise ArtefactError(f"is damaged: its {name}.npz has other constants than {name} takes; export the run again")
    return read, constants


def programs_of(
    name: str, about: About, read: dict[str, tuple[jax.export.Exported, dict[str, np.ndarray]]]
) -> programs.Programs:
    """The programs over all devices of this machine, of a file with this name."""
    mesh = sharding.make_mesh((-1, 1))
    ways = mesh.shape["data"]
    ready = {name: programs.compiled(exported.call, constants, mesh) for name, (exported, constants) in read.items()}
    return programs.Programs(
        name=name,
        hash=about.made_of,
        labels=tuple(about.labels),
        policy=ClipPolicy(**about.policy),
        frames=about.frames,
        side=about.side,
        modality=about.modality,
        describe=ready["describe"],
        clips_at_once=programs.CLIPS_AT_ONCE * ways,
        skim=ready.get("skim"),
        videos_at_once=(ways, programs.VIDEOS_AT_ONCE * ways),
        lengths=tuple(about.lengths),
        macs=macs_of(about),
        glance=glance_of(about, read, mesh),
        stride=about.stride,
        multi_label=about.multi_label,
        sure=Sure(**about.sure) if about.sure else None,
    )


def glance_of(
    about: About, read: dict[str, tuple[jax.export.Exported, dict[str, np.ndarray]]], mesh: jax.sharding.Mesh
) -> programs.Glance | None:
    """What choosing all looks at once needs; each second of sound is heard by itself."""
    if about.glance is None:
        return None
    exported, constants = read["describe"]
    see, ear = programs.halves(exported.call, constants, mesh, frames=about.frames, side=about.side)
    given = descriptions(export_rules.signature(exported)[1])
    steps = export_rules.signature(read["skim"][0])[1]["step_logits"].shape[1]
    sizes = programs.at_once_on(mesh, steps)
    return programs.Glance(
        **{key: about.glance[key] for key in ("listens", "stride", "context")},
        steps=steps,
        widths={name: given[name].shape[-1] if name in given else 0 for name in ("image", "audio")},
        see=see,
        ear=ear,
        hear=programs.by_seconds(ear, sizes[-1]),
        at_once=sizes,
    )


def macs_of(about: About) -> programs.Macs:
    """See `Programs.macs`."""
    if about.glance is None:
        return lambda *numbers: {part: evaluated(factors, numbers) for part, factors in about.macs.items()}
    stride, silent = about.glance["stride"], about.glance["silent"]

    def at_once(positions: int, steps: int, looks: int, *, has_audio: bool) -> dict[str, int]:
        del steps
        numbers = positions, -(-positions // stride), looks
        return {part: evaluated(factors, numbers) for part, factors in (about.macs if has_audio else silent).items()}

    return at_once


def factors_of(macs: programs.Macs) -> dict[str, list[int]]:
    """The polynomials of `About.macs`, from the values of the function where every number is 0 or 1."""
    at = {corner: macs(*corner) for corner in POWERS}
    below = {corner: [x for x in POWERS if all(a <= b for a, b in zip(x, corner, strict=True))] for corner in POWERS}
    sign = lambda x, corner: (-1) ** (sum(corner) - sum(x))
    return {part: [sum(sign(x, c) * at[x][part] for x in below[c]) for c in POWERS] for part in at[POWERS[0]]}


def evaluated(factors: list[int], numbers: tuple[int, ...]) -> int:
    powers = [math.prod(n**p for n, p in zip(numbers, power, strict=True)) for power in POWERS]
    return sum(factor * value for factor, value in zip(factors, powers, strict=True))
