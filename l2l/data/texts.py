"""Texts that others wrote: how a file of them is encoded, and names of files as a line of text."""

import codecs
import os
from collections.abc import Callable
from typing import BinaryIO

UTF16 = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE


def encoding_of(path: str | os.PathLike, opener: Callable[..., BinaryIO] = open) -> str:
    """Of a text file, by its first bytes: UTF-16 where it says so, else UTF-8. Raises OSError if it cannot be read."""
    with opener(path, "rb") as file:
        return "utf-16" if file.read(2) in UTF16 else "utf-8-sig"


def printable(text: str) -> str:
    """Text with names of files in it as one line of UTF-8; what cannot stand there is escaped."""
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def many(count: int, what: str) -> str:
    """A number of things, in words."""
    return f"{count:,} {what}{'s' * (count != 1)}"
