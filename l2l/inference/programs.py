"""What looking at videos needs of a model: plain functions over numpy batches, compiled once per shape.

`from_run.py` makes them of a run folder, `from_export.py` of an exported file; nobody else needs to know which.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from l2l.core import sharding
from l2l.data.batching import Arrays, descriptions
from l2l.evaluate.early_exit import Sure
from l2l.media.policy import AUDIO_RATE, ClipPolicy

if TYPE_CHECKING:  # its package needs flax, which an exported model does without
    from l2l.models.regions import Regions

CLIPS_AT_ONCE = 8  # on every device
VIDEOS_AT_ONCE = 8  # of one length, on every device

Macs = Callable[..., dict[str, int]]


@dataclasses.dataclass(frozen=True)
class Listen:
    """What listening first needs.

    Attributes:
      hear: (what reads a sound track, where seconds of it begin, samples int (p,)) -> audio descriptors (p, d)
        of those seconds, see `track_preview.hearer`.
      see: what `describe` takes, images and sound -> the "image" descriptors alone, with "cells" if they are needed.
      image: width of the image descriptor.
      fallback: positions of a video without sound of which one is described, and chosen among, by its image; 0: it is
        heard as silence. `skim` then takes "has_audio", bool (b,), too, and `macs` the same as has_audio=.
    """

    hear: Callable[[Callable[[int, int], np.ndarray], np.ndarray], np.ndarray]
    see: Callable[[Arrays], Arrays]
    image: int
    fallback: int


@dataclasses.dataclass(frozen=True)
class Recogniser:
    """A second clip model, which sees the looks of a skimmer alone and judges them.

    Attributes:
      policy, frames, side, describe: as in `Programs`, of its own clips, which lie where the skimmer's do; it takes in
        no sound.
      width: of its image descriptor.
    """

    policy: ClipPolicy
    frames: int
    side: int
    describe: Callable[[Arrays], Arrays]
    width: int


@dataclasses.dataclass(frozen=True)
class Closer:
    """What looking closer needs.

    Attributes:
      regions: of the squares that `describe` reads.
      look: a region each, {"squares": uint8 (b, regions.side, regions.side, 3)} -> {"image": (b, d)}.
      widths: of the banks "cells", which `describe` gives, and "regions", the r descriptors of `look`, one after
        another; `skim` takes both.
    """

    regions: "Regions"
    look: Callable[[Arrays], Arrays]
    widths: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Glance:
    """What choosing all looks at once needs, see `models.glance.Glance`.

    Attributes:
      listens: what chooses: the "audio" of every position, the "image" of every stride-th, or "both".
      stride: see there; of a video without sound, images at this stride choose whatever `listens` says.
      steps: T, how many positions are read at most.
      context: positions, the middle one included, that the score of one depends on.
      widths: of the "image" and the "audio" descriptor; 0 where the clip model has none.
      see: {"frames": as `describe` takes them} -> {"image": (b, d)}.
      ear: {"audio": int16 (b, 16000)} -> {"audio": (b, d)}.
      hear: (what reads a sound track, where seconds of it begin, samples int (p,)) -> audio descriptors (p, d)
        of those seconds.
      at_once: b of `see` and `ear` is 1, or T rounded up, times the number of devices.
    """

    listens: str
    stride: int
    steps: int
    context: int
    widths: Mapping[str, int]
    see: Callable[[Arrays], Arrays]
    ear: Callable[[Arrays], Arrays]
    hear: Callable[[Callable[[int, int], np.ndarray], np.ndarray], np.ndarray]
    at_once: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Programs:
    """A run's two networks and the constants around them; an exported artefact is read into the same.

    Attributes:
      name: of the run's folder, or of the file.
      hash: of the run.
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
        indexes "picked_<modality>": (b, T), "weights_<modality>": (b, T, n)}; where the classifier on the LSTM's state
        is trained, "head_logits": (b, T, k). None for a clip model. Likewise safe. See `glance` for another one.
      videos_at_once: b of `skim` is 1 or this, times the number of devices.
      lengths: n that `skim` is compiled for; the largest one doubled for longer videos.
      listen: of a skimmer that chooses moments by sound; see there.
      recogniser: of a skimmer whose looks another model judges; `skim` then takes "recognition", float16 (b, n, d),
        that model's descriptors, which it reads at its looks alone.
      closer: of a skimmer that sees regions of the pictures which it picks once more; see there. `skim` then also gives
        "region" (b, T) and "closer" (b, T, r).
      glance: of a skimmer that chooses all its looks at once; see there. `skim` then takes "has_audio", bool (b,), too,
        and gives "step_logits", "counted" and "looks" as above, with "picked" and "worth" (b, T), and "listener" and
        "may" (b, n), what scores the positions and which may be picked. What it picks depends on what it listens to
        alone, so the rest of other positions may be zeros. `macs` takes has_audio=, too.
      macs: (positions that are described, steps, different positions looked at) -> multiply-adds by
        "indexing", "skimming" and "recognition".
      stride: of a skimmer, at which it was trained: every stride-th position is described; `skim` takes those alone.
      multi_label: whether scores are each class by itself (sigmoid) or shares of one (softmax).
      sure: calibration of a skimmer and when it may stop looking, see `l2l.evaluate.early_exit`; None if that was
        not measured.
    """

    name: str
    hash: str
    labels: tuple[str, ...]
    policy: ClipPolicy
    frames: int
    side: int
    modality: str
    describe: Callable[[Arrays], Arrays]
    clips_at_once: int
    skim: Callable[[Arrays], Arrays] | None
    videos_at_once: tuple[int, ...]
    lengths: tuple[int, ...]
    macs: Macs
    listen: Listen | None = None
    recogniser: Recogniser | None = None
    closer: Closer | None = None
    glance: Glance | None = None
    stride: int = 1
    multi_label: bool = False
    sure: Sure | None = None


def at_once_on(mesh: jax.sharding.Mesh, steps: int) -> tuple[int, int]:
    """`Glance.at_once` of a model of so many steps."""
    ways = mesh.shape["data"]
    return ways, -(-steps // ways) * ways


def by_seconds(
    ear: Callable[[Arrays], Arrays], at_once: int
) -> Callable[[Callable[[int, int], np.ndarray], np.ndarray], np.ndarray]:
    """`Glance.hear` by a network that hears each second by itself, so many of them at once."""

    def heard(read: Callable[[int, int], np.ndarray], places: np.ndarray) -> np.ndarray:
        found = []
        for first in range(0, len(places), at_once):
            own = [int(at) for at in places[first : first + at_once]]
            waves = np.zeros((at_once, AUDIO_RATE), np.int16)
            for wave, at in zip(waves, own, strict=False):  # before the track's beginning there is silence
                wave[max(-at, 0) :] = read(max(at, 0), at + AUDIO_RATE)
            found.append(ear({"audio": waves})["audio"][: len(own)])
        return np.concatenate(found)

    return heard


def halves(
    describe: Callable[[Any, Any], Any], constants: Any, mesh: jax.sharding.Mesh, *, frames: int, side: int
) -> tuple[Callable[[Arrays], Arrays], Callable[[Arrays], Arrays]]:
    """(`Glance.see`, `Glance.ear`) of a clip model, describe(constants, batch): each computes its half alone."""

    def see(constants: Any, batch: Any) -> Any:
        silence = jnp.zeros((len(batch["frames"]), AUDIO_RATE), jnp.int16)
        return {"image": descriptions(describe(constants, batch | {"audio": silence}))["image"]}

    def ear(constants: Any, batch: Any) -> Any:
        black = jnp.zeros((len(batch["audio"]), frames, side, side, 3), jnp.uint8)
        return {"audio": descriptions(describe(constants, batch | {"frames": black}))["audio"]}

    return compiled(see, constants, mesh), compiled(ear, constants, mesh)


class Compiling(threading.local):
    """What this thread has spent on compiling, or on waiting for another that did, in `seconds`."""

    seconds = 0.0


COMPILING = Compiling()


def by_shape(jitted: Any) -> Callable[..., Any]:
    """A jitted function, compiled before it is called for arguments of a new shape; COMPILING tells how long that took.

    Of several threads that bring a new shape one compiles it and the others wait.
    """
    lock, known = threading.Lock(), {}

    def call(*args: Any) -> Any:
        shapes = jax.tree.structure(args[-1]), tuple(x.shape for x in jax.tree.leaves(args[-1]))
        if shapes not in known:
            since = time.perf_counter()
            with lock:
                if shapes not in known:
                    known[shapes] = jitted.lower(*args).compile()
            COMPILING.seconds += time.perf_counter() - since
        return known[shapes](*args)

    return call


def compiled(program: Callable[[Any, Any], Any], constants: Any, mesh: jax.sharding.Mesh) -> Callable[[Arrays], Arrays]:
    """program(constants, batch) over numpy batches, whose size the mesh must divide; waits for the answer."""
    whole, split = sharding.replicated(mesh), sharding.over_data(mesh)
    constants = jax.device_put(constants, whole)
    ready = by_shape(jax.jit(program, in_shardings=(whole, split), out_shardings=split))
    return lambda batch: jax.device_get(ready(constants, sharding.put_batch(mesh, batch)))
