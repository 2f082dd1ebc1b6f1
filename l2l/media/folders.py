"""Which files below a folder of this machine are videos, and what was passed over.

A video is known by its suffix, or, where that says nothing or there is none, by its first bytes. Links are followed.
Hidden files and folders are left out.
"""

import collections
import dataclasses
import functools
import os
import re
import stat
import unicodedata
from collections.abc import Iterator

from l2l.core.texts import many
from l2l.media.policy import VIDEO_SUFFIXES

# Files of these are not looked at: they are something else, or a download that is not finished.
_OTHERS = ".aac .ac3 .aiff .flac .m4a .m4b .mka .mp3 .oga .opus .wav .weba .wma "
_OTHERS += ".avif .bmp .heic .heif .jpeg .jpg .png .svg .tif .tiff .webp .npy .npz .pt .tfrecord "
_OTHERS += (
    ".ass .csv .doc .docx .html .idx .json .log .md .nfo .pdf .py .srt .sub .tsv .txt .vtt .xlsx .xml .yaml .yml "
)
_OTHERS += ".7z .bz2 .gz .rar .tar .xz .zip .zst .aria2 .crdownload .download .part .temp .tmp .ytdl"
OTHER_SUFFIXES = frozenset(_OTHERS.split())
LISTED = 6  # suffixes that are named of what was passed over
HEAD = 800  # bytes of a file that are looked at

# What the formats of video begin with. MPEG-TS repeats a byte every 188 bytes, with 4 before it in M2TS.
_BEGINNINGS = (
    rb"\0.{3}ftyp(?!heic|heix|hevc|mif1|avif|crx|jp2|jpx|M4A|M4B|M4P)|\0.{3}(moov|wide|free|skip|pnot)|.{4}mdat",  # MP4
    rb"RIFF.{4}(AVI |AVIX|AMV |CDXA)",
    rb"\x1a\x45\xdf\xa3",  # Matroska
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF
    rb"\xb7\xd8\x00\x20\x37\x49\xda\x11",  # WTV
    rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02",  # MXF
    rb"\0\0\x01[\xb0\xb3\xba]|\0\0\0\x01([\x09\x27\x47\x67]|\x40\x01)",  # MPEG-PS; bare MPEG, H.264 and H.265
    rb"(\x47.{187}){3}\x47|.{4}(\x47.{191}){3}\x47",
    rb"OggS|FLV\x01|\.RMF|YUV4MPEG2 |nut/multimedia container|DKIF|DHAV|GIF8|SMK[24]|BIK|\x1f\x07\0",
)
_BEGINNING = re.compile(b"|".join(_BEGINNINGS), re.DOTALL)


Files = dict[tuple[int, int], str]  # number of a file or folder -> the first of its names


@dataclasses.dataclass
class Listing:
    """What lies below a folder; every path as it stands below the folder.

    Attributes:
      root: the folder.
      videos: path of each, folder by folder -> further paths of the same file, by links.
      empty: those of them that hold no bytes.
      passed: suffix -> how many files with it are no videos.
      again: linked folders that are listed by another name, which follows.
      unread: folders that cannot be read.
    """

    root: str
    videos: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    empty: set[str] = dataclasses.field(default_factory=set)
    passed: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    again: dict[str, str] = dataclasses.field(default_factory=dict)
    unread: list[str] = dataclasses.field(default_factory=list)

    def notes(self) -> Iterator[str]:
        """A line for each kind of thing that is there and not listed."""
        if count := self.passed.total():
            kinds = [f"{n:,} {kind or 'without a suffix'}" for kind, n in self.passed.most_common(LISTED)]
            rest = count - sum(n for _, n in self.passed.most_common(LISTED))
            kinds += [f"{rest:,} others"] if rest else []
            yield f"{self.root}: {many(count, 'file')} passed over: {', '.join(kinds)}"
        same = [(other, path) for path, others in self.videos.items() for other in others]
        if same:
            yield f"{self.root}: {many(len(same), 'further name')} of videos passed over, such as {_pair(*same[0])}"
        if self.again:
            one = _pair(*next(iter(self.again.items())))
            yield f"{self.root}: {many(len(self.again), 'linked folder')} passed over, listed already, such as {one}"
        if self.unread:
            yield f"{self.root}: {many(len(self.unread), 'folder')} not readable, such as {self.unread[0]}"


def _pair(other: str, path: str) -> str:
    return f"{other} ({path or 'the folder itself'})"


def listing(folder: str | os.PathLike) -> Listing:
    """Walks over a folder, reading each folder once: what lies in it comes first, then what its links lead to."""
    found, pending = Listing(os.fspath(folder)), [""]
    walked: Files = {}
    files: Files = {}
    links: collections.deque[str] = collections.deque()
    while pending or links:
        inner = pending.pop() if pending else links.popleft()
        path = os.path.join(found.root, inner)
        try:
            status = os.stat(path)
        except OSError:  # a link that leads nowhere: a video that is missing, if its name says so
            _add(found, files, inner, None)
            continue
        if not stat.S_ISDIR(status.st_mode):
            _add(found, files, inner, status)
        elif (key := _key(status)) in walked:
            found.again[inner] = walked[key]
        else:
            walked[key] = inner
            pending += _read(found, files, links, inner)[::-1]
    return found


def _read(found: Listing, files: Files, links: collections.deque[str], inner: str) -> list[str]:
    """Lists the files of one folder; returns the folders in it."""
    try:
        with os.scandir(os.path.join(found.root, inner)) as entries:
            shown = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError:
        found.unread.append(inner)
        return []
    below = []
    for entry in shown:
        name = f"{inner}/{entry.name}" if inner else entry.name
        if entry.is_symlink():
            links.append(name)
        elif entry.is_dir():
            below.append(name)
        else:
            _add(found, files, name, entry.stat(follow_symlinks=False))
    return below


def _add(found: Listing, files: Files, name: str, status: os.stat_result | None) -> None:
    """Lists or passes over a file; one that is not there has no status."""
    kind = suffix(name)
    if kind not in VIDEO_SUFFIXES and (
        status is None or kind in OTHER_SUFFIXES or not _begins(found.root, name, status)
    ):
        found.passed[kind] += 1
        return
    first = files.setdefault(_key(status), name) if status and status.st_ino else name
    if first != name:
        found.videos[first].append(name)
        return
    found.videos[name] = []
    if status and not status.st_size:
        found.empty.add(name)


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _begins(root: str, name: str, status: os.stat_result) -> bool:
    """Whether a file begins as a video does."""
    if not stat.S_ISREG(status.st_mode):
        return False
    try:
        with open(os.path.join(root, name), "rb", buffering=0) as file:
            return bool(_BEGINNING.match(file.read(HEAD)))
    except OSError:
        return False


def there(path: str) -> str:
    """The path under which a file lies that may be named in another Unicode form; the same path if there is none.

    macOS wrote "é" as two characters where others write one.
    """
    head, tail = os.path.split(path)
    if path.isascii() or not tail or os.path.lexists(path):
        return path
    head = there(head)
    try:
        own = _names(head or os.curdir, os.stat(head or os.curdir).st_mtime_ns).get(unicodedata.normalize("NFC", tail))
    except (OSError, ValueError):
        return path
    return os.path.join(head, own) if own else path


@functools.lru_cache(maxsize=64)
def _names(folder: str, changed: int) -> dict[str, str]:
    """Name in composed form -> name, of all that a folder holds since it was changed last."""
    return {unicodedata.normalize("NFC", name): name for name in os.listdir(folder)}
