"""What a person names on the command line -> paths of videos."""

import glob
import os
from collections.abc import Iterator, Sequence

from l2l.data.scan import MediaError
from l2l.data.schema import VIDEO_SUFFIXES

Found = str | MediaError


def paths_of(named: Sequence[str], lists: Sequence[str]) -> list[Found]:
    """Files, folders (with all below them), patterns, and lists of such, in their order.

    A file that exists is that file, whatever its name looks like. A folder's videos are known by their suffix and
    sorted by name, hidden ones left out.

    Args:
      named: each a path, a pattern such as `clips/**/*.mp4`, or @ and the path of a list.
      lists: paths of lists, text files with a path or a pattern on each line, from the current folder.

    Returns:
      In place of what names no video stands the error that says so.
    """
    at = lambda name: name.startswith("@") and not os.path.exists(name)
    own = [_listed(name[1:]) if at(name) else _named(name) for name in named]
    return [found for each in (*own, *map(_listed, lists)) for found in each]


def _named(name: str) -> list[Found]:
    if os.path.isdir(name):
        return _below(name)
    if glob.has_magic(name) and not os.path.exists(name):
        return _matching(name)
    return [name]


def _below(folder: str) -> list[Found]:
    found = [os.path.join(root, name) for root, names in _walk(folder) for name in names if is_video(name)]
    return sorted(found) or [MediaError("missing", folder, "there are no videos in this folder")]


def _walk(folder: str) -> Iterator[tuple[str, list[str]]]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield root, [name for name in names if not name.startswith(".")]


def is_video(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


def _matching(pattern: str) -> list[Found]:
    found = [path for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
    return found or [MediaError("missing", pattern, "nothing matches this pattern")]


def _listed(path: str) -> list[Found]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            names = [line.rstrip("\r\n") for line in file]
    except OSError as error:
        return [MediaError("missing", path, f"the list cannot be read: {error.strerror}")]
    return [found for name in names if name.strip() for found in _named(name)]
