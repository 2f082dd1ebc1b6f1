"""The user's own videos: a folder of class folders, or a CSV file."""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep import files
from data_prep.lists import seconds, table, videos_in
from data_prep.rows import PrepareError, Row, name_of, stable_key

REQUIRED, OPTIONAL = ("path", "label", "split"), ("start", "end")


def add_arguments(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--videos", required=True, help="folder of class folders, or a CSV file with columns path,label,split")
    add_val(parser)


def add_val(parser: argparse._ActionsContainer) -> None:
    note = "share of a folder's videos for validation (default: 0.2)"
    parser.add_argument("--val", type=float, default=0.2, help=note)


def read(videos: str | os.PathLike, *, val: float = 0.2) -> tuple[list[Row], list[str]]:
    """Lists the videos of a folder `DIR/<class>/<video>` or of a CSV file, and their class names in sorted order.

    Args:
      videos: the folder or the file. A CSV has a header and the columns path (relative to the file), label (several
        separated by "|"), split (any name) and, optionally, start and end in seconds.
      val: share of each class of a folder that goes into the split `val`, the rest into `train`. Which videos is
        settled by their names; a class with two videos or more has one in both.

    Raises:
      PrepareError: nothing there, or a mistake in the CSV.
    """
    if files.is_folder(videos):
        rows = list(_folder_rows(videos, val))
    elif os.path.isfile(videos):
        path = Path(videos)
        rows = [_csv_row(path, where, cells) for where, cells in table(path, REQUIRED, OPTIONAL)]
    else:
        raise PrepareError(f"{videos} does not exist: --videos takes a folder of class folders or a CSV file")
    return rows, sorted({label for row in rows for label in row.labels})


def _folder_rows(root: str | os.PathLike, val: float) -> Iterator[Row]:
    _, folders, _ = next(files.walk(root))
    classes: dict[str, list[str]] = {name: [] for name in folders if name[0] != "."}
    for name in videos_in(root):
        if "/" in name:
            classes[name.split("/", 1)[0]].append(name)
    if not any(classes.values()):
        raise PrepareError(
            f"{root} holds no videos in class folders: it needs one folder per class with video files inside, or, to "
            "distil without labels, --dataset=unlabelled"
        )
    empty = [name for name, inside in classes.items() if not inside]
    if empty:
        raise PrepareError(f"{files.join(root, empty[0])} holds no videos: fill or remove this class folder")
    for label, inside in classes.items():
        yield from split_rows(root, sorted(inside), (label,), val)


def split_rows(root: str | os.PathLike, names: Sequence[str], labels: tuple[str, ...], val: float) -> Iterator[Row]:
    """Rows of the videos with these names below `root`; which of them are the share `val` is settled by the names.

    Raises:
      PrepareError: an impossible share.
    """
    if not 0 <= val < 1:
        raise PrepareError(f"the share of validation videos must be at least 0 and below 1, got {val}")
    ids = {name: name_of(name) for name in names}
    held = 0 if len(names) < 2 or val == 0 else min(max(round(val * len(names)), 1), len(names) - 1)
    chosen = set(sorted(ids.values(), key=stable_key)[:held])
    for name, video_id in ids.items():
        yield Row(files.join(root, name), labels, "val" if video_id in chosen else "train", video_id=video_id)


def _csv_row(path: Path, where: str, cells: dict[str, str]) -> Row:
    labels = [label.strip() for label in cells["label"].split("|")]
    for name, value in (("path", cells["path"]), ("split", cells["split"]), *(("label", x) for x in labels)):
        if not value.strip():
            raise PrepareError(f"{where}: {name} is empty")
    start, end = (seconds(where, name, cells.get(name) or "") for name in OPTIONAL)
    if end is not None and end <= (start or 0):
        raise PrepareError(f"{where}: end {end:g} is not after start {start or 0:g}")
    file = cells["path"] if files.is_remote(cells["path"]) else path.parent / cells["path"]
    video_id = name_of(cells["path"], start, end)
    return Row(str(file), tuple(dict.fromkeys(labels)), cells["split"].strip(), start, end, video_id)
