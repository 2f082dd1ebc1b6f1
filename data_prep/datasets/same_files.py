"""Rows of a list that are of one file, whatever paths lead to it."""

import contextlib
import dataclasses
import os
from collections.abc import Hashable, Sequence

from l2l.core.texts import many

from .. import storage
from .rows import PrepareError, Row, decided, one_form


def file_of(path: str) -> Hashable:
    """The same for all paths of one file: links, relative and absolute ones, other Unicode forms."""
    if storage.is_remote(path):
        return path
    with contextlib.suppress(OSError, ValueError):
        status = os.stat(path)
        if status.st_ino:
            return status.st_dev, status.st_ino
    return one_form(os.path.abspath(path))


def check(path: str | os.PathLike, rows: Sequence[Row], places: Sequence[str], of: Sequence[Hashable]) -> None:
    """Refuses a stretch that is listed twice, and one that overlaps one of the same file in another split.

    Stretches of one file in several splits that do not overlap are allowed, and said.

    Args:
      path: the list, for what is said.
      rows: its rows; split "" where it names none.
      places: where each stands, "FILE, line N".
      of: which file each is of.

    Raises:
      PrepareError: as above; the message names both lines.
    """
    groups: dict[Hashable, list[int]] = {}
    for i, file in enumerate(of):
        groups.setdefault(file, []).append(i)
    shared = []
    for group in groups.values():
        if len(group) > 1:
            _check_group(rows, places, group)
            if len({rows[i].split for i in group}) > 1:
                shared.append(rows[group[0]].path)
    if shared:
        decided(f"{path}: {many(len(shared), 'file')} with stretches in several splits, apart, such as {shared[0]}")


def whole(rows: Sequence[Row], places: Sequence[str], of: Sequence[Hashable], names: Sequence[str]) -> list[Row]:
    """One row for each file: the whole video with the labels of all its rows, whose stretches are its labelled ones.

    Args:
      rows: with splits.
      places: where each stands, "FILE, line N".
      of: which file each is of.
      names: ids that the whole files would have.

    Raises:
      PrepareError: rows of one file are in several splits, or one has a start or an end alone.
    """
    found: dict[Hashable, Row] = {}
    for row, place, file, name in zip(rows, places, of, names, strict=True):
        if (row.start is None) != (row.end is None):
            raise PrepareError(f"{place}: with --unit=video a stretch needs start and end: add the one that is missing")
        known = found.get(file) or dataclasses.replace(row, labels=(), start=None, end=None, video_id=name)
        if known.split != row.split:
            raise PrepareError(f"{place}: with --unit=video a file is in one split, {known.path} is in two: keep one")
        spans = () if row.start is None or row.end is None else ((row.start, row.end),)
        found[file] = dataclasses.replace(
            known,
            labels=tuple(dict.fromkeys((*known.labels, *row.labels))),
            actions=tuple(sorted({*(known.actions or ()), *spans})) or None,
        )
    return list(found.values())


def _check_group(rows: Sequence[Row], places: Sequence[str], group: Sequence[int]) -> None:
    """The same of the rows of one file."""

    def begin(i: int) -> float:
        return rows[i].start or 0.0

    def end(i: int) -> float:
        stop = rows[i].end
        return float("inf") if stop is None else stop

    same: dict[tuple[str, float, float], int] = {}
    furthest: dict[str, int] = {}  # split -> the row that ends last of those that begin no later
    for i in sorted(group, key=begin):
        first = same.setdefault((rows[i].split, begin(i), end(i)), i)
        if first != i:
            raise PrepareError(_both(rows, places, first, i, "stands already in"))
        for split, j in furthest.items():
            if split != rows[i].split and begin(i) < end(j):
                raise PrepareError(_both(rows, places, j, i, f"is in {rows[min(i, j)].split} too, by"))
        before = furthest.get(rows[i].split, i)
        furthest[rows[i].split] = max(before, i, key=end)


def _both(rows: Sequence[Row], places: Sequence[str], one: int, other: int, what: str) -> str:
    first, second = sorted((one, other))
    name = repr(rows[second].video_id)
    if rows[first].video_id != rows[second].video_id:
        name += f", of the same film as {rows[first].video_id!r},"
    return f"{places[second]}: {name} {what} {places[first]}; remove one of the two"
