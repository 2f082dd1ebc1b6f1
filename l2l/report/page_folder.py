"""The pages of videos in one folder: none takes the place of another video's, also if several processes write there."""

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

LONGEST = 80  # characters of a name


class PageFolder:
    """A folder into which pages are written, one a video.

    A page ends with a mark of its video, told by the way that leads there from the folder. A video's page takes the
    place of the one that an earlier run or another process wrote of it; whatever else has its name stays, and the page
    gets a number.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder, self._taken = Path(folder), set[str]()

    def write(self, video: str, html: str) -> str:
        """The path of a new page. Raises OSError if it cannot be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = self._mark(video)
        with self._temporary() as temporary:
            temporary.write_bytes(html.encode() + mark)
            for name in _names(Path(video).stem):
                if name.lower() not in self._taken and _placed(temporary, self.folder / name, mark):
                    self._taken.add(name.lower())
                    return str(self.folder / name)
        raise AssertionError("names do not end")

    def _mark(self, video: str) -> bytes:
        way = os.path.relpath(os.path.realpath(video), os.path.realpath(self.folder))
        return f"\n<!-- of video {hashlib.sha256(os.fsencode(way)).hexdigest()[:16]} -->\n".encode()

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        path = self.folder / f".page.{os.getpid()}.tmp"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _names(stem: str) -> Iterator[str]:
    """What a page may be called, best first."""
    stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem)[:LONGEST] or "video"
    yield f"{stem}.html"
    yield from (f"{stem}-{number}.html" for number in itertools.count(2))


def _placed(temporary: Path, path: Path, mark: bytes) -> bool:
    """Whether a page could take its name."""
    if not _is_of(path, mark):
        try:
            os.link(temporary, path)  # fails where something is, also if it came this moment
            return True
        except OSError:  # the file system may also know no links
            if os.path.lexists(path) and not _is_of(path, mark):
                return False
    os.replace(temporary, path)
    return True


def _is_of(path: Path, mark: bytes) -> bool:
    """Whether there is a file that ends with the mark."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(mark), 0))
        return file.read() == mark
