"""The user's own videos: a folder of class folders, or a CSV file."""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

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
    path = Path(videos)
    if path.is_dir():
        rows = list(_folder_rows(path, val))
    elif path.is_file():
        rows = [_csv_row(path, where, cells) for where, cells in table(path, REQUIRED, OPTIONAL)]
    else:
        raise PrepareError(f"{path} does not exist: --videos takes a folder of class folders or a CSV file")
    return rows, sorted({label for row in rows for label in row.labels})


def _folder_rows(root: Path, val: float) -> Iterator[Row]:
    classes = {d.name: sorted(videos_in(d)) for d in sorted(root.iterdir()) if d.is_dir() and d.name[0] != "."}
    if not any(classes.values()):
        raise PrepareError(
            f"{root} holds no videos in class folders: it needs one folder per class with video files inside, or, to "
            "distil without labels, --dataset=unlabelled"
        )
    empty = [name for name, files in classes.items() if not files]
    if empty:
        raise PrepareError(f"{root / empty[0]} holds no videos: fill or remove this class folder")
    for label, files in classes.items():
        yield from split_rows(root, files, (label,), val)


def split_rows(root: Path, files: Sequence[Path], labels: tuple[str, ...], val: float) -> Iterator[Row]:
    """Rows of files under `root`; which of them are the share `val` is settled by their names.

    Raises:
      PrepareError: an impossible share.
    """
    if not 0 <= val < 1:
        raise PrepareError(f"the share of validation videos must be at least 0 and below 1, got {val}")
    ids = sorted((name_of(f.relative_to(root)) for f in files), key=stable_key)
    held = 0 if len(files) < 2 or val == 0 else min(max(round(val * len(files)), 1), len(files) - 1)
    chosen = set(ids[:held])
    for file in files:
        video_id = name_of(file.relative_to(root))
        yield Row(str(file), labels, "val" if video_id in chosen else "train", video_id=video_id)


def _csv_row(path: Path, where: str, cells: dict[str, str]) -> Row:
    labels = [label.strip() for label in cells["label"].split("|")]
    for name, value in (("path", cells["path"]), ("split", cells["split"]), *(("label", x) for x in labels)):
        if not value.strip():
            raise PrepareError(f"{where}: {name} is empty")
    start, end = (seconds(where, name, cells.get(name) or "") for name in OPTIONAL)
    if end is not None and end <= (start or 0):
        raise PrepareError(f"{where}: end {end:g} is not after start {start or 0:g}")
    file, video_id = path.parent / cells["path"], name_of(cells["path"], start, end)
    return Row(str(file), tuple(dict.fromkeys(labels)), cells["split"].strip(), start, end, video_id)
