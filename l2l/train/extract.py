"""A clip model over every clip of every video -> feature shards, one per clip shard."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from l2l.core import atomic, sharding
from l2l.core.terminal import Bar, say
from l2l.data import features, schema
from l2l.data.dataset import Source, source_of
from l2l.data.order import Files
from l2l.evaluate import predict
from l2l.evaluate.predict import Video
from l2l.runs import compatibility, fits, provenance, run_folder
from l2l.runs.actions import read_actions
from l2l.runs.config import plain
from l2l.tasks import from_config


def extract(config: ConfigDict, inputs: dict[str, dict[str, str]]) -> None:
    """Writes a directory of feature shards that is also a run folder; finished shards are not made again.

    Raises:
      ValueError, RunError, ShardError: something does not fit; the message names the cure.
    """
    out = Path(config.run)
    student = run_folder.load_run(config.student)
    if student.config["task"] == "skim":
        raise ValueError(f"config.student={config.student} is a {student.config['model']['name']}, not a clip model")
    if student.config["model"]["name"] == "fusion":
        raise ValueError(f"config.student={config.student} reads features: there is nothing to extract, skim over them")
    fits.check(student)
    reading = student.config["data"] | {"frames": from_config.frames_of(student.config)}
    reading = {"task": "classify", "model": student.config["model"], "data": reading}
    source = source_of(reading, config.data.dir)
    compatibility.check_labels(student, source.index.labels, source.directory)
    mesh = sharding.make_mesh(config.mesh)
    sharding.check_batch(mesh, config.data.eval_batch, "data.eval_batch")
    policy = {"clips": source.index.policy, "student": {"path": str(student.path), "hash": student.hash}}
    record = {
        "config": plain(config),
        "inputs": inputs,
        "labels": source.index.labels,
        "policy": policy["clips"],
    }
    run_folder.start(out, record | {"student": student.config})
    task, variables, frozen = predict.predictor(student)
    task = dataclasses.replace(task, glances=from_config.glances_of(student.config))
    variables = sharding.put(variables, sharding.replicated(mesh))
    run = predict.jit_predict(task, mesh)

    def describe(paths: list[Files]) -> Iterator[Video]:
        batches = source.eval_paths(paths, batch=config.data.eval_batch)
        return predict.videos(predict.predict_batches(run, variables, frozen, batches, mesh))

    with run_folder.claimed(out):
        finish(out, source, write_splits(out, source, describe), policy | widths_of(student.config))


def finish(out: Path, source: Source, splits: dict[str, tuple[schema.Shard, ...]], policy: dict[str, Any]) -> None:
    """Writes when it was finished into config.json, the labelled stretches, and the index: it makes this whole."""
    if jax.process_index() > 0:
        return
    atomic.write_json(
        out / run_folder.CONFIG, run_folder.read_json(out / run_folder.CONFIG) | {"finished": provenance.utc()}
    )
    actions = read_actions(source.directory / schema.ACTIONS)
    if actions is not None:
        atomic.write_json(out / schema.ACTIONS, actions)
    index = schema.Index(
        kind="features",
        labels=source.index.labels,
        splits=splits,
        policy=policy,
        multi_label=source.index.multi_label,
    )
    schema.save_index(out, index)
    known = f"labelled stretches of {len(actions)}" if actions else "no labelled stretches"
    say(f"{out} finished: " + ", ".join([*(f"{index.videos(split)} videos of {split}" for split in splits), known]))


def widths_of(student: dict[str, Any]) -> dict[str, dict[str, int]]:
    """What the index says of the widths of what a clip model describes."""
    glances = from_config.glances_of(student)
    return {"widths": from_config.widths_of(student)} | ({"glances": glances.widths} if glances else {})


def write_splits(
    out: Path, source: Source, describe: Callable[[list[Files]], Iterator[Video]]
) -> dict[str, tuple[schema.Shard, ...]]:
    """One feature shard per clip shard; those that are there from an earlier call are kept.

    All others are read in one go, so that a batch holds clips of many videos and is not cut where a shard ends; a
    feature shard is written as soon as the last of its videos is whole.
    """
    pairs = {split: list(targets(out, source, split)) for split in source.index.splits}
    left = [pair for own in pairs.values() for pair in own if not pair[2].is_file()]
    videos = describe([path for path, _, _ in left])
    active, total = jax.process_index() == 0, sum(count for _, count, _ in left)
    say(f"{out}: {total} videos are left to describe; the first batch compiles")
    with Bar(str(out), total=total, unit="video", keep=True) as bar:
        for _, count, target in left:
            own = bar.over(itertools.islice(videos, count))
            if active:
                features.write_shard(target, own)
            else:
                list(own)
    if not active:
        return {}
    return {split: tuple(features.describe_shard(target) for _, _, target in own) for split, own in pairs.items()}


def targets(out: Path, source: Source, split: str) -> Iterator[tuple[Files, int, Path]]:
    """(clip shard, its number of videos, feature shard) of a split."""
    shards = source.index.splits[split]
    for number, ((path, _), shard) in enumerate(zip(source.shards(split), shards, strict=True)):
        yield path, shard.videos, out / schema.shard_name("features", split, number, len(shards))
