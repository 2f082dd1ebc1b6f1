"""Reads the arrays out of a PyTorch file without torch, and without running anything that the file asks for.

Such a file is a pickle of containers and of tensors, which refer to storages by key; the storages' bytes lie beside it:
as members of a zip archive (since PyTorch 1.6), or behind the pickles in one stream (before).
"""

import dataclasses
import functools
import io
import math
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from l2l.core import safe_pickle
from l2l.core.archive import Archive

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the older format
DEPTH = 8  # of dictionaries within dictionaries
VIEWS = 2  # times a file's own size, what its tensors may take
DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class TorchFileError(ValueError):
    """Not a whole PyTorch file, or one that asks for more than tensors."""


@dataclasses.dataclass(frozen=True)
class Storage:
    """Reference to `count` values in the file."""

    dtype: np.dtype
    key: str
    count: int

    @property
    def size(self) -> int:
        return self.count * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view into a storage; offset and strides count values."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.storage.dtype.itemsize

    def array(self, values: np.ndarray) -> np.ndarray:
        """The tensor, cut out of its storage's values. Raises TorchFileError if it reaches beyond them."""
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if not 0 < math.prod(self.shape) <= len(values) or last >= len(values):
            raise TorchFileError("a tensor does not fit its storage")
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False).copy()


Content = dict[str, Any]  # names -> arrays, or dictionaries of the same kind
Bytes = Callable[[Storage], bytes]


def read(path: str | Path) -> Content:
    """The arrays of a PyTorch file by name; what is neither a tensor nor a dictionary of tensors is left out.

    Raises:
      TorchFileError: it is damaged, or asks for something that weights do not need.
      OSError: it cannot be read.
    """
    data = Path(path).read_bytes()
    content, stored = _archive(data) if data[:2] == b"PK" else _stream(data)
    return _filled(content, _Arrays(stored, VIEWS * len(data)), {}, DEPTH)


class _Arrays:
    """Tensors as arrays, each made once and no more in all than `left` bytes."""

    def __init__(self, stored: Bytes, left: int):
        self.values = functools.cache(lambda storage: np.frombuffer(stored(storage), storage.dtype))
        self.made: dict[Tensor, np.ndarray] = {}
        self.left = left

    def of(self, tensor: Tensor) -> np.ndarray:
        if tensor not in self.made:
            values = self.values(tensor.storage)
            self.left -= tensor.size
            if self.left < 0:
                raise TorchFileError("its tensors show the same bytes over and over: save copies of them (clone)")
            self.made[tensor] = tensor.array(values)
        return self.made[tensor]


def _filled(content: Any, arrays: _Arrays, done: dict[int, Content], depth: int) -> Content:
    """A dictionary with arrays for its tensors; one that is in several places is filled once."""
    if not isinstance(content, dict) or not depth:
        raise TorchFileError("it holds no named tensors")
    if id(content) not in done:
        kept = {str(key): x for key, x in content.items() if _is_name(key) and isinstance(x, Tensor | dict)}
        done[id(content)] = {
            key: arrays.of(x) if isinstance(x, Tensor) else _filled(x, arrays, done, depth - 1)
            for key, x in kept.items()
        }
    return done[id(content)]


def _is_name(key: Any) -> bool:
    """Texts, and the numbers by which optimisers know parameters."""
    return isinstance(key, str) or (type(key) is int and key.bit_length() < 64)


