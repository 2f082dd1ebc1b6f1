"""Mini-Sports1M: 30 training and 10 test videos of 2 to 5 minutes for each of the 487 classes of Sports-1M.

Sports-1M's lists (labels.txt, original/train_partition.txt, original/test_partition.txt, lines "URL id,id") lie at
https://github.com/gtoderici/sports-1m-dataset, and JSON lists with durations (sports1m_json.zip) at
https://cs.stanford.edu/people/karpathy/deepvideo. The split that "Listen to Look" used was never published: figures on
a choice made here are not comparable to the paper's, video by video. What is chosen:

- split: the training partition gives train, the test partition val.
- candidates have exactly one label, which makes the count per class plain, stand once in both partitions together,
  and last 120 to 300 seconds. With --durations the published durations tell, and a chosen video that is not on the disk
  is set aside as missing; without, only videos on the disk are candidates, and each is opened to measure it.
- of them the first ones in an order that --seed and the video's id settle. So the same lists, durations (or videos) and
  seed give the same choice, and one video more or less changes at most one place of a class.
- --choice=DIR keeps the choice as DIR/train_partition.txt and DIR/test_partition.txt. If it is there already, made here
  or by others in the same format, all of it is taken: several labels too, and whatever the durations.
- classes: the 487 of labels.txt in its order. Files are ID with any suffix of a video, anywhere below --videos.
"""

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path

from tqdm import tqdm

from l2l.media.decoding.decoder import Decoders
from l2l.media.scan import MediaError

from .lists import lines, load_json, once, path_of, videos_by_name
from .rows import PrepareError, Row, stable_key

COUNTS = {"train": 30, "test": 10}  # videos of a class, by partition
SPLITS = {"train": "train", "test": "val"}
SECONDS = (120.0, 300.0)
URL = "https://www.youtube.com/watch?v="

Partition = dict[str, tuple[int, ...]]  # YouTube id -> label ids


