"""The features of ActivityNet that the paper's authors released -> feature shards.

    python -m data_prep.released_features --features=DIR --lists=DIR --out=data/activitynet_released

--features holds image_features/ and audio_features/, one .npy of (positions, 512) per video; --lists holds train.pkl
and val.pkl, each a list of paths and a list of class numbers. The paths' folders are those of whoever made the list:
only what follows imageAudio_features/ in them counts. (The fused features themselves are not needed.)
"""

import argparse
import dataclasses
import hashlib
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_prep import tfds_metadata
from data_prep.files import tensorflow
from data_prep.rows import PrepareError, stable_key
from data_prep.shards import encode
from l2l.data import safe_pickle, schema

FUSED = "imageAudio_features/"  # what the lists name
MODALITIES = ("image", "audio")
SPLITS = ("train", "val")
SHARDS = 32  # of a split
HOP = 16 / 30  # seconds between positions: the release does not say; 16 frames at 30 a second fit its numbers


@dataclasses.dataclass(frozen=True)
class Video:
    """One line of a list: path below the feature folders, and class number."""

    name: str
    label: int


def read_list(path: Path) -> list[Video]:
    """The videos of one pickle. Raises PrepareError unless it holds as many paths as class numbers."""
    try:
        paths, labels = safe_pickle.load(path)
    except OSError as error:
        raise PrepareError(f"{path} cannot be read: {error.strerror}; --lists needs train.pkl and val.pkl") from error
    except (ValueError, TypeError) as error:
        raise PrepareError(f"{path} is no list of the release, a pair of paths and class numbers: {error}") from error
    plain = isinstance(paths, list) and all(isinstance(x, str) for x in paths)
    numbers = [int(x) for x in labels] if all(isinstance(x, int | np.integer) and x >= 0 for x in labels) else []
    if not plain or not paths or len(paths) != len(numbers):
        raise PrepareError(f"{path} is no list of the release: it needs as many paths as class numbers from 0 on")
    names = [x.replace("\\", "/").rpartition(FUSED)[2].lstrip("/") for x in paths]
    if unsafe := next((x for x in names if ".." in x.split("/")), None):
        raise PrepareError(f"{path} names {unsafe!r}, which lies outside of the feature folders")
    return [Video(name, label) for name, label in zip(names, numbers, strict=True)]


def read_features(features: Path, video: Video) -> dict[str, np.ndarray]:
    """Its descriptors by modality, float16 (n, d). Raises ValueError if they cannot be used."""
    banks = {m: np.load(features / f"{m}_features" / video.name, allow_pickle=False) for m in MODALITIES}
    shapes = {m: x.shape for m, x in banks.items()}
    if len(set(shapes.values())) != 1 or any(x.ndim != 2 or not x.size for x in banks.values()):
        raise ValueError(f"the descriptors are {shapes['image']} of images and {shapes['audio']} of sounds")
    with np.errstate(over="ignore"):
        banks = {m: x.astype(np.float16) for m, x in banks.items()}
    if not all(np.isfinite(x).all() for x in banks.values()):
        raise ValueError("the descriptors have values that are not finite in float16")
    return banks


def record(video: Video, banks: dict[str, np.ndarray], hop: float) -> dict[str, list[Any]]:
    """The values of a feature record, by field."""
    return {
        "video_id": [video.name.removesuffix(".npy").encode()],
        "labels": [video.label],
        "times": [(i + 0.5) * hop for i in range(len(banks["image"]))],
        "image": [banks["image"].astype("<f2").tobytes()],
        "audio": [banks["audio"].astype("<f2").tobytes()],
        "has_audio": [1],
    }


