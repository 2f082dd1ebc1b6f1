"""Files and folders here and in an object store: `gs://bucket/folder` goes through TensorFlow's file layer.

What is on this machine never needs TensorFlow. A store has no renaming: a file is made whole in a temporary folder here
and copied up, which a store shows as one step. Every error is an OSError.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from l2l.core.atomic import demand_file


def tensorflow() -> Any:
    """TensorFlow, imported where it is needed first: it takes seconds. Quiet, and without devices."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # or it says on stderr that they are on
    import tensorflow as tf

    return tf


@contextlib.contextmanager
def os_errors() -> Iterator[Any]:
    """TensorFlow; what its file layer raises inside becomes an OSError."""
    tf = tensorflow()
    try:
        yield tf
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(error.message) from error
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


def is_remote(path: str | os.PathLike) -> bool:
    return "://" in os.fspath(path)


def join(folder: str | os.PathLike, *names: str) -> str:
    return "/".join([os.fspath(folder).rstrip("/"), *names])


def size(path: str) -> int | None:
    """Bytes of a file; None if there is none."""
    try:
        if not is_remote(path):
            return os.path.getsize(path)
        with os_errors() as tf:
            return tf.io.gfile.stat(path).length
    except FileNotFoundError:
        return None


def read(path: str) -> bytes | None:
    """Content of a small file; None if there is none. Raises OSError of a pipe or a device, which may never end."""
    try:
        if not is_remote(path):
            demand_file(path)
            return Path(path).read_bytes()
        with os_errors() as tf, tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def names(folder: str) -> list[str]:
    """Names of what a folder holds; none if there is no such folder."""
    try:
        if not is_remote(folder):
            return os.listdir(folder)
        with os_errors() as tf:
            return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]
    except FileNotFoundError:
        return []


def walk(folder: str | os.PathLike) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk: folders, each with the names of the folders and of the files in it, in sorted order."""
    if not is_remote(folder):
        for place, below, inside in os.walk(os.fspath(folder)):
            below.sort()
            yield place, below, sorted(inside)
        return
    with os_errors() as tf:
        for place, below, inside in tf.io.gfile.walk(os.fspath(folder)):
            yield place.rstrip("/"), sorted(name.rstrip("/") for name in below), sorted(inside)


def is_folder(path: str | os.PathLike) -> bool:
    if not is_remote(path):
        return os.path.isdir(path)
    with os_errors() as tf:
        return tf.io.gfile.isdir(os.fspath(path))


def remove(path: str) -> None:
    """Removes a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        if not is_remote(path):
            os.unlink(path)
            return
        with os_errors() as tf:
            tf.io.gfile.remove(path)


def make_folder(path: str) -> None:
    if not is_remote(path):
        os.makedirs(path, exist_ok=True)
        return
    with os_errors() as tf:
        tf.io.gfile.makedirs(path)


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """A path on this machine with a file's content: the file itself, or a copy of it under its own name."""
    if not is_remote(path):
        demand_file(path)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="l2l-") as folder:
        copy = os.path.join(folder, path.rsplit("/", 1)[1])
        with os_errors() as tf:
            tf.io.gfile.copy(path, copy)
        yield copy


@contextlib.contextmanager
def staged(folder: str) -> Iterator[Path]:
    """A folder on this machine to write to: the folder itself, or one whose files are copied up at the end."""
    if not is_remote(folder):
        yield Path(folder)
        return
    stage = Path(tempfile.mkdtemp(prefix="l2l-"))
    try:
        yield stage
        with os_errors() as tf:
            for path in sorted(stage.iterdir()):
                target = join(folder, path.name)
                remove(target)  # TensorFlow's store in memory would append to it
                tf.io.gfile.copy(str(path), target)
    finally:
        shutil.rmtree(stage)
