"""What the readers in `data_prep/datasets` share: the lines, tables and numbers of a list, the videos on the disk.

A reader is a module with `add_arguments(parser)`, which declares its flags, and `read(...)`, whose parameters are
those flags; `read` gives the rows of all splits and the class names. Its docstring says what it chooses.
"""

import csv
import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_prep import files
from data_prep.rows import PrepareError
from l2l.data.schema import VIDEO_SUFFIXES


def videos_in(folder: str | os.PathLike) -> Iterator[str]:
    """Paths below a folder that have a suffix of a video, hidden ones left out; each as it stands below the folder."""
    root = os.fspath(folder).rstrip("/")
    for place, _, names in files.walk(root):
        inner = place[len(root) :].lstrip("/")
        if not any(part.startswith(".") for part in inner.split("/")):
            shown = [n for n in names if n[0] != "." and os.path.splitext(n)[1].lower() in VIDEO_SUFFIXES]
            yield from (f"{inner}/{name}".lstrip("/") for name in shown)


def videos_by_name(folder: str | os.PathLike) -> dict[str, str]:
    """One walk over a folder: a video's name without its suffix -> its path, the first where several have one name.

    Raises:
      PrepareError: the folder does not exist or holds no videos.
    """
    if not files.is_folder(folder):
        raise PrepareError(f"{folder} does not exist: --videos takes the folder of the downloaded videos")
    found: dict[str, str] = {}
    for name in videos_in(folder):
        found.setdefault(Path(name).stem, files.join(folder, name))
    if not found:
        raise PrepareError(f"{folder} holds no videos: --videos takes the folder of the downloaded videos")
    return found


def path_of(names: Iterable[str], found: Mapping[str, str], folder: str | os.PathLike) -> str:
    """The path of the first of `names` that was found; if there is none, where the first was expected."""
    first, *_ = names = list(names)
    return next((found[name] for name in names if name in found), os.path.join(folder, f"{first}.mp4"))


def lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """The lines of a text file, plain or gzipped, that are not blank, each with "FILE, line N" for messages.

    Raises:
      PrepareError: no such file, not text, or nothing in it.
    """
    kind = gzip.open if Path(path).suffix == ".gz" else open
    count = 0
    try:
        with kind(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    count += 1
                    yield f"{path}, line {number}", line.strip()
    except FileNotFoundError as error:
        raise PrepareError(f"{path} does not exist") from error
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise PrepareError(f"{path} is not a text file in UTF-8: {error}") from error
    if not count:
        raise PrepareError(f"{path} is empty")


def table(
    path: str | os.PathLike, required: Collection[str], optional: Collection[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with a header, by column, each with "FILE, line N" for messages.

    Raises:
      PrepareError: no such file, not a CSV, a column that lacks or that nobody knows, no rows, a row of another length.
    """
    count = 0
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or [], required, optional)
            for count, cells in enumerate(reader, 1):  # noqa: B007
                where = f"{path}, line {reader.line_num}"
                if None in cells or None in cells.values():
                    raise PrepareError(f"{where}: another number of cells than the header has columns")
                yield where, cells
    except FileNotFoundError as error:
        raise PrepareError(f"{path} does not exist") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise PrepareError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if not count:
        raise PrepareError(f"{path} lists no videos: it has a header and no rows")


def _check_columns(
    path: str | os.PathLike, columns: Collection[str], required: Collection[str], optional: Collection[str]
) -> None:
    known = f"{', '.join((*required, *optional))} (optional: {', '.join(optional)})"
    if missing := [c for c in required if c not in columns]:
        raise PrepareError(f"{path} has no column {missing[0]!r}; the columns are {known}")
    if unknown := [c for c in columns if c not in {*required, *optional}]:
        raise PrepareError(f"{path} has a column {unknown[0]!r}, which means nothing here; the columns are {known}")


def load_json(path: str | os.PathLike) -> Any:
    """The value in a JSON file.

    Raises:
      PrepareError: no such file, not JSON, or a name that stands twice in one object.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
            raise PrepareError(f"{path}: {twice!r} stands twice{_lines_of(text, twice)}; remove one")
        return value

    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        return json.loads(text, object_pairs_hook=unique)
    except FileNotFoundError as error:
        raise PrepareError(f"{path} does not exist") from error
    except ValueError as error:
        raise PrepareError(f"{path} is not a JSON file in UTF-8: {error}") from error


def _lines_of(text: str, name: str) -> str:
    """On which lines of a JSON text a name stands, if it is in no more than two places."""
    found = [text.count("\n", 0, match.start()) + 1 for match in re.finditer(rf'"{re.escape(name)}"\s*:', text)]
    return f", on lines {found[0]} and {found[1]}" if len(found) == 2 else ""


def seconds(where: str, name: str, text: str) -> float | None:
    """A time in seconds; None where the text is blank.

    Raises:
      PrepareError: not a number from 0 on.
    """
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise PrepareError(f"{where}: {name} must be seconds from 0 on, got {text!r}")
    return value


def once(places: dict[str, str], video_id: str, where: str) -> None:
    """Notes in `places` where a list names a video.

    Raises:
      PrepareError: it was named before.
    """
    if video_id in places:
        raise PrepareError(f"{where}: {video_id!r} stands already in {places[video_id]}; remove one of the two")
    places[video_id] = where


def misfit(labels: Collection[str], classes: Collection[str]) -> tuple[str, str] | None:
    """What to put into `Row.problem`: ("wrong_label", the reason) where a label is not one of the classes."""
    if not labels:
        return "wrong_label", "the list gives it no label"
    unknown = [label for label in labels if label not in classes]
    return ("wrong_label", f"{unknown[0]!r} is not one of the {len(classes)} classes") if unknown else None
