"""Records -> padded batches, in numpy: evaluation of shards and `infer` pad in the same way."""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from l2l.data import schema

Arrays = dict[str, np.ndarray]

Batch = dict[str, np.ndarray]

BANKS = ("image", "audio", "recognition", "cells", "regions")  # one row a position
# Of a record; never sent to a device. In a batch they are arrays of objects, one an example: their shapes may differ.
HOST_KEYS = ("video_id", "clip", "clips", "times")


def rows_of_process(batch: int) -> tuple[int, int]:
    """[first, stop) rows of a global batch that this process feeds."""
    share = batch // jax.process_count()
    return jax.process_index() * share, (jax.process_index() + 1) * share


def eval_batches(records: Iterator[Batch], *, batch: int, fit: Callable[[Batch], tuple[int, Batch]]) -> Iterator[Batch]:
    """Groups records into padded global batches; `mask` says which rows are real, `example` counts records from 0.

    `fit` gives a record's bucket and the record padded to it: records of one bucket share a batch.
    """
    waiting: dict[int, list[Batch]] = {}
    for example, record in enumerate(records):
        bucket, record = fit(record)
        rows = waiting.setdefault(bucket, [])
        rows.append(record | {"example": np.array(example, np.int32)})
        if len(rows) == batch:
            yield _stack(waiting.pop(bucket), batch)
    for bucket in sorted(waiting):
        yield _stack(waiting[bucket], batch)


def _stack(rows: list[Batch], batch: int) -> Batch:
    stacked = {key: np.stack([row[key] for row in rows]) for key in rows[0] if key not in HOST_KEYS}
    missing = batch - len(rows)
    padded = {k: np.concatenate([v, np.zeros((missing, *v.shape[1:]), v.dtype)]) for k, v in stacked.items()}
    host = {key: _column([row[key] for row in rows]) for key in HOST_KEYS if key in rows[0]}
    return padded | host | {"mask": np.arange(batch) < len(rows)}


def _column(values: Sequence[object]) -> np.ndarray:
    """Values of any kind -> an array (n,) of these objects."""
    column = np.empty(len(values), object)
    for i, value in enumerate(values):
        column[i] = value
    return column


def split_host(batch: Batch) -> tuple[Batch, Batch]:
    """(what goes to the device, what stays on the host)."""
    device = {key: value for key, value in batch.items() if key not in HOST_KEYS}
    return device, {key: value for key, value in batch.items() if key in HOST_KEYS}


def fit_positions(video: Batch, lengths: Sequence[int]) -> tuple[int, Batch]:
    """(bucket, the video's banks padded to that many positions, with "valid" bool (bucket,)).

    The bucket is the smallest of `lengths` that holds the video, the largest one doubled until it does.
    """
    n = len(video["image"])
    bucket = next((length for length in sorted(lengths) if length >= n), max(lengths))
    while bucket < n:
        bucket *= 2
    banks = {key: np.pad(video[key], [(0, bucket - n), (0, 0)]) for key in BANKS if key in video}
    return bucket, video | banks | {"valid": np.arange(bucket) < n}


def descriptions(outputs: Arrays) -> Arrays:
    """The "image" and "audio" descriptors that a clip model gives; of one that has neither, its feature for "image".

    With what it says of the picture's regions, if it does.
    """
    near = {key: outputs[key] for key in schema.GLANCES if key in outputs}
    return near | ({m: outputs[m] for m in ("image", "audio") if m in outputs} or {"image": outputs["feature"]})
