"""The user's own videos: a folder of class folders, or a CSV file.

- classes: the names of the folders, or the labels of the CSV, in sorted order. A CSV has a header and the columns path
  (relative to the file, or gs://...), label (several separated by "|") and perhaps split, start and end (seconds).
- --unit: a row of a CSV with start and end is that stretch of its file (segment, the default), for clips. With
  --unit=video, for the video level, the rows of one file are one whole video with all their labels, and their stretches
  go into actions.json, by which evaluation tells how often a skimmer looks inside one.
- split: the CSV's column decides, and may name train, val and test, or what --splits names; so do folders train, val,
  test (training, validation, valid, testing) with class folders in them. Of class folders alone, and of a CSV without
  that column, a fifth of each class goes to val and another to test, settled by the names of the files alone; all
  stretches of a file go together, a file of several classes counts for the first of them by name.
- one file, whatever links or paths lead to it, is one video: in two classes or splits it is refused.
- small classes: one with two videos has one in test. Where any class has fewer than four there is no val, unless --val
  asks for it. --test=0 gives train and val as releases did that knew no test split.
"""

import argparse
import dataclasses
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from l2l.media.folders import there

from .. import storage
from . import same_files
from .layout import Place, arranged
from .lists import once, seconds, table, videos_in
from .rows import PrepareError, Row, decided, name_of, one_form, say_forms, stable_key

REQUIRED, OPTIONAL = ("path", "label"), ("split", "start", "end")
SPLITS = ("train", "val", "test")
UNITS = ("segment", "video")
SHARE = 0.2  # of validation and of test videos
Share = float | None  # None: a fifth, as far as there are enough videos
ENOUGH = 4  # videos of a class: half for training, one each for validation and test


