"""Features of whole videos held in memory: what every way of choosing is trained and measured on."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from l2l.core.atomic import hash_of
from l2l.data.batching import BANKS
from l2l.data.dataset import open_features
from l2l.models.positions import ranks
from l2l.runs import compatibility, run_folder
from l2l.runs.actions import Actions, actions_of, positions_inside
from l2l.tasks.from_config import fusion_of, skim_frozen

Tree = dict[str, Any]

KEPT = ("image", "audio", "recognition", "valid", "labels", "has_audio", "mask", "example", "inside")


@dataclasses.dataclass(frozen=True)
class Features:
    """The videos of some splits as one clip model describes them, and what skimming takes of that model.

    Attributes:
      splits: by name "train", "val", "test", or some of them: arrays of v videos, padded to n positions: image
        (v, n, d), audio (v, n, e) and, of another model, recognition (v, n, f) float32; valid bool (v, n), labels
        float32 (v, k), has_audio bool (v,), mask bool (v,), example int (v,) and, where the videos have labelled
        stretches, inside bool (v, n), which positions lie in one.
      frozen: "fusion" and "classifier" of the clip model, and the same of the other as "recogniser".
      fusion, recogniser: their fusion modules.
      hash: of all that the features depend on.
      config, recogniser_config: of the clip models' runs, from which costs are counted; None: nobody knows.
    """

    splits: Mapping[str, Tree]
    frozen: Tree
    fusion: nn.Module
    hash: str
    recogniser: nn.Module | None = None
    config: Mapping[str, Any] | None = None
    recogniser_config: Mapping[str, Any] | None = None

    @property
    def classes(self) -> int:
        return next(iter(self.splits.values()))["labels"].shape[-1]


def load(directory: Path, student: Path, names: Sequence[str], recognition: str = "", recogniser: str = "") -> Features:
    """Features of some splits from shards.

    Args:
      directory: of the shards.
      student: the run of the clip model that made them.
      names: of the splits; no other is read.
      recognition: shards of another clip model, whose run is `recogniser`, which recognises what is picked.

    Raises:
      ShardError, RunError, ValueError: there are none, or they are not of these runs.
    """
    source = open_features(str(directory), lengths=(1,), recognition=recognition)
    clip_model = run_folder.load_run(student)
    compatibility.check_described(source, clip_model)
    other = run_folder.load_run(recogniser) if recogniser else None
    actions = actions_of(source.directory)
    splits = {name: stacked(source.eval(name, batch=1), actions) for name in names}
    return Features(
        splits,
        skim_frozen(clip_model.variables["model"], other.variables["model"] if other else None),
        fusion_of(clip_model.config),
        hash_of([source.index.hash, clip_model.hash, other.hash if other else ""]),
        recogniser=fusion_of(other.config) if other else None,
        config=clip_model.config,
        recogniser_config=other.config if other else None,
    )


def stacked(batches: Iterator[Tree], actions: Actions | None = None) -> Tree:
    """Batches of one video each as one, in order, every video padded to the positions of the longest.

    With "inside", if there are `actions`; of a video that has none in there no position lies inside.
    """
    rows = sorted(map(dict, batches), key=lambda row: int(row["example"][0]))
    for row in rows if actions else ():
        names, times = np.asarray(row["video_id"]), np.stack(row["times"])
        there = positions_inside(names, times, row["valid"].sum(axis=1), actions or {})
        row["inside"] = np.zeros_like(row["valid"])
        row["inside"][0, : len(there.get(0, ()))] = there.get(0, False)
    longest = max(int(row["valid"].sum()) for row in rows)

    def column(key: str) -> np.ndarray:
        values = [row[key] for row in rows]
        if key not in (*BANKS, "valid", "inside"):
            return np.concatenate(values)
        kind = bool if values[0].dtype == bool else np.float32
        made = np.zeros((len(rows), longest, *values[0].shape[2:]), kind)
        for own, value in zip(made, values, strict=True):
            own[: value.shape[1]] = value[0, :longest]
        return made

    return {key: column(key) for key in KEPT if key in rows[0]}


def lengths(videos: Tree) -> np.ndarray:
    """How many positions each video has, int (v,)."""
    return np.asarray(videos["valid"]).sum(axis=1)


def cut(videos: Tree, marks: jax.Array, count: int) -> Tree:
    """The videos with the marked positions alone, bool (v, n), at most `count` of each, in their order in time."""
    later = jnp.broadcast_to(-jnp.arange(marks.shape[1], dtype=jnp.float32), marks.shape)
    order = jnp.argsort(ranks(later, marks), -1)[:, :count]  # (v, T)
    valid = jnp.arange(order.shape[1]) < marks.sum(-1, keepdims=True)
    taken = {}
    for key, value in videos.items():
        if key in BANKS:
            taken[key] = jnp.where(valid[..., None], jnp.take_along_axis(jnp.asarray(value), order[..., None], 1), 0)
        elif key == "inside":
            taken[key] = jnp.take_along_axis(jnp.asarray(value), order, 1) & valid
    return {**videos, **taken, "valid": valid}
