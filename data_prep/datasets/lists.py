"""What the readers in `data_prep/datasets` share: the lines, tables and numbers of a list, the videos on the disk.

A reader is a module with `add_arguments(parser)`, which declares its flags, and `read(...)`, whose parameters are
those flags; `read` gives the rows of all splits and the class names. Its docstring says what it chooses.
"""

import csv
import gzip
import io
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

from l2l.core.atomic import demand_file
from l2l.core.texts import encoding_of, many
from l2l.media.folders import Listing, listing, suffix
from l2l.media.policy import VIDEO_SUFFIXES

from .. import storage
from .rows import PrepareError, decided, one_form

RATIO, SMALL = 20, 2**26  # times the size of a gzipped list that its text may take, and bytes that it may in any case
LONGEST, LINE = 2**20, 64  # characters of a line; those that count for its end, as it takes room however short it is
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def videos_in(folder: str | os.PathLike) -> Listing:
    """What lies below a folder, here or in a store; what was passed over is said.

    In a store there are no links, and a video is known by its suffix alone.
    """
    if not storage.is_remote(folder):
        found = listing(folder)
    else:
        found = Listing(os.fspath(folder).rstrip("/"))
        for place, _, names in storage.walk(found.root):
            inner = place[len(found.root) :].lstrip("/")
            if any(part.startswith(".") for part in inner.split("/")):
                continue
            for name in names:
                if suffix(name) in VIDEO_SUFFIXES and name[0] != ".":
                    found.videos[f"{inner}/{name}".lstrip("/")] = []
                elif name[0] != ".":
                    found.passed[suffix(name)] += 1
    for note in found.notes():
        decided(note)
    return found


def videos_by_name(folder: str | os.PathLike) -> dict[str, str]:
    """One walk over a folder: a video's name without its suffix, see `one_form`, -> its path.

    Where several have one name it is the first that is not empty, which is said.

    Raises:
      PrepareError: the folder does not exist or holds no videos.
    """
    if not storage.is_folder(folder):
        raise PrepareError(f"{folder} does not exist: --videos takes the folder of the downloaded videos")
    inside, several = videos_in(folder), {}
    found: dict[str, str] = {}
    names = [*inside.videos, *(other for others in inside.videos.values() for other in others)]
    for name in sorted(names, key=lambda name: name in inside.empty):
        first = found.setdefault(one_form(Path(name).stem), name)
        if first != name and first not in inside.videos.get(name, ()) and name not in inside.videos.get(first, ()):
            several[name] = first
    if not found:
        raise PrepareError(f"{folder} holds no videos: --videos takes the folder of the downloaded videos")
    if several:
        other, first = next(iter(several.items()))
        decided(f"{folder}: {many(len(several), 'further file')} of such a name passed over, such as {other} ({first})")
    return {name: storage.join(folder, path) for name, path in found.items()}


def path_of(names: Iterable[str], found: Mapping[str, str], folder: str | os.PathLike) -> str:
    """The path of the first of `names` that was found; if there is none, where the first was expected."""
    first, *_ = names = list(names)
    there = (found[one_form(name)] for name in names if one_form(name) in found)
    return next(there, os.path.join(folder, f"{first}.mp4"))


def lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """The lines of a text file, plain or gzipped, that are not blank, each with "FILE, line N" for messages.

    Raises:
      PrepareError: no such file, not text, nothing in it, or more than can be believed.
    """
    packed, count = Path(path).suffix == ".gz", 0
    try:
        _demand(path)
        left = max(RATIO * os.path.getsize(path), SMALL)
        with _opened(path, packed) as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST), ""), 1):
                left -= len(line) + LINE if packed else 0
                if len(line) == LONGEST or "\0" in line or left < 0:
                    raise PrepareError(f"{path}, line {number}: this is no list: {_oddity(line, left)}")
                if line.strip():
                    count += 1
                    yield f"{path}, line {number}", line.strip()
    except FileNotFoundError as error:
        raise PrepareError(f"{path} does not exist") from error
    except (UnicodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise PrepareError(f"{path} is not a text file in UTF-8 or UTF-16: {error}; save it as one") from error
    if not count:
        raise PrepareError(f"{path} is empty")


def _opened(path: str | os.PathLike, packed: bool) -> TextIO:
    if packed:
        return gzip.open(path, "rt", encoding=encoding_of(path, _beginning))
    return open(path, encoding=encoding_of(path))


def _beginning(path: str | os.PathLike, mode: Literal["rb"]) -> BinaryIO:
    """The first bytes of a gzipped file."""
    with gzip.open(path, mode) as file:
        return io.BytesIO(file.read(2))


def _oddity(line: str, left: int) -> str:
    if left < 0:
        return f"it unpacks to more than {RATIO} times its size"
    return "it has a character NUL" if "\0" in line else f"it is longer than {LONGEST:,} characters"


def _demand(path: str | os.PathLike) -> None:
    """Raises PrepareError of a pipe or a device, which may never end and cannot be read twice."""
    try:
        demand_file(path)
    except OSError as error:
        raise PrepareError(f"{path}: {error.strerror}; save the list as one") from error


def table(
    path: str | os.PathLike, required: Collection[str], optional: Collection[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with a header, by column, each with "FILE, line N" for messages.

    Commas, semicolons or tabs separate them; blank rows and columns, as spreadsheets leave them, are passed over.

    Raises:
      PrepareError: no such file, not a CSV, a column that lacks or that nobody knows, no rows, a row of another length.
    """
    count = blank = 0
    try:
        _demand(path)
        with open(path, newline="", encoding=encoding_of(path)) as file:
            above, columns, separator = _header(path, file, (*required, *optional))
            _check_columns(path, [column for column in columns if column], required, optional)
            reader = csv.reader(file, delimiter=separator)
            for cells in reader:
                if not any(map(str.strip, cells)):
                    blank += bool(cells)
                    continue
                count += 1
                where = f"{path}, line {above + reader.line_num}"
                yield where, _cells(where, columns, cells)
    except FileNotFoundError as error:
        raise PrepareError(f"{path} does not exist") from error
    except (UnicodeError, csv.Error) as error:
        raise PrepareError(f"{path} is not a CSV file in UTF-8 or UTF-16: {error}; save it as one") from error
    if not count:
        raise PrepareError(f"{path} lists no videos: it has a header and no rows")
    if blank:
        decided(f"{path}: {many(blank, 'blank row')} passed over")


def _header(path: str | os.PathLike, file: TextIO, known: Collection[str]) -> tuple[int, list[str], str]:
    """Lines up to the header's end, its columns in lower case, and what separates them, by which most are known."""
    above, first = next(((n, line) for n, line in enumerate(file, 1) if line.strip()), (0, ""))
    names = lambda separator: [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
    separator = max(SEPARATORS, key=lambda separator: len({*names(separator)} & {*known}))
    if separator != ",":
        decided(f"{path} is separated by {SEPARATORS[separator]}")
    return above, names(separator), separator


def _cells(where: str, columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """The cells of a row by column."""
    if any("\0" in cell for cell in cells):
        raise PrepareError(f"{where}: a cell has a character NUL")
    unnamed = [*(cell for column, cell in zip(columns, cells, strict=False) if not column), *cells[len(columns) :]]
    if len(cells) < len(columns) or any(map(str.strip, unnamed)):
        raise PrepareError(f"{where}: another number of cells than the header has columns")
    return {column: cell for column, cell in zip(columns, cells, strict=False) if column}


def _check_columns(
    path: str | os.PathLike, columns: Collection[str], required: Collection[str], optional: Collection[str]
) -> None:
    known = f"{', '.join((*required, *optional))} (optional: {', '.join(optional)})"
    if missing := [c for c in required if c not in columns]:
        raise PrepareError(f"{path} has no column {missing[0]!r}; the columns are {known}")
    if twice := [c for c, count in Counter(columns).items() if count > 1]:
        raise PrepareError(f"{path} has two columns {twice[0]!r}; remove one")
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
        _demand(path)
        text = Path(path).read_text(encoding=encoding_of(path))
        return json.loads(text, object_pairs_hook=unique)
    except FileNotFoundError as error:
        raise PrepareError(f"{path} does not exist") from error
    except (ValueError, RecursionError) as error:
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
