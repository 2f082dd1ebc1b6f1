"""A finished run as a function over batches. Evaluation, extraction and `infer` all go through here."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from l2l.core import sharding, trees
from l2l.data import batching, schema
from l2l.data.batching import descriptions
from l2l.data.preprocess import silent
from l2l.runs.run_folder import Run
from l2l.tasks import Predictor, from_config

Arrays = dict[str, np.ndarray]
Video = dict[str, Any]

CLIP_KEYS = ("video_id", "clip", "clips", "times", "labels", "has_audio")


def predictor(run: Run) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """(task, variables, frozen) of a finished run: a distilled student predicts as any other clip model."""
    classes = len(run.labels)
    if run.config["task"] == "skim":
        recogniser, known = run.recogniser, run.variables
        task = from_config.skim_task(run.config, classes, run.clip_model, recogniser and recogniser["config"])
        return (
            task,
            known["model"],
            from_config.skim_frozen(known["student"], known["recogniser"] if recogniser else None),
        )
    return from_config.classify_task(run.config, classes), run.variables["model"], {}


def jit_predict(task: Predictor, mesh: jax.sharding.Mesh, placed: Any = None) -> Callable:
    """task.predict as one program: a batch split over the mesh, variables placed as told, or whole on every device."""
    whole, split = sharding.replicated(mesh), sharding.over_data(mesh)
    return jax.jit(task.predict, in_shardings=(placed or whole, whole, split), out_shardings=split)


def predict_batches(
    predict: Callable, variables: Any, frozen: Any, rows: Iterator[batching.Batch], mesh: jax.sharding.Mesh
) -> Iterator[tuple[Arrays, batching.Batch]]:
    """(outputs, batch), each row a real example; padding is dropped. Works on any number of processes.

    The device is a batch ahead: it computes one while the next is read and the last is used.
    """
    ahead: list[tuple[Any, batching.Batch]] = []
    for batch in rows:
        device, _ = batching.split_host(batch)
        first, stop = batching.rows_of_process(len(batch["mask"]))
        own = {key: value[first:stop] for key, value in device.items()}
        ahead.append((predict(variables, frozen, sharding.put_batch(mesh, own)), batch))
        if len(ahead) == 2:
            yield real_rows(*ahead.pop(0))
    yield from (real_rows(*waiting) for waiting in ahead)


def real_rows(outputs: Any, batch: batching.Batch) -> tuple[Arrays, batching.Batch]:
    """Outputs on the device and their batch -> both on the host, without the rows that only fill the batch."""
    device, host = batching.split_host(batch)
    real = int(batch["mask"].sum())
    outputs = trees.to_host(outputs)
    return {k: v[:real] for k, v in outputs.items()}, {k: v[:real] for k, v in device.items()} | host


def videos(rows: Iterator[tuple[Arrays, dict[str, Any]]]) -> Iterator[Video]:
    """(outputs, batch) of clips in their stored order -> one feature record per video; silence counts as no sound.

    Raises:
      ValueError: a video's clips do not follow each other from the first to the last.
    """
    clips = (
        {key: batch[key][i] for key in CLIP_KEYS}
        | {"silent": silent(batch["audio"][i])}
        | {m: rows[i] for m, rows in descriptions(outputs).items()}
        for outputs, batch in rows
        for i in range(len(outputs["logits"]))
    )
    own: list[Video] = []
    for clip in clips:
        own.append(clip)
        if len(own) == int(own[0]["clips"]):
            yield whole_video(own)
            own = []
    if own:
        whole_video(own)


def whole_video(own: list[Video]) -> Video:
    """All clips of a video -> its feature record; raises as `videos`."""
    name = own[0]["video_id"]
    numbers = [int(clip["clip"]) for clip in own]
    if numbers != list(range(int(own[0]["clips"]))) or any(clip["video_id"] != name for clip in own):
        raise ValueError(f"the clips of video {name.decode()} are not whole and in order: run data_prep.verify")
    return {
        "video_id": name,
        "labels": np.flatnonzero(own[0]["labels"]),
        "times": np.asarray([clip["times"] for clip in own], np.float32),
        "image": descriptors(own, "image"),
        "audio": descriptors(own, "audio"),
        "has_audio": bool(own[0]["has_audio"]) and not all(clip["silent"] for clip in own),
    } | {key: descriptors(own, key) for key in schema.GLANCES if key in own[0]}


def descriptors(clips: list[Video], modality: str) -> np.ndarray:
    """(n, d) float16; width 0 if the clip model lacks that modality."""
    if modality not in clips[0]:
        return np.zeros((len(clips), 0), np.float16)
    return np.stack([clip[modality] for clip in clips]).astype(np.float16)
