"""The features of ActivityNet that the paper's authors released -> feature shards.

    python -m data_prep.released_features --features=DIR --lists=DIR --out=data/activitynet_released \\
        --out_r2plus1d152=data/activitynet_r2plus1d152

--features holds image_features/ and audio_features/ (for --out) and r2plus1d152_features/ (for --out_r2plus1d152), one
.npy of (positions, values) per video; --lists holds train.pkl and val.pkl, each a list of paths and a list of class
numbers. The paths' folders are those of whoever made the list: only what follows imageAudio_features/ in them counts.
(The fused features themselves are not needed.)

Of the two directories one is enough. Made together they hold the same videos in the same order at the same times, so
that one can say where to look and the other, by config.recognition, what is there: a video that lacks in one is set
aside in both. The features of R(2+1)D-152 lie in the place of images; there is no sound. Which clips they are of was
not published: the n-th are taken to belong together. If there are up to LEFT_OUT more of one kind the last of these
are left out, which is said; if there are more, the video is set aside.
"""

import argparse
import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from l2l.core import archive, command, safe_pickle
from l2l.core.atomic import demand_file
from l2l.data import schema
from l2l.media.policy import ClipPolicy

from .datasets.lists import lines, once
from .datasets.rows import PrepareError, stable_key
from .shards import tfds_metadata
from .shards.locks import locked
from .shards.shard import encode, sha256_of
from .storage import tensorflow

FUSED = "imageAudio_features/"  # what the lists name
PAIR, DEEP = ("image", "audio"), ("r2plus1d152",)  # the folders NAME_features of the two directories
LEFT_OUT = 2  # positions: clips cut at both ends of a video and single frames from its middle differ by so many
SPLITS = ("train", "val")
SHARDS = 32  # of a split
CLASSES = 10**5  # at most
HOP = 16 / 30  # seconds between positions: the release does not say; 16 frames at 30 a second fit its numbers


@dataclasses.dataclass(frozen=True)
class Video:
    """One line of a list: path below the feature folders, and class number."""

    name: str
    label: int


def read_list(path: Path) -> list[Video]:
    """The videos of one pickle. Raises PrepareError unless it holds as many paths as class numbers, each path once."""
    try:
        paths, labels = safe_pickle.load(path)
    except OSError as error:
        raise PrepareError(f"{path} cannot be read: {error.strerror}; --lists needs train.pkl and val.pkl") from error
    except (ValueError, TypeError) as error:
        raise PrepareError(f"{path} is no list of the release, a pair of paths and class numbers: {error}") from error
    plain = isinstance(paths, list) and all(isinstance(x, str) for x in paths)
    whole = isinstance(labels, list | tuple | np.ndarray) and all(
        isinstance(x, int | np.integer) and 0 <= x < CLASSES for x in labels
    )
    if not plain or not paths or not whole or len(paths) != len(labels):
        raise PrepareError(f"{path} is no list of the release: it needs as many paths as class numbers from 0 on")
    numbers = [int(x) for x in labels]
    names = [x.replace("\\", "/").rpartition(FUSED)[2].lstrip("/") for x in paths]
    if unsafe := next((x for x in names if ".." in x.split("/")), None):
        raise PrepareError(f"{path} names {unsafe!r}, which lies outside of the feature folders")
    return [Video(name, label) for name, label in zip(names, numbers, strict=True)]


def read_lists(folder: Path) -> dict[str, list[Video]]:
    """The videos of all splits. Raises PrepareError for a mistake in a list, or a video that stands twice."""
    videos = {split: read_list(folder / f"{split}.pkl") for split in SPLITS}
    places: dict[str, str] = {}
    for split, listed in videos.items():
        for number, video in enumerate(listed, 1):
            once(places, video.name, f"{folder / f'{split}.pkl'}, path {number}")
    return videos