def add_arguments(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    note = "folder of class folders, or a CSV file with columns path,label and, if you like, split,start,end"
    add("--videos", required=True, help=note)
    add_shares(parser)
    note = (
        "what a row of a CSV stands for: its stretch of the file, or the whole file, whose labelled stretches it tells"
    )
    add("--unit", choices=UNITS, default="segment", help=f"{note} (default: segment)")
    note = "names that a CSV may have in its column split, separated by commas"
    add("--splits", type=lambda text: tuple(text.split(",")), default=SPLITS, help=f"{note} (default: train,val,test)")


def add_shares(parser: argparse._ActionsContainer) -> None:
    add, which = parser.add_argument, "where no list names the splits, share of each class's videos for"
    note = f"default: {SHARE:g}, or none if a class has fewer than {ENOUGH} videos"
    add("--val", type=float, help=f"{which} validation ({note})")
    add("--test", type=float, help=f"{which} the test (default: {SHARE:g})")


def read(
    videos: str | os.PathLike,
    *,
    val: Share = None,
    test: Share = None,
    splits: Sequence[str] = SPLITS,
    unit: str = "segment",
) -> tuple[list[Row], list[str]]:
    """Lists the videos of a folder `DIR/<class>/<video>` or of a CSV file, and their class names in sorted order.

    Args:
      videos: the folder or the file. A CSV has a header and the columns path (relative to the file), label (several
        separated by "|") and, optionally, split, and start and end in seconds.
      val: share of each class that goes into the split `val`; None for a fifth, see `shared_out`.
      test: share of each class that goes into the split `test`; None for a fifth. Both are for what names no splits.
      splits: the names that a CSV's column split may have.
      unit: "segment", a row of a CSV is its stretch; "video", rows of one file are one whole video.

    Raises:
      PrepareError: nothing there, or a mistake in the CSV.
    """
    if storage.is_folder(videos):
        _check_unnamed(videos, splits)
        if unit == "video":
            raise PrepareError(f"{videos} is a folder of whole videos, --unit=video is about a CSV: leave it out")
        rows = _folder_rows(videos, val, test)
    elif os.path.isfile(videos):
        rows = _csv_rows(Path(videos), val, test, splits, unit)
    else:
        raise PrepareError(f"{videos} does not exist: --videos takes a folder of class folders or a CSV file")
    labels = sorted({label for row in rows for label in row.labels})
    say_numbers(labels)
    return rows, labels


def say_numbers(labels: Sequence[str]) -> None:
    """Names that are numbers keep the order of text, in which every release had them."""
    if all(re.fullmatch(r"-?\d{1,99}", label) for label in labels) and labels != sorted(labels, key=int):
        known = ", ".join(labels[:4])
        decided(f"the class names are numbers and in the order of text ({known}, ...): a label id is not such a number")


def shared_out(classes: Mapping[str, Collection[str]], val: Share, test: Share) -> dict[str, str]:
    """Which split every video goes to, settled by the names of its class alone.

    A class with two videos or more has one in `test`, and one with three also in `val`, unless their shares are 0. If
    `val` is None and a class is too small, there is no `val`: it would say little. `test` 0 leaves `val` as it is.

    Args:
      classes: the names of each class's videos; "" for videos without labels.
      val: share of each class for validation; None for a fifth where every class is large enough.
      test: share of each class for the test; None for a fifth.

    Raises:
      PrepareError: impossible shares.
    """
    share, test = (SHARE if x is None else x for x in (val, test))
    if not (0 <= share < 1 and 0 <= test < 1 and share + test < 1):
        raise PrepareError(f"--val={share:g} --test={test:g}: shares must be at least 0 and below 1, also together")
    smallest = min(classes, key=lambda name: (len(classes[name]), name))
    if val is None and test and len(classes[smallest]) < ENOUGH:
        share = 0
        _say_too_small(smallest, len(classes[smallest]))
    split_of: dict[str, str] = {}
    for names in classes.values():
        order, (held, kept) = sorted(names, key=stable_key), _counts(len(names), share, test)
        split_of |= dict.fromkeys(order, "train") | dict.fromkeys(order[:held], "val")
        split_of |= dict.fromkeys(order[held : held + kept], "test")
    return split_of


def _counts(videos: int, val: float, test: float) -> tuple[int, int]:
    """How many of a class's videos are for validation and for the test; training keeps one at least."""
    share = lambda part, spare: min(max(round(part * videos), 1), spare) if part else 0
    tested = share(test, videos - 1)
    return share(val, videos - 1 - tested), tested


def _say_too_small(label: str, videos: int) -> None:
    count = f"{videos} video{'s' * (videos != 1)}"
    whose, of = (f"class {label} has {count}", ", of the larger classes") if label else (f"{count} in all", "")
    decided(
        f"too small for a validation split ({whose}): trainings keep their last step; "
        f"--val={SHARE:g} makes one all the same{of}"
    )


def _folder_rows(root: str | os.PathLike, val: Share, test: Share) -> list[Row]:
    inside = videos_in(root)
    places = arranged(inside, labels=True)
    if not places:
        raise PrepareError(
            f"{root} holds no videos in class folders: it needs one folder per class with video files inside, or, to "
            "distil without labels, --dataset=unlabelled"
        )
    if not any(place.split for place in places.values()):
        _, folders, _ = next(storage.walk(root))
        used = {name.split("/", 1)[0] for name in places}
        empty = [name for name in folders if name[0] != "." and name not in used]
        if empty:
            raise PrepareError(f"{storage.join(root, empty[0])} holds no videos: fill or remove this class folder")
    return rows_of(root, places, val, test)


def rows_of(root: str | os.PathLike, places: Mapping[str, Place], val: Share, test: Share) -> list[Row]:
    """Rows of the videos below `root`, whose places are known; shared out where the folders name no splits."""
    ids = {name: name_of(name) for name in places}
    row = lambda name, place: Row(
        storage.join(root, name), (place.label,) if place.label else (), place.split, video_id=ids[name]
    )
    rows = [row(name, place) for name, place in sorted(places.items())]
    if any(x.split for x in rows):
        if (val, test) != (None, None):
            decided(f"the folders of {root} decide: --val and --test change nothing")
        return rows
    classes: dict[str, list[str]] = {}
    for name, place in places.items():
        classes.setdefault(place.label, []).append(ids[name])
    split_of = shared_out(classes, val, test)
    return [dataclasses.replace(x, split=split_of[x.video_id]) for x in rows]


def _csv_rows(path: Path, val: Share, test: Share, splits: Sequence[str], unit: str) -> list[Row]:
    """The rows of a CSV; with unit "video" those of one file are one."""
    places: dict[str, str] = {}
    rows, names, labels = [], [], []
    for where, cells in table(path, REQUIRED, OPTIONAL):
        row, name = _csv_row(path, where, cells, splits)
        once(places, row.video_id, where)
        rows.append(row)
        names.append(name)
        labels += [label.strip() for label in cells["label"].split("|")]
    say_forms(path, labels)
    of = [same_files.file_of(row.path) for row in rows]
    same_files.check(path, rows, list(places.values()), of)
    if rows[0].split and (val, test) != (None, None):
        decided(f"the column split of {path} decides: --val and --test change nothing")
    if not rows[0].split:
        _check_unnamed(path, splits)
        name_of_file = dict(zip(reversed(of), reversed(names), strict=True))  # the first of its paths
        rows = _split_up(rows, [name_of_file[file] for file in of], val, test)
    return rows if unit == "segment" else same_files.whole(rows, list(places.values()), of, names)


def _check_unnamed(videos: str | os.PathLike, splits: Sequence[str]) -> None:
    if tuple(splits) != SPLITS:
        raise PrepareError(f"{videos} has no column split, which --splits={','.join(splits)} is about: leave it out")


def _csv_row(path: Path, where: str, cells: Mapping[str, str], splits: Sequence[str]) -> tuple[Row, str]:
    """A row, and the id that its whole file would have; its split is "" where the list has no splits."""
    labels = [one_form(label.strip()) for label in cells["label"].split("|")]
    cells = {name: text.strip() if name == "split" else text for name, text in cells.items()}
    named = [(name, cells[name]) for name in ("path", "split") if name in cells]
    for name, value in (*named, *(("label", x) for x in labels)):
        if not value.strip():
            raise PrepareError(f"{where}: {name} is empty")
    if (split := cells.get("split", "")) and split not in splits:
        raise PrepareError(
            f"{where}: split {split!r} is none of {', '.join(splits)}: mend it, or name all splits that the list "
            f"should have, such as --splits=train,{split}"
        )
    start, end = (seconds(where, name, cells.get(name) or "") for name in ("start", "end"))
    if end is not None and end <= (start or 0):
        raise PrepareError(f"{where}: end {end:g} is not after start {start or 0:g}")
    name, file = _file(path.parent, cells["path"])
    row = Row(file, tuple(dict.fromkeys(labels)), split, start, end, name_of(name, start, end))
    return row, name_of(name)


def _file(folder: Path, cell: str) -> tuple[str, str]:
    """The path in a cell, without blanks around it unless a file is called so; and where that is."""
    if storage.is_remote(cell):
        return cell.strip(), cell.strip()
    places = {name: there(str(folder / name)) for name in (cell, cell.strip())}
    return next((pair for pair in places.items() if os.path.lexists(pair[1])), (cell.strip(), places[cell.strip()]))


def _split_up(rows: Sequence[Row], names: Sequence[str], val: Share, test: Share) -> list[Row]:
    """The rows with splits: files shared out by the first of their labels by name, all stretches of one together.

    Args:
      rows: without splits.
      names: of each row's file.
      val: share for validation.
      test: share for the test.
    """
    label_of: dict[str, str] = {}
    for name, row in zip(names, rows, strict=True):
        label_of[name] = min(label_of.get(name, row.labels[0]), *row.labels)
    classes: dict[str, list[str]] = {}
    for name, label in label_of.items():
        classes.setdefault(label, []).append(name)
    split_of = shared_out(classes, val, test)
    return [dataclasses.replace(row, split=split_of[name]) for name, row in zip(names, rows, strict=True)]