def add_arguments(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--lists", required=True, help="folder of the published lists (a clone of sports-1m-dataset)")
    add("--videos", required=True, help="folder of the videos")
    add("--durations", nargs="+", default=(), metavar="JSON", help="sports1m_train.json sports1m_test.json")
    add("--choice", metavar="DIR", help="where the choice is kept: read if it is there, else written")
    add("--seed", type=int, default=0, help="another seed, another choice (default: 0)")


def read(
    videos: str | os.PathLike,
    lists: str | os.PathLike,
    *,
    durations: Sequence[str | os.PathLike] = (),
    choice: str | os.PathLike | None = None,
    seed: int = 0,
) -> tuple[list[Row], list[str]]:
    """Lists the chosen videos, and all class names in the order of their numbers.

    Raises:
      PrepareError: a mistake in a list, or no videos.
    """
    places: dict[str, str] = {}
    for where, line in lines(Path(lists) / "labels.txt"):
        once(places, line, where)
    labels = list(places)
    found = videos_by_name(videos)
    if choice and all(_path(Path(choice), kind) for kind in COUNTS):
        chosen = _partitions(Path(choice), len(labels), unique=True)
        print(f"taking the videos chosen in {choice}")
    else:
        measured = _listed(durations) if durations else _probed(found)
        chosen = choose(_partitions(Path(lists), len(labels), unique=False), measured, seed)
        report(chosen, labels)
        if choice:
            _keep(Path(choice), chosen)
    rows = [
        Row(path_of([x], found, videos), tuple(labels[i] for i in ids), SPLITS[kind], video_id=x)
        for kind, partition in chosen.items()
        for x, ids in partition.items()
    ]
    return rows, labels


def choose(
    partitions: dict[str, Partition], duration: Callable[[str], float | None], seed: int
) -> dict[str, Partition]:
    """Takes the first fitting videos of every class and partition.

    Args:
      partitions: of Sports-1M, by name.
      duration: gives the seconds of a video, None where they are not known. It is called from several threads.
      seed: settles the order.

    Returns:
      The chosen videos, by partition, class by class.
    """
    named = Counter(x for partition in partitions.values() for x in partition)
    queues: dict[tuple[str, int], list[str]] = {}
    for kind, partition in partitions.items():
        for video_id, ids in partition.items():
            if len(ids) == 1 and named[video_id] == 1:
                queues.setdefault((kind, ids[0]), []).append(video_id)

    def fitting(key: tuple[str, int]) -> list[str]:
        taken: list[str] = []
        for video_id in sorted(queues[key], key=lambda x: stable_key(f"{seed}/{x}")):
            if len(taken) == COUNTS[key[0]]:
                break
            if SECONDS[0] <= (duration(video_id) or 0) <= SECONDS[1]:
                taken.append(video_id)
        return taken

    keys = sorted(queues)
    pool = futures.ThreadPoolExecutor(os.cpu_count())
    try:
        interval = 0.2 if sys.stderr.isatty() else 10
        results = tqdm(pool.map(fitting, keys), "choosing", len(keys), unit=" classes", mininterval=interval)
        taken = list(results)
    finally:
        pool.shutdown(cancel_futures=True)
    return {
        kind: {x: (key[1],) for key, ids in zip(keys, taken, strict=True) if key[0] == kind for x in ids}
        for kind in partitions
    }


def report(chosen: dict[str, Partition], labels: Sequence[str]) -> None:
    """Prints how many were chosen, and which class has the fewest where some have too few."""
    for kind, partition in chosen.items():
        counts = Counter(i for ids in partition.values() for i in ids)
        short = [i for i in range(len(labels)) if counts[i] < COUNTS[kind]]
        note = f"; {len(short)} classes have fewer than {COUNTS[kind]}" if short else ""
        fewest = min(short, key=lambda i: counts[i], default=None)
        note += "" if fewest is None else f", {labels[fewest]!r} has {counts[fewest]}"
        print(f"chosen from the {kind} partition: {len(partition)} videos of 2 to 5 minutes{note}")


def _path(folder: Path, kind: str) -> Path | None:
    names = [f"{top}{kind}_partition.txt{end}" for top in ("original/", "") for end in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _partitions(folder: Path, classes: int, *, unique: bool) -> dict[str, Partition]:
    """Both partitions of a folder; what stands in one twice gets both sets of labels, or is refused if `unique`."""
    places: dict[str, str] = {}
    partitions: dict[str, Partition] = {}
    for kind in COUNTS:
        path = _path(folder, kind)
        partition: Partition = {}
        if path is None:
            raise PrepareError(f"{folder} has no {kind}_partition.txt, neither in original/ nor beside it")
        for where, line in lines(path):
            video_id, ids = _video(where, line, classes)
            if unique:
                once(places, video_id, where)
            partition[video_id] = partition.get(video_id, ()) + ids
        partitions[kind] = partition
    return partitions


def _video(where: str, line: str, classes: int) -> tuple[str, tuple[int, ...]]:
    """A line `https://www.youtube.com/watch?v=ID 168,169`."""
    match = re.fullmatch(r"(?:https?://www\.youtube\.com/watch\?v=)?([\w-]+)\s+(\d{1,9}(?:,\d{1,9})*)", line, re.ASCII)
    if not match:
        raise PrepareError(f"{where}: expected {URL}ID and label numbers as in 168,169, got {line!r}")
    ids = tuple(int(number) for number in match[2].split(","))
    if max(ids) >= classes:
        raise PrepareError(f"{where}: label {max(ids)} is not one of 0 to {classes - 1}, the lines of labels.txt")
    return match[1], tuple(dict.fromkeys(ids))


def _listed(paths: Sequence[str | os.PathLike]) -> Callable[[str], float | None]:
    """Durations as published: lists of objects that have an id and a duration in seconds."""
    durations: dict[str, float] = {}
    for path in paths:
        entries = load_json(path)
        if not isinstance(entries, list):
            raise PrepareError(f"{path} is not a list of videos with id and duration, as in sports1m_json.zip")
        for number, entry in enumerate(entries, 1):
            match entry:
                case {"id": str(video_id), "duration": int() | float() as duration}:
                    durations[video_id] = duration
                case _:
                    raise PrepareError(f"{path}, entry {number}: expected an id and a duration, got {entry!r:.200}")
    return durations.get


def _probed(found: dict[str, str]) -> Callable[[str], float | None]:
    """Durations of the files on the disk; None for what is not there or cannot be used."""

    decoders = Decoders()

    def duration(video_id: str) -> float | None:
        try:
            return decoders.probe(found[video_id]).duration
        except (KeyError, MediaError):
            return None

    return duration


def _keep(folder: Path, chosen: dict[str, Partition]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, partition in chosen.items():
        path = folder / f"{kind}_partition.txt"
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text("".join(f"{URL}{x} {','.join(map(str, ids))}\n" for x, ids in partition.items()))
        os.replace(temporary, path)
