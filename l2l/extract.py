"""Student over every clip of every video -> feature shards, one per clip shard."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from l2l import build, evaluate, runs, sharding
from l2l.data import features, schema
from l2l.data.source import Source
from l2l.inputs import plain

Video = dict[str, Any]


def videos(rows: Iterator[tuple[evaluate.Arrays, dict[str, Any]]]) -> Iterator[Video]:
    """(outputs, batch) of clips in their stored order -> one feature record per video.

    Raises:
      ValueError: a video's clips do not follow each other from the first to the last.
    """
    clips = (
        {key: value[i] for key, value in (batch | outputs).items()}
        for outputs, batch in rows
        for i in range(len(outputs["logits"]))
    )
    for video_id, own in itertools.groupby(clips, key=lambda clip: clip["video_id"]):
        own = list(own)
        if [int(c["clip"]) for c in own] != list(range(int(own[0]["clips"]))):
            raise ValueError(f"the clips of video {video_id.decode()} are not whole and in order: run data_prep.verify")
        yield {
            "video_id": video_id,
            "labels": np.flatnonzero(own[0]["labels"]),
            "times": np.asarray([c["times"] for c in own], np.float32),
            "image": descriptors(own, "image"),
            "audio": descriptors(own, "audio"),
            "has_audio": bool(own[0]["has_audio"]),
        }


def descriptors(clips: list[Video], modality: str) -> np.ndarray:
    """(n, d) float16; width 0 if the student lacks that modality."""
    if modality not in clips[0]:
        return np.zeros((len(clips), 0), np.float16)
    return np.stack([clip[modality] for clip in clips]).astype(np.float16)


def extract(config: Any, inputs: dict[str, dict[str, str]]) -> None:
    """Writes a directory of feature shards that is also a run folder; finished shards are not made again.

    Raises:
      ValueError, RunError, ShardError: something does not fit; the message names the cure.
    """
    out = Path(config.run)
    student = runs.load_run(config.student)
    reading = {"task": "classify", "data": dict(student.config["data"]) | {"frames": 1}}
    source = build.source_of(reading, config.data.dir)
    build.check_labels(student, source)
    mesh = sharding.make_mesh(config.mesh)
    sharding.check_batch(mesh, config.data.eval_batch, "data.eval_batch")
    policy = {"clips": source.index.policy, "student": {"path": str(student.path), "hash": student.hash}}
    record = {
        "config": plain(config),
        "inputs": inputs,
        "labels": source.index.labels,
        "policy": policy["clips"],
    }
    runs.start(out, record | {"student": student.config})
    task, variables, frozen = evaluate.predictor(student)
    variables = jax.device_put(variables, sharding.replicated(mesh))
    predict = evaluate.jit_predict(task, mesh)

    def describe(paths: list[Path]) -> Iterator[Video]:
        batches = source.eval_paths(paths, batch=config.data.eval_batch)
        return videos(evaluate.predict_batches(predict, variables, frozen, batches, mesh))

    splits = {split: write_split(out, source, split, describe) for split in source.index.splits}
    widths = {m: getattr(task.model, "width", 0) * 8 for m in ("image", "audio")}
    index = schema.Index(
        kind="features",
        labels=source.index.labels,
        splits=splits,
        policy=policy | {"widths": widths},
        multi_label=source.index.multi_label,
    )
    schema.save_index(out, index)


def write_split(
    out: Path, source: Source, split: str, describe: Callable[[list[Path]], Iterator[Video]]
) -> tuple[schema.Shard, ...]:
    """One feature shard per clip shard of a split; a shard that is there from an earlier call is kept."""
    clips = source.shards(split)
    shards = []
    with tqdm(total=source.index.videos(split), desc=f"extract {split}", unit="video", disable=None) as bar:
        for number, (path, _) in enumerate(clips):
            target = out / schema.shard_name("features", split, number, len(clips))
            if not target.is_file():
                features.write_shard(target, counted(describe([path]), bar))
            shards.append(features.describe_shard(target))
    return tuple(shards)


def counted(items: Iterator[Video], bar: tqdm) -> Iterator[Video]:
    """Passes items through and moves the bar."""
    for item in items:
        yield item
        bar.update()
