"""Kinetics-400, -600 and -700 (2019 or 2020), from the CSV lists that are published with the videos.

The lists (columns label, youtube_id, time_start, time_end, split, in some also is_cc) lie beside the videos at
https://github.com/cvdfoundation/kinetics-dataset, under annotations/. What is chosen:

- split: train, val (in some lists "validate") and test go to train, val and test. Old test lists have no column
  label and cannot be prepared.
- classes: those of the training list, in sorted order; a row of another class is set aside as wrong_label. The list
  decides, not the folder in which a video lies.
- files, anywhere below --videos, in class folders or not, with any suffix of a video, in this order:
  ID_000010_000020 (six digits), ID_10_20, ID. The first two are cut already and taken whole; ID alone is a whole
  download, of which time_start to time_end is taken, unless --trimmed says that these are cut too.
- a listed video without a file is set aside as missing. One YouTube video may give several clips.
"""

import argparse
import dataclasses
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from l2l.media.decoding.decoder import Decoder
from l2l.media.scan import MediaError

from .lists import misfit, once, path_of, seconds, table, videos_by_name
from .rows import PrepareError, Row, stable_key

REQUIRED, OPTIONAL = ("label", "youtube_id", "time_start", "time_end", "split"), ("is_cc",)
SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
PROBED = 8  # files named by their id alone that are opened to see whether they are cut
SLACK = 2.0  # seconds; cuts are made at key frames


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of a list: a class, the stretch [start, end) seconds of a YouTube video, and its split."""

    label: str
    youtube_id: str
    start: float
    end: float
    split: str

    @property
    def names(self) -> tuple[str, str, str]:
        """Names of its file without a suffix, the most exact first; the first is the row's id."""
        padded = f"{self.youtube_id}_{int(self.start):06d}_{int(self.end):06d}"
        return padded, f"{self.youtube_id}_{self.start:g}_{self.end:g}", self.youtube_id


def add_arguments(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--lists", nargs="+", required=True, metavar="CSV", help="the published lists, such as train.csv val.csv")
    add("--videos", required=True, help="folder of the videos")
    add("--trimmed", action="store_true", help="files named by the id alone are cut already (default: whole downloads)")


def read(
    videos: str | os.PathLike, lists: Sequence[str | os.PathLike], *, trimmed: bool = False
) -> tuple[list[Row], list[str]]:
    """Lists the clips of CSV lists and their class names in sorted order.

    Raises:
      PrepareError: a mistake in a list, no videos, or files that are evidently not what `trimmed` says.
    """
    entries = read_lists(lists)
    training = {entry.label for entry in entries if entry.split == "train"}
    classes = sorted(training or {entry.label for entry in entries})
    return rows_of(entries, classes, videos, trimmed=trimmed), classes


def read_lists(paths: Iterable[str | os.PathLike]) -> list[Entry]:
    """The rows of all lists, in their order."""
    entries = []
    places: dict[str, str] = {}
    for path in paths:
        for where, cells in table(path, REQUIRED, OPTIONAL):
            entry = _entry(where, cells)
            once(places, entry.names[0], where)
            entries.append(entry)
    return entries


def rows_of(
    entries: Sequence[Entry], classes: Collection[str], videos: str | os.PathLike, *, trimmed: bool
) -> list[Row]:
    """The rows of list entries, with their files and what of these is to be taken."""
    found, known = videos_by_name(videos), set(classes)
    rows, plain = [], []
    for entry in entries:
        path = path_of(entry.names, found, videos)
        problem = misfit([entry.label], known)
        whole = Path(path).stem == entry.youtube_id
        start, end = (entry.start, entry.end) if whole and not trimmed else (None, None)
        rows.append(Row(path, (entry.label,), entry.split, start, end, entry.names[0], problem))
        if whole:
            plain.append((path, entry))
    _check_cut(plain, trimmed)
    return rows


def _entry(where: str, cells: dict[str, str]) -> Entry:
    label, youtube_id, split = (cells[name].strip() for name in ("label", "youtube_id", "split"))
    for name, value in (("label", label), ("youtube_id", youtube_id)):
        if not value:
            raise PrepareError(f"{where}: {name} is empty")
    if split not in SPLITS:
        raise PrepareError(f"{where}: split must be one of {', '.join(SPLITS)}, got {split!r}")
    start, end = (seconds(where, name, cells[name]) for name in ("time_start", "time_end"))
    if start is None or end is None or end <= start:
        raise PrepareError(f"{where}: time_end {cells['time_end']!r} is not after time_start {cells['time_start']!r}")
    return Entry(label, youtube_id, start, end, SPLITS[split])


def _check_cut(plain: Sequence[tuple[str, Entry]], trimmed: bool) -> None:
    """Opens a few of the files that are named by the id alone: are they cut, or not, as the caller says?"""
    whole, cut = [], []
    with Decoder() as decoder:
        for path, entry in sorted(plain, key=lambda x: stable_key(x[0]))[:PROBED]:
            try:
                length = decoder.probe(path).duration
            except MediaError:
                continue
            if length > entry.end - entry.start + SLACK:
                whole.append(path)
            elif length < entry.end - SLACK:
                cut.append(path)
    if trimmed and len(whole) > len(cut):
        raise PrepareError(f"{whole[0]} is longer than its clip, so it is not cut; leave out --trimmed")
    if not trimmed and len(cut) > len(whole):
        raise PrepareError(f"{cut[0]} ends before its clip does, so it is cut already; add --trimmed")