class Writer:
    """Writes shards and remembers what could not be used, and how wide the descriptors are."""

    def __init__(self, features: Path, out: Path, hop: float):
        self.features, self.out, self.hop = features, out, hop
        self.failed: list[dict[str, str]] = []
        self.width: int | None = None

    def records(self, split: str, videos: Sequence[Video], bar: tqdm) -> Iterator[bytes]:
        for video in videos:
            try:
                banks = read_features(self.features, video)
                self._check_width(banks["image"].shape[1])
            except (OSError, ValueError, EOFError) as error:
                status = "missing" if isinstance(error, FileNotFoundError) else "undecodable"
                reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
                self.failed.append({"path": video.name, "split": split, "status": status, "reason": reason})
            else:
                yield encode(record(video, banks, self.hop), schema.FEATURE_RECORD)
            bar.update()

    def _check_width(self, width: int) -> None:
        self.width = self.width or width
        if width != self.width:
            raise ValueError(f"its descriptors have {width} values, those of other videos {self.width}")

    def shard(self, path: Path, records: Iterator[bytes]) -> schema.Shard:
        """Writes one shard, whole or not at all."""
        temporary, count = path.with_name(f".{path.name}.tmp"), 0
        try:
            with tensorflow().io.TFRecordWriter(str(temporary)) as writer:
                for data in records:
                    writer.write(data)
                    count += 1
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return schema.Shard(path.name, count, count, path.stat().st_size, digest)


def convert(features: Path, lists: Path, out: Path, labels: Sequence[str] | None, hop: float = HOP) -> schema.Index:
    """Writes a directory of feature shards.

    Args:
      features: holds image_features/ and audio_features/.
      lists: holds train.pkl and val.pkl.
      out: the directory, which must not be finished yet.
      labels: class names in the order of the numbers; None for the numbers themselves.
      hop: seconds between positions.

    Raises:
      PrepareError: nothing usable there, or a number without a name.
    """
    if (out / schema.INDEX).exists():
        raise PrepareError(f"{out} is finished; delete it to make it again, or choose another --out")
    videos = {split: read_list(lists / f"{split}.pkl") for split in SPLITS}
    highest = max(video.label for video in itertools.chain(*videos.values()))
    labels = tuple(labels or (str(i) for i in range(highest + 1)))
    if highest >= len(labels):
        raise PrepareError(f"the lists have class number {highest}, --labels names only {len(labels)} classes")
    out.mkdir(parents=True, exist_ok=True)
    writer = Writer(features, out, hop)
    splits = {split: tuple(write_split(writer, split, videos[split])) for split in SPLITS}
    if empty := next((split for split, shards in splits.items() if not sum(x.records for x in shards)), None):
        first = next(x for x in writer.failed if x["split"] == empty)
        raise PrepareError(f"no video of split {empty} can be used; the first: {first['path']}: {first['reason']}")
    policy = {
        "clips": dataclasses.asdict(schema.ClipPolicy()),
        "student": {},  # which made them is not known
        "widths": dict.fromkeys(MODALITIES, writer.width),
    }
    index = schema.Index("features", labels, splits, policy, failed=tuple(writer.failed))
    tfds_metadata.write(out, index.kind, index.splits)
    schema.save_index(out, index)
    return index


def write_split(writer: Writer, split: str, videos: Sequence[Video]) -> Iterator[schema.Shard]:
    videos = sorted(videos, key=lambda video: stable_key(video.name))
    total = min(SHARDS, len(videos))
    with tqdm(total=len(videos), desc=split, unit=" videos", disable=None) as bar:
        for number in range(total):
            path = writer.out / schema.shard_name("features", split, number, total)
            yield writer.shard(path, writer.records(split, videos[number::total], bar))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.released_features",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--features", required=True, type=Path, help="folder with the feature folders")
    parser.add_argument("--lists", required=True, type=Path, help="folder with train.pkl and val.pkl")
    parser.add_argument("--out", required=True, type=Path, help="directory for the shards")
    parser.add_argument("--labels", type=Path, help="class names in the order of the numbers, one a line")
    args = parser.parse_args(argv)
    try:
        labels = args.labels.read_text(encoding="utf-8").splitlines() if args.labels else None
        index = convert(args.features, args.lists, args.out, labels)
    except (PrepareError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for split in index.splits:
        print(f"{split}: {index.videos(split)} videos")
    for x in index.failed[:20]:
        print(f"set aside ({x['split']}, {x['status']}): {x['path']}: {x['reason']}")
    print(f"{args.out} is finished: {len(index.labels)} classes, {len(index.failed)} videos set aside")
    return 0


if __name__ == "__main__":
    sys.exit(main())
