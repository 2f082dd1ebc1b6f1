"""Which example comes when in training: a function of seed and position alone.

In every epoch the shards of a split, permuted, are one sequence of examples, of which each of a fixed number of streams
takes a contiguous block. The blocks' lengths differ by one at most, and by turns: wherever the streams stand together,
no example was drawn more than once more than another.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from l2l.data.tensorflow import tf

NUMBER = 2  # of this order; a run that has begun in another one cannot be continued in it
STREAMS = 32  # at most, where nothing else is asked
BY_TURNS = 4  # shards of a block that are read side by side

Files = Path | tuple[Path, ...]  # a shard; or files whose records go side by side, one by one
Keep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def streams_of(batch: int) -> int:
    """How many streams feed a batch where nothing else is asked: a power of two that divides it.

    So many processes can share it, or half as many, or a quarter, ...
    """
    return math.gcd(batch, STREAMS)


def names_of(shards: Sequence[Files]) -> tf.Tensor:
    """Paths as strings: (n,), or (n, k) where every shard is k files."""
    return tf.constant([str(x) if isinstance(x, Path) else [str(path) for path in x] for x in shards])


def records(names: tf.Tensor) -> tf.data.Dataset:
    """The serialised records of a file; of files (k,), vectors (k,) of what goes together."""
    if names.shape.rank == 0:
        return tf.data.TFRecordDataset(names)
    files = tuple(tf.data.TFRecordDataset(names[i]) for i in range(names.shape[0]))
    return tf.data.Dataset.zip(files).map(lambda *raw: tf.stack(raw))


@dataclasses.dataclass(frozen=True)
class Order:
    """The order of a split's examples.

    Attributes:
      shards: (files, number of examples) of every shard; one example at least in all.
      streams: how many there are.
      seed: of the order.
      shuffle: records in the shuffle buffers of all streams together.
      keep: (record, seed, epoch) -> whether that epoch draws it, so many of each shard as it has examples; None: all.
    """

    shards: Sequence[tuple[Files, int]]
    streams: int
    seed: int
    shuffle: int
    keep: Keep | None = None

    def stream(self, number: tf.Tensor, first: int) -> tf.data.Dataset:
        """(position, serialised record) of stream `number` (int64) from position `first` on, for ever."""
        epoch = ((first + 1) * self.streams - 1 - number) // self._total  # the last one with passed(epoch) <= first
        raw = tf.data.Dataset.counter(epoch).flat_map(lambda e: self._block(number, e))
        return raw.skip(first - self._passed(number, epoch)).enumerate(first)

    @property
    def _total(self) -> int:
        return sum(count for _, count in self.shards)

    def _passed(self, number: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """How many examples a stream has drawn before an epoch."""
        return (epoch * self._total + number) // self.streams

    def _block(self, number: tf.Tensor, epoch: tf.Tensor) -> tf.data.Dataset:
        """The records of a stream in an epoch, some of its shards by turns, shuffled.

        A shard that has fewer than it should is an error: it would move all that follow, or be asked again for ever.
        """
        exactly = tf.data.experimental.assert_cardinality
        read = lambda names, skip, take: self._examples(names, epoch).skip(skip).take(take).apply(exactly(take))
        raw = self._pieces(number, epoch).interleave(
            read, cycle_length=BY_TURNS, num_parallel_calls=2, deterministic=True
        )
        seed = (self.seed * 1009 + epoch) * self.streams + number
        return raw.shuffle(-(-self.shuffle // self.streams), seed=seed, reshuffle_each_iteration=False)

    def _pieces(self, number: tf.Tensor, epoch: tf.Tensor) -> tf.data.Dataset:
        """(names, how many examples to skip, how many to take) of every shard that a block has a part of."""
        streams = tf.range(number + 1)
        lengths = self._passed(streams, epoch + 1) - self._passed(streams, epoch)
        stop = tf.reduce_sum(lengths)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(self.shards)), [self.seed, epoch])
        counts = tf.gather(tf.constant([count for _, count in self.shards], tf.int64), order)
        begin = tf.cumsum(counts, exclusive=True)
        skip = tf.maximum(stop - lengths[-1] - begin, 0)
        take = tf.minimum(stop - begin, counts) - skip
        names = tf.gather(names_of([files for files, _ in self.shards]), order)
        return tf.data.Dataset.from_tensor_slices((names, skip, take)).filter(lambda _, skip, take: take > 0)

    def _examples(self, names: tf.Tensor, epoch: tf.Tensor) -> tf.data.Dataset:
        """Those records of a shard that an epoch draws."""
        if self.keep is None:
            return records(names)
        return records(names).filter(lambda raw: self.keep(raw, self.seed, epoch))
