"""A directory of shards opened for one model: checked once, then read in training or evaluation order."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l.data import batching, faults, loader, schema
from l2l.data.clips import ClipReader, drawn
from l2l.data.features import FeatureReader, PairReader, check_pair
from l2l.data.order import Files, Order
from l2l.data.preprocess import crop_side
from l2l.media.policy import ClipPolicy

DRAWS = ("video", "clip")


@dataclasses.dataclass(frozen=True)
class Source:
    """Shards, their index, and the reader that decodes their records."""

    directory: Path
    index: schema.Index
    reader: ClipReader | FeatureReader

    @property
    def clips(self) -> ClipReader:
        """The reader of clips. Raises ShardError where the shards are read as features."""
        if not isinstance(self.reader, ClipReader):
            raise schema.ShardError(
                f"{self.directory} is read as features, which have no pictures for a teacher to see: name a model that "
                "sees clips in --config.model.name, and clip shards in --config.data.dir"
            )
        return self.reader

    def shards(self, split: str) -> Sequence[tuple[Files, int]]:
        """(files, records) of each shard. Raises ShardError if one is missing or cut."""
        return self._own(split)

    def _own(self, split: str) -> list[tuple[Path, int]]:
        paths = schema.shard_paths(self.directory, self.index, split)
        return [(path, shard.records) for path, shard in zip(paths, self.index.splits[split], strict=True)]

    def examples(self, split: str, draw: str) -> int:
        """How many an epoch of training has: its videos, or with draw "clip" its records; see `train`."""
        return sum(self._examples(split, draw))

    def train(
        self, split: str, *, draw: str, batch: int, streams: int, seed: int, first_step: int, shuffle: int
    ) -> Iterator[batching.Batch]:
        """Endless batches; see `Order` and `loader.train_batches` for the numbers.

        Args:
          split: whose examples.
          draw: "video": an epoch has one clip of every video, the next epoch another one; "clip": it has them all.

        Raises:
          ValueError, ShardError: a choice that there is not, numbers that do not fit, or nothing to train on; later, a
            record that cannot be used.
        """
        counts, shards = self._examples(split, draw), self.shards(split)
        keep = drawn if sum(counts) < self.index.records(split) else None
        order = Order([(x, count) for (x, _), count in zip(shards, counts, strict=True)], streams, seed, shuffle, keep)
        faults.check(shards)
        rows = loader.train_batches(order, self.reader.train, batch=batch, first_step=first_step)
        decode = lambda raw, own: self.reader.train(raw, [seed, 0], [seed, 0])
        search = lambda: loader.eval_records([x for x, _ in shards], decode, batch=batch)
        return faults.told_of_some(rows, search, self.directory, shards)

    def _examples(self, split: str, draw: str) -> list[int]:
        """How many of every shard."""
        if draw not in DRAWS:
            raise ValueError(f"config.data.draw={draw!r} is not known: choose {' or '.join(DRAWS)}")
        self.shards(split)
        counts = [shard.videos if draw == "video" else shard.records for shard in self.index.splits[split]]
        if not sum(counts):
            raise schema.ShardError(
                f"{self.directory} has no video in its split {split!r} to train on: index.json says why each was set "
                "aside; prepare it again, or set --config.data.train=SPLIT"
            )
        return counts

    def eval(self, split: str, *, batch: int) -> Iterator[batching.Batch]:
        """Every record of the split once, in padded batches with a mask."""
        return self.eval_paths([path for path, _ in self.shards(split)], batch=batch)

    def eval_paths(self, paths: Sequence[Files], *, batch: int) -> Iterator[batching.Batch]:
        """As `eval`, of some of the shards. Raises ShardError at a record that cannot be used."""
        known = {shard.file: shard.records for own in self.index.splits.values() for shard in own}
        shards = [(x, known[(x if isinstance(x, Path) else x[0]).name]) for x in paths]
        faults.check(shards)
        records = faults.told(loader.eval_records(paths, self.reader.eval, batch=batch), shards)
        return batching.eval_batches(records, batch=batch, fit=self.reader.fit)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SideBySide(Source):
    """Shards, and beside each of them one of another directory whose records go with its records, one by one."""

    beside: Path
    beside_index: schema.Index

    def shards(self, split: str) -> list[tuple[tuple[Path, Path], int]]:
        """((path, path beside it), records) of each shard. Raises ShardError if one is missing or cut."""
        beside = schema.shard_paths(self.beside, self.beside_index, split)
        return [((path, other), n) for (path, n), other in zip(self._own(split), beside, strict=True)]


def open_clips(directory: str, *, frames: int, crop: int, resize: int, scale: float, flip: bool) -> Source:
    """Opens clip shards for a model that looks at `frames` images of `crop` pixels, cut from `resize` high ones.

    Raises:
      ShardError: no finished clip shards there.
      ValueError: they hold fewer or smaller images than the model needs.
    """
    index = schema.load_index(directory, kind="clips")
    policy = ClipPolicy(**index.policy)
    if policy.frames < frames:
        raise ValueError(
            f"{directory} has {policy.frames} images a clip, data.frames={frames} asks for more: "
            f"prepare it with --frames={frames} or set --config.data.frames={policy.frames}"
        )
    side, largest = crop_side(crop, resize, policy.short_side), max(policy.short_side, policy.width or 0)
    reader = ClipReader(frames=frames, side=side, classes=len(index.labels), scale=scale, flip=flip, largest=largest)
    return Source(Path(directory), index, reader)


def open_features(directory: str, *, lengths: tuple[int, ...], recognition: str = "") -> Source:
    """Opens feature shards.

    Args:
      directory: of the shards.
      lengths: numbers of positions that batches are padded to.
      recognition: a second directory, of features that another model has of the same videos at the same times.

    Raises:
      ShardError: no finished feature shards there, or the two do not go together.
    """
    index = schema.load_index(directory, kind="features")
    widths = widths_of(directory, index)
    numbers = (widths["image"], widths["audio"], len(index.labels), tuple(lengths))
    if not recognition:
        return Source(Path(directory), index, FeatureReader(*numbers, glances=index.policy.get("glances", {})))
    beside = schema.load_index(recognition, kind="features")
    others = widths_of(recognition, beside)
    reader = PairReader(*numbers, others=(others["image"], others["audio"]))
    check_splits(directory, index, recognition, beside)
    source = SideBySide(Path(directory), index, reader, beside=Path(recognition), beside_index=beside)
    for split in index.splits:
        for pair, _ in source.shards(split):
            check_pair(*pair)
    return source


def widths_of(directory: str, index: schema.Index) -> dict[str, int]:
    """How wide the descriptors are. Raises ShardError if the index does not say."""
    if "widths" not in index.policy:
        raise schema.ShardError(
            f"{directory}/{schema.INDEX} does not say how wide its descriptors are: extract it again"
        )
    return index.policy["widths"]


def check_splits(directory: str, index: schema.Index, recognition: str, beside: schema.Index) -> None:
    """Raises ShardError unless two directories have the same splits, shards of as many videos, and the same labels."""
    counts = lambda index: {split: [x.videos for x in shards] for split, shards in index.splits.items()}
    if counts(index) != counts(beside) or index.labels != beside.labels:
        raise schema.ShardError(
            f"{directory} and {recognition} do not describe the same videos with the same labels: prepare the clips of "
            "both from the same list of videos, and extract both again"
        )


def reads_features(config: Mapping[str, Any]) -> bool:
    """Whether a config's model reads feature shards; else it reads clips."""
    return config["task"] == "skim" or config["model"]["name"] == "fusion"


def source_of(config: Mapping[str, Any], directory: str) -> Source:
    """Opens a directory of shards the way a config's model reads it; raises as the two above."""
    data = config["data"]
    if reads_features(config):
        return open_features(directory, lengths=tuple(data["lengths"]), recognition=config["recognition"])
    return open_clips(directory, **{key: data[key] for key in ("frames", "crop", "resize", "scale", "flip")})
