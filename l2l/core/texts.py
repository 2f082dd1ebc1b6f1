"""Text: files that others wrote and their encoding; names, counts and times in the words that people read."""

import codecs
import errno
import io
import math
import os
import stat
from collections.abc import Callable
from typing import BinaryIO

UTF16 = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
LONGEST = 1 << 26  # bytes that what is no file may give


def encoding_of(path: str | os.PathLike, opener: Callable[..., BinaryIO] = open) -> str:
    """Of a text file, by its first bytes: UTF-16 where it says so, else UTF-8. Raises OSError if it cannot be read."""
    with opener(path, "rb") as file:
        return "utf-16" if file.read(2) in UTF16 else "utf-8-sig"


def text_of(path: str | os.PathLike, errors: str = "strict") -> str:
    """A text file, or what comes through a pipe that something writes to, such as <(...) of a shell.

    Nobody is waited for who might open the pipe's other end.

    Raises:
      OSError: it cannot be read; or it is no file, and gives nothing or more than LONGEST bytes.
      UnicodeError: it is neither UTF-8 nor UTF-16.
    """
    with open(path, "rb", opener=lambda name, how: os.open(name, how | os.O_NONBLOCK)) as file:
        os.set_blocking(file.fileno(), True)
        status = os.fstat(file.fileno())
        data = file.read() if stat.S_ISREG(status.st_mode) else file.read(LONGEST + 1)
    if not stat.S_ISREG(status.st_mode) and not 0 < len(data) <= LONGEST:
        what = f"gives more than {LONGEST >> 20} MiB" if data else "nothing comes out of it"
        raise OSError(errno.EINVAL, f"it is no file, and {what}", os.fspath(path))
    encoding = "utf-16" if data[:2] in UTF16 else "utf-8-sig"
    return io.TextIOWrapper(io.BytesIO(data), encoding, errors).read()


def printable(text: str) -> str:
    """Text with names of files in it as one line of UTF-8; what cannot stand there is escaped."""
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def many(count: int, what: str) -> str:
    """A number of things, in words."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def clock(seconds: float, tenths: bool = False) -> str:
    """Seconds as m:ss or h:mm:ss, with tenths of a second m:ss.t; "?" if they are not finite.

    What follows is cut off, so that no time is shown as a later one; a thousandth is as exact as any time here is.
    """
    if not math.isfinite(seconds):
        return "?"
    whole, thousandths = divmod(round(1000 * seconds), 1000)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    told = f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"
    return f"{told}.{thousandths // 100}" if tenths else told