def read_features(features: Path, video: Video, names: Sequence[str]) -> tuple[dict[str, np.ndarray], int]:
    """Descriptors by name, float16 (n, d), and how many positions are left out. Raises ValueError if not usable."""
    banks = {name: _bank(features / f"{name}_features" / video.name) for name in names}
    said = " and ".join(f"{x.shape} in {name}_features" for name, x in banks.items())
    if any(x.ndim != 2 or not x.size for x in banks.values()):
        raise ValueError(f"the descriptors are {said}")
    count, *_, most = sorted([len(x) for x in banks.values()] * 2)
    if most - count > LEFT_OUT or len({banks[name].shape for name in PAIR if name in banks}) > 1:
        raise ValueError(f"the descriptors are {said}: not of the same positions")
    with np.errstate(over="ignore"):
        banks = {name: x[:count].astype(np.float16) for name, x in banks.items()}
    if not all(np.isfinite(x).all() for x in banks.values()):
        raise ValueError("the descriptors have values that are not finite in float16")
    return banks, most - count


def _bank(path: Path) -> np.ndarray:
    demand_file(path)
    return archive.array(path.name, path.read_bytes())


def record(video: Video, image: np.ndarray, audio: np.ndarray | None = None, *, hop: float) -> dict[str, list[Any]]:
    """The values of a feature record, by field."""
    return {
        "video_id": [video.name.removesuffix(".npy").encode()],
        "labels": [video.label],
        "times": [(i + 0.5) * hop for i in range(len(image))],
        "image": [image.astype("<f2").tobytes()],
        "audio": [b"" if audio is None else audio.astype("<f2").tobytes()],
        "has_audio": [int(audio is not None)],
    }


class Writer:
    """Writes the shards of all directories side by side.

    Attributes:
      outs: the kinds of features that a directory holds, `PAIR` or `DEEP` -> the directory.
      failed: what the index says of videos that were set aside.
      widths: of the descriptors, by kind.
      cut: how many videos have positions that are left out.
    """

    def __init__(self, features: Path, outs: dict[tuple[str, ...], Path], hop: float):
        self.features, self.outs, self.hop = features, outs, hop
        self.failed: list[dict[str, str]] = []
        self.widths: dict[str, int] = {}
        self.cut = 0

    def banks(self, split: str, video: Video) -> dict[str, np.ndarray] | None:
        """A video's descriptors by kind; None, with the reason in `failed`, where they cannot be used."""
        try:
            banks, spare = read_features(self.features, video, [kind for kinds in self.outs for kind in kinds])
            self._check_widths({kind: bank.shape[1] for kind, bank in banks.items()})
        except (OSError, ValueError, EOFError) as error:
            status = "missing" if isinstance(error, FileNotFoundError) else "undecodable"
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            self.failed.append({"path": video.name, "split": split, "status": status, "reason": reason})
            return None
        self.cut += spare > 0
        return banks

    def _check_widths(self, widths: dict[str, int]) -> None:
        self.widths = self.widths or widths
        if widths != self.widths:
            raise ValueError(f"its descriptors have {widths} values, those of other videos {self.widths}")

    def shards(self, name: str, split: str, videos: Sequence[Video], bar: tqdm) -> list[schema.Shard]:
        """Writes a shard of every directory; both are there whole, or none."""
        count, paths = 0, [out / name for out in self.outs.values()]
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(whole(path)) for path in paths]
            for video in videos:
                banks = self.banks(split, video)
                for kinds, writer in zip(self.outs, writers, strict=True) if banks else ():
                    values = record(video, *(banks[kind] for kind in kinds), hop=self.hop)
                    writer.write(encode(values, schema.FEATURE_RECORD))
                count += banks is not None
                bar.update()
        return [schema.Shard(name, count, count, path.stat().st_size, sha256_of(path)) for path in paths]


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Any]:
    """A writer of records; the file appears when it ends well."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with tensorflow().io.TFRecordWriter(str(temporary)) as writer:
            yield writer
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def convert(
    features: Path,
    lists: Path,
    out: Path | None,
    labels: Sequence[str] | None,
    hop: float = HOP,
    out_r2plus1d152: Path | None = None,
) -> schema.Index:
    """Writes a directory of feature shards, or two that go together.

    Args:
      features: holds image_features/ and audio_features/, or r2plus1d152_features/.
      lists: holds train.pkl and val.pkl.
      out: the directory of images and sounds, which must not be finished yet; None for none.
      labels: class names in the order of the numbers; None for the numbers themselves.
      hop: seconds between positions.
      out_r2plus1d152: likewise of the features of R(2+1)D-152.

    Returns:
      The index of the first of them.

    Raises:
      PrepareError: nothing usable there, or a number without a name.
    """
    outs = {kinds: out for kinds, out in ((PAIR, out), (DEEP, out_r2plus1d152)) if out}
    if not outs:
        raise PrepareError("name a directory to make: --out or --out_r2plus1d152")
    videos, writer = read_lists(lists), Writer(features, outs, hop)
    highest = max(video.label for video in itertools.chain(*videos.values()))
    labels = tuple(labels or (str(i) for i in range(highest + 1)))
    if highest >= len(labels):
        raise PrepareError(f"the lists have class number {highest}, --labels names only {len(labels)} classes")
    with contextlib.ExitStack() as stack:
        for folder in outs.values():
            stack.enter_context(locked(folder))
            if (folder / schema.INDEX).exists():
                raise PrepareError(f"{folder} is finished; delete it to make it again, or choose another --out")
        return _written(writer, videos, labels)


def _written(writer: Writer, videos: dict[str, list[Video]], labels: tuple[str, ...]) -> schema.Index:
    splits = {split: list(write_split(writer, split, videos[split])) for split in SPLITS}
    if empty := next((split for split, shards in splits.items() if not sum(own[0].records for own in shards)), None):
        first = next(x for x in writer.failed if x["split"] == empty)
        raise PrepareError(f"no video of split {empty} can be used; the first: {first['path']}: {first['reason']}")
    first, *_ = [save(writer, number, labels, splits) for number in range(len(writer.outs))]
    return first


def save(
    writer: Writer, number: int, labels: tuple[str, ...], splits: dict[str, list[list[schema.Shard]]]
) -> schema.Index:
    """Writes the index of one of the writer's directories, and returns it."""
    kinds, out = list(writer.outs.items())[number]
    image, *audio = (writer.widths[kind] for kind in kinds)
    policy = {
        "clips": dataclasses.asdict(ClipPolicy()),
        "student": {},  # which made them is not known
        "widths": {"image": image, "audio": sum(audio)},
    }
    left_out = f"of {writer.cut} videos the last positions, up to {LEFT_OUT}, are left out: not all features have them"
    notes = (left_out,) if writer.cut else ()
    own = {split: tuple(shards[number] for shards in by_number) for split, by_number in splits.items()}
    index = schema.Index("features", labels, own, policy, failed=tuple(writer.failed), notes=notes)
    tfds_metadata.write(out, out.absolute().name, index)
    schema.save_index(out, index)
    return index


