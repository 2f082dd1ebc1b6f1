"""Reads pickles that hold numpy arrays and plain containers. Nothing else in them is ever looked up or called.

A pickle is a program: an ordinary reader imports and calls whatever it names. Here the few names that arrays are made
of stand for functions of this file, and every other name ends the reading. It is Python's own reader that is
restricted, not the faster one in C: that one can be made to reserve memory without limit, and lets a pickle set
attributes of any object in it.

What is read stays in proportion to the file: a few bytes may neither ask for gigabytes, nor be copied over and over,
nor be nested so that comparing or printing them takes for ever.
"""

import functools
import io
import math
import os
import pickle
import re
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import numpy as np

from l2l.core.atomic import demand_file

SMALL = 10_000  # values that calls may be handed beside all that the file holds, once
AXES = 32  # of an array

CODES = re.compile(r"[biufc](1|2|4|8|16)|[SU]\d{1,6}")  # of numbers, truth values and text; never objects


def said(value: Any) -> str:
    """A value of a file as an error repeats it: containers by their type, for they may hold themselves many times."""
    return f"{value!r:.60}" if isinstance(value, str | bytes | int | float | None) else f"<{type(value).__name__}>"


def is_shape(value: Any) -> bool:
    """Whether it is a tuple of sizes, such as an array may have."""
    sized = isinstance(value, tuple) and len(value) <= AXES
    return sized and all(type(n) is int and 0 <= n <= sys.maxsize for n in value)


def flat(key: Any) -> Any:
    """The key of a dictionary or a member of a set; no tuple of tuples, which take exponential time to compare."""
    if isinstance(key, tuple) and any(isinstance(x, tuple) for x in key):
        raise ValueError("it has a key that is nested")
    return key


def put(target: dict, items: list[Any]) -> dict:
    """Fills a dictionary with keys and values by turns."""
    if not isinstance(target, dict):
        raise ValueError(f"it sets an item of a {type(target).__name__}")
    target.update(zip(map(flat, items[::2]), items[1::2], strict=True))
    return target


def unique(kind: type, members: Iterable[Any] = ()) -> set | frozenset:
    return kind(map(flat, members))


class Kind:
    """A dtype on its way: a pickle names its code first and its byte order afterwards."""

    def __init__(self, code: str, align: bool = False, copy: bool = True):
        if not isinstance(code, str) or not CODES.fullmatch(code):
            raise ValueError(f"arrays of type {said(code)} are refused")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def array(data: bytes | str, kind: Kind, shape: tuple[int, ...], order: Literal["C", "F"] = "C") -> np.ndarray:
    """The array that these bytes are; as text where Python 2 wrote them."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogateescape")
    if not is_shape(shape):
        raise ValueError("an array has no proper shape")
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
        raise ValueError(f"bytes in the encoding {said(encoding)}")
    return text.encode("latin1")


NUMPY: dict[str, Any] = {
    "multiarray._reconstruct": blank,
    "multiarray.scalar": scalar,
    "numeric._frombuffer": array,
}
NAMES: dict[str, Any] = {f"numpy.{core}.{name}": value for core in ("core", "_core") for name, value in NUMPY.items()}
NAMES |= {"numpy.ndarray": "ndarray", "numpy.dtype": Kind, "_codecs.encode": encode}
BUILTIN = {"set": functools.partial(unique, set), "frozenset": functools.partial(unique, frozenset), "bytes": encode}
NAMES |= {f"{b}.{name}": value for b in ("builtins", "__builtin__") for name, value in BUILTIN.items()}


if TYPE_CHECKING:

    class PythonReader(pickle._Unpickler):
        """What Python's reader has and its types do not declare."""

        stack: list[Any]
        read: Callable[[int], bytes]
        append: Callable[[Any], None]
        pop_mark: Callable[[], list[Any]]
        dispatch: ClassVar[dict[int, Callable[[Any], None]]]  # code -> method

        def load_reduce(self) -> None: ...
        def load_newobj(self) -> None: ...
        def _instantiate(self, klass: Any, args: list[Any]) -> None: ...

