"""Shards -> batches on the device. The global batch at a step is a function of (seed, step) alone.

The shards of a split are dealt to a fixed number of streams. Stream j supplies the j-th block of rows of every batch
and a process reads only the streams whose rows it owns: neither the number of processes nor a resume changes a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax

from l2l.data.batches import Batch, rows_of_process
from l2l.data.quiet_tf import tf

PREFETCH = 2  # batches on the device before their turn
Files = Path | tuple[Path, ...]  # a shard; or files whose records go side by side, one by one
TrainDecode = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
EvalDecode = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


def _names(shards: Sequence[Files]) -> tf.Tensor:
    """Paths as strings: (n,), or (n, k) where every shard is k files."""
    return tf.constant([str(x) if isinstance(x, Path) else [str(path) for path in x] for x in shards])


def _records(names: tf.Tensor) -> tf.data.Dataset:
    """The serialised records of a file; of files (k,), vectors (k,) of what goes together."""
    if names.shape.rank == 0:
        return tf.data.TFRecordDataset(names)
    files = tuple(tf.data.TFRecordDataset(names[i]) for i in range(names.shape[0]))
    return tf.data.Dataset.zip(files).map(lambda *raw: tf.stack(raw))


def _stream(shards: Sequence[tuple[Files, int]], seed: int, number: int, *, skip: int, buffer: int) -> tf.data.Dataset:
    """(position, serialised record) of one stream from position `skip` on, for ever, reshuffled every epoch."""
    names = _names([files for files, _ in shards])
    first_epoch, rest = divmod(skip, sum(count for _, count in shards))

    def epoch(e: tf.Tensor) -> tf.data.Dataset:
        files = tf.random.experimental.stateless_shuffle(names, [seed * 1009 + number, e])
        raw = tf.data.Dataset.from_tensor_slices(files).interleave(
            _records, cycle_length=4, num_parallel_calls=2, deterministic=True
        )
        return raw.shuffle(buffer, seed=e * 1009 + seed, reshuffle_each_iteration=False)

    raw = tf.data.Dataset.counter(first_epoch).flat_map(epoch)
    return raw.skip(rest).enumerate(start=skip)


def train_batches(
    shards: Sequence[tuple[Files, int]],
    decode: TrainDecode,
    *,
    batch: int,
    streams: int,
    seed: int,
    first_step: int,
    shuffle: int,
) -> Iterator[Batch]:
    """Endless training batches (this process' rows) from `first_step` on; raw records are skipped before decoding.

    Args:
      shards: (files, number of records) of every shard, in order.
      decode: (record or records, seed (2,) int64, step) -> example; the seed is the row's own, the step is shared by
        the batch.
      batch: global batch size.
      streams: number of fixed streams.
      seed: of the order and of the augmentation.
      first_step: first batch to make.
      shuffle: records in each stream's shuffle buffer.

    Raises:
      ValueError: batch, streams, shards and processes do not fit each other; the message names the cure.
    """
    per_stream = check_streams(shards, batch=batch, streams=streams)
    datasets = []
    first, stop = (row // per_stream for row in rows_of_process(batch))
    for number in range(first, stop):
        own = [shard for i, shard in enumerate(shards) if i % streams == number]
        raw = _stream(own, seed, number, skip=first_step * per_stream, buffer=shuffle)
        row_seed = tf.constant([seed, number], tf.int64)
        rows = raw.map(lambda n, x, s=row_seed: (n // per_stream, tf.stack([s[0] * 65_537 + s[1], n]), x))
        datasets.append(rows.batch(per_stream))
    joined = tf.data.Dataset.zip(tuple(datasets)).map(
        lambda *parts: tuple(tf.concat(column, 0) for column in zip(*parts, strict=True))
    )
    examples = joined.unbatch().map(
        lambda step, row_seed, raw: decode(raw, row_seed, step),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return examples.batch(batch // jax.process_count()).prefetch(2).as_numpy_iterator()


def check_streams(shards: Sequence[tuple[Files, int]], *, batch: int, streams: int) -> int:
    """Rows of a batch that each stream supplies. Raises ValueError if the numbers do not fit."""
    filled = [i for i, (_, count) in enumerate(shards) if count]
    if len({i % streams for i in filled}) < streams:
        raise ValueError(
            f"{len(filled)} filled shards cannot feed data.streams={streams}: "
            f"set --config.data.streams={max(1, len(filled))} or prepare the data with more shards"
        )
    if batch % streams or streams % jax.process_count():
        raise ValueError(
            f"data.batch={batch} must be a multiple of data.streams={streams}, "
            f"and that of the {jax.process_count()} processes"
        )
    return batch // streams


def eval_records(shards: Sequence[Files], decode: EvalDecode, *, batch: int) -> Iterator[Batch]:
    """Every record once, in order, decoded in parallel.

    `decode` is also told whether the record's row, in batches of this global size, is one that this process feeds.
    """
    first, stop = rows_of_process(batch)
    raw = tf.data.Dataset.from_tensor_slices(_names(shards)).flat_map(_records).enumerate()
    own = lambda number: (number % batch >= first) & (number % batch < stop)
    examples = raw.map(lambda n, x: decode(x, own(n)), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.prefetch(4).as_numpy_iterator()
