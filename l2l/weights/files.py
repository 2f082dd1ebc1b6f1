"""Files of weights: named arrays from .safetensors, .pth, .pt or .npz, recognised by their content."""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import safetensors
import safetensors.numpy

from l2l.core import archive, atomic
from l2l.core.atomic import read_json
from l2l.weights import torch_file
from l2l.weights.torch_names import WeightsError

Arrays = dict[str, np.ndarray]
WRAPPERS = ("model", "state_dict")  # under which a training program may store the weights
RECORD = "l2l"  # metadata of a .safetensors file of ours: KEYS of the run, as JSON
KEYS = ("config", "labels", "policy", "student")
# Types of .safetensors that are read.
TYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
PARALLEL = "module."  # what data parallelism puts before every name


def read(path: str | Path) -> Arrays:
    """The arrays of a file under their names, without the wrapping of a training program.

    Raises:
      WeightsError: the file is missing, damaged, of another kind, or asks for more than tensors.
    """
    path = Path(path)
    try:
        atomic.demand_file(path)
        content = _content(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except torch_file.TorchFileError as error:
        raise WeightsError(f"{path} is not used: {error}") from error
    while (inner := next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None)) is not None:
        content = inner
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    if not arrays:
        raise WeightsError(f"{path} holds no named arrays")
    if all(name.startswith(PARALLEL) for name in arrays):
        arrays = {name.removeprefix(PARALLEL): value for name, value in arrays.items()}
    return arrays


def record(path: str | Path) -> dict[str, Any] | None:
    """What a file that `export_weights` wrote says of its run; None for any other file.

    Raises:
      WeightsError: it says something else.
    """
    if not _is_safetensors(Path(path)):
        return None
    try:
        with safetensors.safe_open(path, "numpy") as file:
            said = (file.metadata() or {}).get(RECORD)
        value = None if said is None else read_json(said)
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if said is None:
        return None
    if not _is_record(value):
        raise WeightsError(f"{path} is damaged: its record of a run is not whole; export the run again")
    return {key: value[key] for key in KEYS}


def _is_record(value: Any) -> TypeGuard[dict[str, Any]]:
    if not isinstance(value, dict) or not value.keys() >= set(KEYS) or not isinstance(value["config"], dict):
        return False
    maps = all(isinstance(value[key], dict | None) for key in ("policy", "student"))
    return maps and isinstance(value["labels"], list) and all(isinstance(x, str) for x in value["labels"])


def save(path: str | Path, arrays: Arrays, record: dict[str, Any]) -> None:
    """Writes a .safetensors file, whole or not at all, with the record of its run."""
    arrays = {name: np.ascontiguousarray(x) for name, x in arrays.items()}  # others would be written in wrong order
    with atomic.replacing(Path(path)) as temporary:
        temporary.write_bytes(safetensors.numpy.save(arrays, {RECORD: json.dumps(record)}))


def hash_of(path: str | Path) -> str:
    """16 hex digits of the file's sha256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _content(path: Path) -> dict:
    if _is_safetensors(path):
        return _safetensors(path)
    with open(path, "rb") as file:
        head = file.read(2)
    if head == b"PK" and _is_npz(path):
        return _npz(path)
    if head == b"PK" or head[:1] == b"\x80":  # a zip archive or a pickle
        return torch_file.read(path)
    raise WeightsError(f"{path} is no file of weights: this reads .safetensors, .pth, .pt and .npz")


def _is_safetensors(path: Path) -> bool:
    """Whether it begins with the length of a JSON header, which may look like the beginning of anything."""
    with open(path, "rb") as file:
        head, size = file.read(9), path.stat().st_size
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") < size


def _is_npz(path: Path) -> bool:
    try:
        with archive.Archive(path) as file:
            return all(name.endswith(".npy") for name in file.namelist())
    except Exception:  # a damaged archive can raise anything; the reader says it better
        return False


def _npz(path: Path) -> dict:
    try:
        with archive.Archive(path) as file:
            return archive.arrays(file)
    except Exception as error:  # zipfile and numpy raise any type
        raise _damaged(path, error) from error


def _safetensors(path: Path) -> dict:
    try:
        with safetensors.safe_open(path, "numpy") as file:
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            other = next((name for name, kind in types.items() if kind not in TYPES), None)
            if other is not None:
                raise WeightsError(
                    f"{path} is not used: {other!r:.100} in it is of type {types[other]}, and those that are read are "
                    f"{', '.join(TYPES)}: convert it to one of them"
                )
            return {name: file.get_tensor(name) for name in types}
    except WeightsError:
        raise
    except Exception as error:  # also those of numpy, of more axes than it can have
        raise _damaged(path, error) from error


def _damaged(path: str | Path, error: BaseException) -> WeightsError:
    return WeightsError(f"{path} is damaged: {archive.reason(error)}")
