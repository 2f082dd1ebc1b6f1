"""What every list of videos becomes before it is written: rows, and the one error of this package."""

import dataclasses
import hashlib
import os
import unicodedata
from collections.abc import Iterable

from l2l.core.command import Failure
from l2l.core.texts import printable

MESSAGE = 900  # characters, at most


class PrepareError(Failure):
    """A mistake in the arguments, the list of videos or the output directory; one line, whatever it repeats of them."""

    def __init__(self, message: str) -> None:
        text = " ".join(message.splitlines())
        super().__init__(text if len(text) <= MESSAGE else f"{text[: MESSAGE // 2]} ... {text[-MESSAGE // 2 :]}")


@dataclasses.dataclass(frozen=True)
class Row:
    """One video (or one stretch of it) that goes into a split.

    Attributes:
      path: the video file.
      labels: class names; several for a multi-label video.
      split: the split it belongs to, letters, digits and underscores.
      start: the stretch begins here, seconds; None for the video's beginning.
      end: the stretch ends here, seconds; None for the video's end.
      video_id: stable name of the row, unique over all splits.
      problem: why the list itself rules the row out, as (status, reason): it is accounted for and its file is not
        opened. None for a row to prepare.
      actions: labelled stretches of it, [start, end] in seconds of the file; None where the list knows none.
    """

    path: str
    labels: tuple[str, ...]
    split: str
    start: float | None = None
    end: float | None = None
    video_id: str = ""
    problem: tuple[str, str] | None = None
    actions: tuple[tuple[float, float], ...] | None = None


DECIDED: list[str] = []  # one line for each thing that a reader chose and that its list does not say


def decided(line: str) -> None:
    """Says what a reader chose, now and in the index."""
    line = printable(line)
    print(line)
    DECIDED.append(line)


def shown(path: str | os.PathLike) -> str:
    """A path or a part of one as valid UTF-8: bytes that are none stand as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def one_form(name: str) -> str:
    """A name in the one of its Unicode forms that all but macOS write; as valid UTF-8."""
    return unicodedata.normalize("NFC", shown(name))


def say_forms(where: str | os.PathLike, names: Iterable[str]) -> None:
    """Says which class names are written in another form than a list or a folder has them in."""
    if changed := sorted({one_form(name) for name in names if one_form(name) != name}):
        decided(f"{where}: class names that look alike are one, written as composed UTF-8: {', '.join(changed)}")


def stable_key(text: str) -> bytes:
    """Orders names as if shuffled, the same way on every machine."""
    return hashlib.sha256(text.encode()).digest()


def name_of(path: str | os.PathLike, start: float | None = None, end: float | None = None) -> str:
    """The video id of a path as its list gives it, always valid UTF-8; `@start-end` marks a stretch."""
    name = shown(os.path.normpath(path)).replace(os.sep, "/")
    if start is None and end is None:
        return name
    return f"{name}@{start or 0:g}-{'' if end is None else f'{end:g}'}"