def _archive(data: bytes) -> tuple[Any, Bytes]:
    """(content, reader of storages) of the newer format."""
    try:
        archive = Archive(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise TorchFileError(f"it is a damaged zip archive: {error}") from error
    except Exception as error:  # a damaged directory can raise anything
        raise TorchFileError("it is a damaged zip archive") from error
    pickles = [name for name in archive.namelist() if name.rsplit("/")[-1] == "data.pkl"]
    if len(pickles) != 1:
        raise TorchFileError("it is a zip archive without one set of tensors")
    root = pickles[0].removesuffix("data.pkl")
    content, _, _ = _unpickle(_member(archive, pickles[0]), 0)
    return content, lambda storage: _exactly(_member(archive, f"{root}data/{storage.key}"), storage)


def _member(archive: Archive, name: str) -> bytes:
    """A member's bytes, checked against their CRC."""
    try:
        if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
            raise TorchFileError(f"its {name} is compressed, which PyTorch never does")
        return archive.read(name)
    except TorchFileError:
        raise
    except Exception as error:  # so can a damaged member
        raise TorchFileError(f"its {name} is missing or damaged") from error


def _exactly(data: bytes, storage: Storage) -> bytes:
    if len(data) != storage.size:
        raise TorchFileError(f"its storage {storage.key} has {len(data)} bytes instead of {storage.size}")
    return data


def _stream(data: bytes) -> tuple[Any, Bytes]:
    """(content, reader of storages) of the older format: five pickles, then each storage's length and bytes."""
    magic, at, _ = _unpickle(data, 0)
    if magic != MAGIC:
        raise TorchFileError("it is a pickle, but not one of PyTorch")
    protocol, at, _ = _unpickle(data, at)
    if protocol != PROTOCOL:
        raise TorchFileError(f"its protocol is {safe_pickle.said(protocol)}, this code reads {PROTOCOL}")
    _, at, _ = _unpickle(data, at)  # byte order and sizes of the machine that wrote it
    content, at, storages = _unpickle(data, at)
    keys, at, _ = _unpickle(data, at)
    found = {}
    for key in keys if isinstance(keys, list) else ():
        if not isinstance(key, str) or key not in storages:
            raise TorchFileError("it is damaged: a storage belongs to no tensor")
        found[key] = data[at + 8 : at + 8 + storages[key].size]
        at += 8 + storages[key].size
    return content, lambda storage: _exactly(found.get(storage.key, b""), storage)


def _unpickle(data: bytes, start: int) -> tuple[Any, int, dict[str, Storage]]:
    """One pickle from `start` on, where it ends, and the storages that it refers to."""
    file = io.BytesIO(data)
    file.seek(start)
    reader = _Reader(file)
    try:
        return reader.load(), file.tell(), reader.storages
    except Exception as error:  # a damaged pickle can raise anything
        reason = str(error) if isinstance(error, ValueError) else "it is damaged"
        raise TorchFileError(reason.splitlines()[0][:300] if reason else "it is damaged") from error


class _Reader(safe_pickle.Reader):
    """Knows containers and tensors, and no other name."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file, ADMITTED)
        self.storages: dict[str, Storage] = {}

    def persistent_load(self, reference: tuple) -> Storage:
        kind, dtype, key, _, count, *view = reference
        texts = all(isinstance(x, str) for x in (kind, dtype, key))
        if not texts or kind != "storage" or view not in ([], [None]) or not safe_pickle.is_shape((count,)):
            raise TorchFileError("a storage is not described as expected")
        storage = Storage(np.dtype(DTYPES[dtype]), key, count)
        return self.storages.setdefault(storage.key, storage)


def _tensor(storage: Storage, offset: int, shape: tuple, strides: tuple, *more: Any) -> Tensor:
    del more  # whether it wants a gradient, and hooks
    if not isinstance(storage, Storage):
        raise TorchFileError("a tensor without a storage")
    shape, strides = tuple(shape), tuple(strides)
    if len(shape) != len(strides) or not all(map(safe_pickle.is_shape, (shape, strides, (offset,)))):
        raise TorchFileError("a tensor has no proper shape")
    return Tensor(storage, offset, shape, strides)


class Inert:
    """Takes any state and does nothing with it."""

    def __init__(self, *args: Any):
        del args

    def __setstate__(self, state: Any) -> None:
        del state


class Named(dict):
    """Stands for collections.OrderedDict, whose state is the version of each module."""

    def __init__(self, pairs: Iterable[Any] = ()):
        super().__init__((safe_pickle.flat(key), value) for key, value in pairs)

    def __setstate__(self, state: Any) -> None:
        del state


ADMITTED = {
    "collections.OrderedDict": Named,
    "builtins.set": safe_pickle.BUILTIN["set"],
    "__builtin__.set": safe_pickle.BUILTIN["set"],
    "torch.Size": tuple,
    "torch.device": Inert,
    "collections.Counter": Inert,
    "collections.defaultdict": Inert,
    "argparse.Namespace": Inert,  # the command line, in the files of the released code
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *more: tensor,
} | {f"torch.{name}": name for name in DTYPES}