else:
    PythonReader = pickle._Unpickler


class Reader(PythonReader):
    """Python's reader, which finds no names but those it is given, and makes no more of a file than it holds."""

    def __init__(self, file: io.BytesIO, names: Mapping[str, Any]):
        super().__init__(file, encoding="utf-8", errors="surrogateescape")
        self.names = names
        self.size = file.getbuffer().nbytes
        self.left = self.size + SMALL

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self.names:
            raise ValueError(f"it asks for {module}.{name}, which is not plain data")
        return self.names[f"{module}.{name}"]

    def build(self) -> None:
        """Gives the object below its state: an array its content, an object of a known class what it asks for."""
        state, target = self.stack.pop(), self.stack[-1]
        self.charge(state or ())
        if type(target) is np.ndarray:
            _, shape, kind, fortran, data = state
            value = array(data, kind, shape, "F" if fortran else "C")
            content = (1, value.shape, value.dtype, bool(fortran), value.tobytes("A"))
            target.__setstate__(content)  # type: ignore[arg-type]  # declared with np.bool, which numpy refuses
        elif type(target) in self.names.values():
            target.__setstate__(state)
        else:
            raise ValueError(f"it sets the state of a {type(target).__name__}")

    def charge(self, given: Iterable[Any]) -> None:
        """Raises ValueError once calls and states were handed more values than the file can hold."""
        self.left -= sum(x.size if isinstance(x, np.ndarray) else len(x) for x in given if hasattr(x, "__len__"))
        if self.left < 0:
            raise ValueError("it copies what it holds over and over")

    def call(self) -> None:
        self.charge(self.stack[-1])
        super().load_reduce()

    def new(self) -> None:
        self.charge(self.stack[-1])
        super().load_newobj()

    def _instantiate(self, klass: Any, args: list[Any]) -> None:
        self.charge(args)
        super()._instantiate(klass, args)

    def changeable_bytes(self) -> None:
        """Python's own reserves what the file asks for before it looks whether that is there."""
        (count,) = struct.unpack("<Q", self.read(8))
        data = self.read(min(count, self.size))
        if len(data) < count:
            raise ValueError(f"it asks for {count:,} bytes, more than it holds")
        self.append(bytearray(data))

    def item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        put(self.stack[-1], [key, value])

    def items(self) -> None:
        items = self.pop_mark()
        put(self.stack[-1], items)

    def dictionary(self) -> None:
        items = self.pop_mark()
        self.append(put({}, items))

    def members(self) -> None:
        items = self.pop_mark()
        self.stack[-1].update(map(flat, items))

    def frozen(self) -> None:
        items = self.pop_mark()
        self.append(unique(frozenset, items))

    def new_with_names(self) -> None:
        raise ValueError("it makes an object of named arguments, which is not plain data")

    dispatch = PythonReader.dispatch | {
        pickle.BUILD[0]: build,
        pickle.REDUCE[0]: call,
        pickle.NEWOBJ[0]: new,
        pickle.NEWOBJ_EX[0]: new_with_names,
        pickle.BYTEARRAY8[0]: changeable_bytes,
        pickle.SETITEM[0]: item,
        pickle.SETITEMS[0]: items,
        pickle.DICT[0]: dictionary,
        pickle.ADDITEMS[0]: members,
        pickle.FROZENSET[0]: frozen,
    }


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
    if isinstance(source, str | os.PathLike):
        demand_file(source)
        name, data = source, Path(source).read_bytes()
    else:
        name, data = getattr(source, "name", "the pickle"), source.read()
    try:
        return Reader(io.BytesIO(data), {**NAMES, **(names or {})}).load()
    except Exception as error:  # damage shows as any of a dozen types
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name} cannot be read as plain arrays and containers: {reason:.300}") from error
