"""What a person names on the command line -> paths of videos."""

import glob
import os
import sys
from collections.abc import Callable, Sequence

from l2l.core.texts import printable, text_of
from l2l.media.folders import listing, there
from l2l.media.scan import MediaError

Found = str | MediaError


def _say(note: str) -> None:
    print(printable(note), file=sys.stderr)


def paths_of(named: Sequence[str], lists: Sequence[str], say: Callable[[str], None] = _say) -> list[Found]:
    """Files, folders (with all below them), patterns, and lists of such, in their order.

    A file that exists is that file, whatever its name looks like. A folder's videos are found as `folders` says, each
    file once, and sorted by name.

    Args:
      named: each a path, a pattern such as `clips/**/*.mp4`, or @ and the path of a list.
      lists: paths of lists, text files with a path or a pattern on each line, from the current folder.
      say: called with a line for what was passed over in a folder.

    Returns:
      In place of what names no video stands the error that says so.
    """
    at = lambda name: name.startswith("@") and not os.path.exists(name)
    own = [_listed(name[1:], say) if at(name) else _named(name, say) for name in named]
    return [found for each in (*own, *(_listed(path, say) for path in lists)) for found in each]


def _named(name: str, say: Callable[[str], None]) -> list[Found]:
    name = there(name)
    if os.path.isdir(name):
        return _below(name, say)
    if glob.has_magic(name) and not os.path.exists(name):
        return _matching(name)
    return [name]


def _below(folder: str, say: Callable[[str], None]) -> list[Found]:
    inside = listing(folder)
    for note in inside.notes():
        say(note)
    found: list[Found] = [*sorted(os.path.join(folder, name) for name in inside.videos)]
    return found or [MediaError("missing", folder, "there are no videos in this folder")]


def _matching(pattern: str) -> list[Found]:
    paths = [] if "\0" in pattern else sorted(glob.glob(pattern, recursive=True))
    found: list[Found] = [path for path in paths if os.path.isfile(path)]
    return found or [MediaError("missing", pattern, "nothing matches this pattern")]


def _listed(path: str, say: Callable[[str], None]) -> list[Found]:
    try:
        names = text_of(path, "surrogateescape").split("\n")
    except (OSError, ValueError) as error:  # ValueError: also of a path that cannot be
        return [MediaError("missing", path, f"the list cannot be read: {getattr(error, 'strerror', None) or error}")]
    return [found for name in map(meant, names) if name for found in _named(name, say)]


def meant(line: str) -> str:
    """The path on a line of a list: as it stands if that is there, else without blanks and quotes around it.

    "" for a remark, which begins with #, and for a blank line.
    """
    if not line.strip() or os.path.lexists(there(line)):
        return line.strip() and line
    text = line.strip()
    if os.path.lexists(there(text)):
        return text
    if text[0] == text[-1] and text[0] in "\"'" and len(text) > 2:
        return text[1:-1]
    return "" if text.startswith("#") else text
