"""The user's own videos: a folder of class folders, or a CSV file."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.rows import PrepareError, Row, name_of, stable_key

SUFFIXES = {".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
SUFFIXES |= {".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
REQUIRED, OPTIONAL = ("path", "label", "split"), ("start", "end")


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
        rows = list(_csv_rows(path))
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


def videos_in(folder: Path) -> Iterator[Path]:
    """The video files in a folder, however deep; hidden files and folders are passed over."""
    for directory, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if name[0] != "."]
        yield from (Path(directory, n) for n in names if n[0] != "." and Path(n).suffix.lower() in SUFFIXES)


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or [])
            count = 0
            for count, cells in enumerate(reader, 1):  # noqa: B007
                yield _csv_row(path, reader.line_num, cells)
    except (UnicodeDecodeError, csv.Error) as error:
        raise PrepareError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if not count:
        raise PrepareError(f"{path} lists no videos: it has a header and no rows")


def _check_columns(path: Path, columns: list[str]) -> None:
    known = ", ".join((*REQUIRED, *OPTIONAL))
    if missing := [c for c in REQUIRED if c not in columns]:
        raise PrepareError(f"{path} has no column {missing[0]!r}; the columns are {known} (start and end optional)")
    if unknown := [c for c in columns if c not in REQUIRED + OPTIONAL]:
        raise PrepareError(f"{path} has a column {unknown[0]!r}, which means nothing here; the columns are {known}")


def _csv_row(path: Path, line: int, cells: dict[str, str | None]) -> Row:
    where = f"{path}, line {line}"
    if None in cells or None in cells.values():
        raise PrepareError(f"{where}: another number of cells than the header has columns")
    labels = [label.strip() for label in cells["label"].split("|")]
    for name, value in (("path", cells["path"]), ("split", cells["split"]), *(("label", x) for x in labels)):
        if not value.strip():
            raise PrepareError(f"{where}: {name} is empty")
    start, end = (_seconds(where, name, cells.get(name) or "") for name in OPTIONAL)
    if end is not None and end <= (start or 0):
        raise PrepareError(f"{where}: end {end:g} is not after start {start or 0:g}")
    file, video_id = path.parent / cells["path"], name_of(cells["path"], start, end)
    return Row(str(file), tuple(dict.fromkeys(labels)), cells["split"].strip(), start, end, video_id)


def _seconds(where: str, name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise PrepareError(f"{where}: {name} must be seconds from 0 on, got {text!r}")
    return value
