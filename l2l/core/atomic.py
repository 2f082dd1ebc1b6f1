"""Files that appear whole or not at all; paths that are no files."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block ends well and is removed if it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def demand_file(path: str | os.PathLike) -> None:
    """Raises OSError of what is there but no file: a pipe, whose other end may never come, or a device."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", os.fspath(path))


def hash_of(value: Any) -> str:
    """16 hex digits of the sha256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes JSON so that the file is either the old one or the whole new one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = json.dumps(value, indent=1, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        text = json.dumps(value, indent=1)
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(text: str | bytes) -> Any:
    """JSON without the numbers that are none. Raises ValueError, or RecursionError if it is nested too deep."""

    def refuse(name: str) -> None:
        raise ValueError(f"it says {name} where a number belongs")

    return json.loads(text, parse_constant=refuse)
