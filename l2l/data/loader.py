"""Shards -> batches on the device. The global batch at a step is a function of (seed, step) alone.

A fixed number of streams reads a split, see `order.py`. Stream j supplies the j-th block of rows of every batch and a
process reads only the streams whose rows it owns: neither the number of processes nor a resume changes a batch.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import jax

from l2l.data.batching import Batch, rows_of_process
from l2l.data.order import Files, Order, names_of, records
from l2l.data.tensorflow import tf

PREFETCH = 2  # batches on the device before their turn
TrainDecode = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
EvalDecode = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


def train_batches(order: Order, decode: TrainDecode, *, batch: int, first_step: int) -> Iterator[Batch]:
    """Endless training batches (this process' rows) from `first_step` on; raw records are skipped before decoding.

    Args:
      order: of the examples.
      decode: (record or records, seed (2,) int64, seed (2,) int64) -> example; the first seed is the row's own, the
        second one all rows of the batch share.
      batch: global batch size.
      first_step: first batch to make.

    Raises:
      ValueError: batch, streams and processes do not fit each other; the message names the cure.
    """
    each = check_streams(batch=batch, streams=order.streams)
    first, stop = (row // each for row in rows_of_process(batch))

    def stream(number: tf.Tensor) -> tf.data.Dataset:
        return order.stream(number, first_step * each).map(lambda n, raw: (number, n, raw))

    rows = tf.data.Dataset.range(first, stop).interleave(
        stream,
        cycle_length=stop - first,
        block_length=each,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    examples = rows.map(
        lambda number, n, raw: decode(raw, [order.seed * 65_537 + number, n], [order.seed, n // each]),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return examples.batch(batch // jax.process_count()).prefetch(2).as_numpy_iterator()


def check_streams(*, batch: int, streams: int) -> int:
    """Rows of a batch that each stream supplies. Raises ValueError if the numbers do not fit."""
    processes = jax.process_count()
    if batch % streams:
        raise ValueError(
            f"data.batch={batch} does not divide over data.streams={streams}: leave --config.data.streams=0, or set "
            f"{math.gcd(batch, streams)}"
        )
    if streams % processes:
        may = ", ".join(str(n) for n in range(1, streams + 1) if streams % n == 0)
        raise ValueError(
            f"data.streams={streams} does not divide over {processes} processes: start so many as divide it ({may}), "
            f"or begin another run with --config.data.streams={processes}"
        )
    return batch // streams


def eval_records(shards: Sequence[Files], decode: EvalDecode, *, batch: int) -> Iterator[Batch]:
    """Every record once, in order, decoded in parallel.

    `decode` is also told whether the record's row, in batches of this global size, is one that this process feeds.
    """
    first, stop = rows_of_process(batch)
    raw = tf.data.Dataset.from_tensor_slices(names_of(shards)).flat_map(records).enumerate()
    own = lambda number: (number % batch >= first) & (number % batch < stop)
    examples = raw.map(lambda n, x: decode(x, own(n)), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.prefetch(4).as_numpy_iterator()
