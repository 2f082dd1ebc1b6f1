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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from l2l.core import command, safe_pickle
from l2l.data import schema
from l2l.media.container import MediaError
from l2l.media.policy import ClipPolicy

from .datasets.lists import lines, once
from .datasets.rows import PrepareError, Row
from .shards import feature_shards, plan
from .shards.arrays import Modality, bank, with_width
from .shards.feature_shards import Described
from .shards.plan import Plan
from .shards.shard import Account

FUSED = "imageAudio_features/"  # what the lists name
PAIR, DEEP = ("image", "audio"), ("r2plus1d152",)  # the folders NAME_features of the two directories
LEFT_OUT = 2  # positions: clips cut at both ends of a video and single frames from its middle differ by so many
SPLITS = ("train", "val")
SHARDS = 32  # of a split
CLASSES = 10**5  # at most
CUT = "the last positions are left out"
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


def kind_of(features: Path, kind: str, rows: Sequence[Row]) -> Modality:
    """The features of a kind, and their width. Raises PrepareError if there are none."""
    return with_width(Modality(features / f"{kind}_features", HOP), rows)


def read_features(kinds: Mapping[str, Modality], row: Row) -> tuple[dict[str, np.ndarray], int]:
    """Descriptors (n, d) by kind, and how many positions are left out. Raises MediaError if not usable."""
    banks = {kind: bank(modality, row) for kind, modality in kinds.items()}
    if lacking := next((kinds[kind].folder.name for kind, found in banks.items() if found is None), None):
        raise MediaError("missing", row.path, f"it is not in {lacking}")
    found = {kind: own for kind, own in banks.items() if own is not None}
    count, *_, most = sorted([len(x) for x in found.values()] * 2)
    if most - count > LEFT_OUT or len({len(found[kind]) for kind in PAIR if kind in found}) > 1:
        said = " and ".join(f"{x.shape} in {kinds[kind].folder.name}" for kind, x in found.items())
        raise MediaError("undecodable", row.path, f"the descriptors are {said}: not of the same positions")
    return {kind: x[:count] for kind, x in found.items()}, most - count


def describer(kinds: Mapping[str, Modality], own: Sequence[str]) -> Callable[[Row], Described]:
    """What reads a video for the directory of its `own` kinds; it lacks in all directories where it lacks in one."""

    def describe(row: Row) -> Described:
        found, spare = read_features(kinds, row)
        image, *audio = (found[kind] for kind in own)
        times = (np.arange(len(image)) + 0.5) * HOP
        nothing = np.zeros((len(image), 0), np.float16)
        return Described(times, image, audio[0] if audio else nothing, bool(audio), (CUT,) if spare else ())

    return describe


def convert(
    features: Path,
    listed: Path,
    out: Path | None,
    labels: Sequence[str] | None,
    out_r2plus1d152: Path | None = None,
) -> schema.Index:
    """Writes a directory of feature shards, or two that go together.

    Args:
      features: holds image_features/ and audio_features/, or r2plus1d152_features/.
      listed: holds train.pkl and val.pkl.
      out: the directory of images and sounds; None for none.
      labels: class names in the order of the numbers; None for the numbers themselves.
      out_r2plus1d152: likewise of the features of R(2+1)D-152.

    Returns:
      The index of the first of them.

    Raises:
      PrepareError: nothing usable there, or a number without a name.
    """
    outs = {own: folder for own, folder in ((PAIR, out), (DEEP, out_r2plus1d152)) if folder}
    if not outs:
        raise PrepareError("name a directory to make: --out or --out_r2plus1d152")
    videos = read_lists(listed)
    highest = max(video.label for video in itertools.chain(*videos.values()))
    labels = tuple(labels or (str(i) for i in range(highest + 1)))
    if highest >= len(labels):
        raise PrepareError(f"the lists have class number {highest}, --labels names only {len(labels)} classes")
    rows = [
        Row(video.name, (labels[video.label],), split, video_id=video.name.removesuffix(".npy"))
        for split, own in videos.items()
        for video in own
    ]
    kinds = {kind: kind_of(features, kind, rows) for own in outs for kind in own}
    facts = {f"{kind} width": modality.width for kind, modality in kinds.items()}
    name = lambda row: row.path
    asked = {
        own: feature_shards.make(rows, labels, folder, facts, shards=SHARDS, name=name) for own, folder in outs.items()
    }
    with contextlib.ExitStack() as stack:
        for one in asked.values():
            stack.enter_context(plan.claimed(one, 0, len(one.jobs)))
        for own, one in asked.items():
            feature_shards.write(one, describer(kinds, own))
        accounts = {own: feature_shards.collect(one) for own, one in asked.items()}
        first, *_ = [save(one, accounts[own], [kinds[kind].width for kind in own]) for own, one in asked.items()]
        return first


def save(asked: Plan, accounts: Mapping[str, Account], widths: Sequence[int]) -> schema.Index:
    """Writes the index of one of the directories, and returns it."""
    image, *audio = widths
    policy = {
        "clips": dataclasses.asdict(ClipPolicy()),
        "student": {},  # which made them is not known
        "widths": {"image": image, "audio": sum(audio)},
    }
    cut = sum(CUT in notes for account in accounts.values() for notes in account.notes)
    left_out = f"of {cut} videos the last positions, up to {LEFT_OUT}, are left out: not all features have them"
    return feature_shards.save(asked, accounts, policy, (left_out,) if cut else ())


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
    return command.status(lambda: convert_told(args))


def convert_told(args: argparse.Namespace) -> None:
    """Converts, and says what was."""
    labels, deep = class_names(args.labels), args.out_r2plus1d152
    index = convert(args.features, args.lists, args.out, labels, out_r2plus1d152=deep)
    for split in index.splits:
        print(f"{split}: {index.videos(split)} videos")
    for x in index.failed[:20]:
        print(f"set aside ({x['split']}, {x['status']}): {x['path']}: {x['reason']}")
    for note in index.notes:
        print(note)
    made = " and ".join(str(out) for out in (args.out, deep) if out)
    print(f"{made} is finished: {len(index.labels)} classes, {len(index.failed)} videos set aside")


if __name__ == "__main__":
    command.run(main)
