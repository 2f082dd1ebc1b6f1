"""Student over every clip of every video -> feature shards, one per clip shard."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from l2l import build, predict, runs, sharding
from l2l.data import features, schema
from l2l.data.source import Source, source_of
from l2l.inputs import plain
from l2l.models.student import modalities
from l2l.predict import Video


def extract(config: Any, inputs: dict[str, dict[str, str]]) -> None:
    """Writes a directory of feature shards that is also a run folder; finished shards are not made again.

    Raises:
      ValueError, RunError, ShardError: something does not fit; the message names the cure.
    """
    out = Path(config.run)
    student = runs.load_run(config.student)
    if student.config["model"]["name"] != "student":
        raise ValueError(f"config.student={config.student} is a {student.config['model']['name']}, not a student")
    reading = {"task": "classify", "data": dict(student.config["data"]) | {"frames": 1}}
    source = source_of(reading, config.data.dir)
    build.check_labels(student, source.index.labels, source.directory)
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
    task, variables, frozen = predict.predictor(student)
    variables = jax.device_put(variables, sharding.replicated(mesh))
    run = predict.jit_predict(task, mesh)

    def describe(paths: list[Path]) -> Iterator[Video]:
        batches = source.eval_paths(paths, batch=config.data.eval_batch)
        return predict.videos(predict.predict_batches(run, variables, frozen, batches, mesh))

    splits = {split: write_split(out, source, split, describe) for split in source.index.splits}
    widths = {m: 8 * task.model.width * (m in modalities(task.model.modality)) for m in predict.MODALITIES}
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
