"""Reads pickles that hold numpy arrays and plain containers. Nothing else in them is ever looked up or called.

A pickle is a program: an ordinary reader imports and calls whatever it names. Here the few names that arrays are made
of stand for functions of this file, and every other name ends the reading. It is Python's own reader that is
restricted, not the faster one in C: that one can be made to reserve memory without limit, and lets a pickle set
attributes of any object in it.
"""

import io
import math
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

CODES = re.compile(r"[biufc](1|2|4|8|16)|[SU]\d{1,6}")  # of numbers, truth values and text; never objects


class Kind:
    """A dtype on its way: a pickle names its code first and its byte order afterwards."""

    def __init__(self, code: str, align: bool = False, copy: bool = True):
        if not isinstance(code, str) or not CODES.fullmatch(code):
            raise ValueError(f"arrays of type {code!r} are refused")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def array(data: bytes | str, kind: Kind, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    """The array that these bytes are; as text where Python 2 wrote them."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogateescape")
    if len(data) != math.prod(shape) * kind.dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for an array of shape {shape} and type {kind.dtype}")
    return np.frombuffer(bytearray(data), kind.dtype).reshape(shape, order=order)


def blank(*of: Any) -> np.ndarray:
    """An empty array, to be filled by the state that follows it."""
    return np.empty(0, np.uint8)


def scalar(kind: Kind, data: bytes) -> Any:
    return array(data, kind, ())[()]


def encode(text: str = "", encoding: str = "latin1") -> bytes:
    """Bytes as protocols 0 to 2 spell them."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


NUMPY = {
    "multiarray._reconstruct": blank,
    "multiarray.scalar": scalar,
    "numeric._frombuffer": array,
}
NAMES = {f"numpy.{core}.{name}": value for core in ("core", "_core") for name, value in NUMPY.items()}
NAMES |= {"numpy.ndarray": "ndarray", "numpy.dtype": Kind, "_codecs.encode": encode}
NAMES |= {f"{b}.{x.__name__}": x for b in ("builtins", "__builtin__") for x in (set, frozenset)}
NAMES |= {f"{b}.bytes": encode for b in ("builtins", "__builtin__")}


class Reader(pickle._Unpickler):
    """Python's reader, which finds no names but those it is given."""

    def __init__(self, file: BinaryIO, names: Mapping[str, Any]):
        super().__init__(file, encoding="utf-8", errors="surrogateescape")
        self.names = names

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self.names:
            raise ValueError(f"it asks for {module}.{name}, which is not plain data")
        return self.names[f"{module}.{name}"]

    def build(self) -> None:
        """Gives the object below its state: an array its content, an object of a known class what it asks for."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is np.ndarray:
            _, shape, kind, fortran, data = state
            value = array(data, kind, shape, "F" if fortran else "C")
            target.__setstate__((1, value.shape, value.dtype, bool(fortran), value.tobytes("A")))
        elif type(target) in self.names.values():
            target.__setstate__(state)
        else:
            raise ValueError(f"it sets the state of a {type(target).__name__}")

    dispatch = pickle._Unpickler.dispatch | {pickle.BUILD[0]: build}


def load(source: str | os.PathLike | BinaryIO, names: Mapping[str, Any] | None = None) -> Any:
    """Reads one pickle of any protocol.

    Args:
      source: a file, or its path.
      names: what else the pickle may name: "module.name" -> what stands for it here. Objects of classes among these
        may have a `__setstate__`.

    Returns:
      None, truth values, numbers, text, bytes, numpy arrays and scalars; lists, tuples, dicts and sets of them.

    Raises:
      ValueError: not a whole pickle, or one that asks for more; one line with the file's name.
      OSError: it cannot be read.
    """
    opened = hasattr(source, "read")
    data = source.read() if opened else Path(source).read_bytes()
    try:
        return Reader(io.BytesIO(data), NAMES | (names or {})).load()
    except Exception as error:  # damage shows as any of a dozen types
        name = getattr(source, "name", "the pickle") if opened else source
        reason = str(error) or type(error).__name__
        raise ValueError(f"{name} cannot be read as plain arrays and containers: {reason.splitlines()[0]}") from error