def write_split(writer: Writer, split: str, videos: Sequence[Video]) -> Iterator[list[schema.Shard]]:
    """The shards of a split in turn, each in all directories."""
    videos = sorted(videos, key=lambda video: stable_key(video.name))
    total = min(SHARDS, len(videos))
    with tqdm(total=len(videos), desc=split, unit=" videos", disable=None) as bar:
        for number in range(total):
            name = schema.shard_name("features", split, number, total)
            yield writer.shards(name, split, videos[number::total], bar)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("data_prep.released_features"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--features", required=True, type=Path, help="folder with the feature folders")
    add("--lists", required=True, type=Path, help="folder with train.pkl and val.pkl")
    add("--out", type=Path, help="directory for the shards of images and sounds")
    add("--out_r2plus1d152", type=Path, metavar="OUT", help="directory for those of R(2+1)D-152")
    add("--labels", type=Path, help="class names in the order of the numbers, one a line")
    return result


def class_names(path: Path | None) -> list[str] | None:
    """The lines of a text file; raises PrepareError if one stands twice."""
    if path is None:
        return None
    places: dict[str, str] = {}
    for where, line in lines(path):
        once(places, line, where)
    return list(places)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    try:
        labels, deep = class_names(args.labels), args.out_r2plus1d152
        index = convert(args.features, args.lists, args.out, labels, out_r2plus1d152=deep)
    except (PrepareError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for split in index.splits:
        print(f"{split}: {index.videos(split)} videos")
    for x in index.failed[:20]:
        print(f"set aside ({x['split']}, {x['status']}): {x['path']}: {x['reason']}")
    for note in index.notes:
        print(note)
    made = " and ".join(str(out) for out in (args.out, deep) if out)
    print(f"{made} is finished: {len(index.labels)} classes, {len(index.failed)} videos set aside")
    return 0


if __name__ == "__main__":
    command.run(main)
