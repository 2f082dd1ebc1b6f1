"""Zip archives and the arrays in them, which may be anybody's: what comes out is in proportion to the file."""

import io
import math
import os
import zipfile
from collections.abc import Mapping
from typing import IO, BinaryIO

import numpy as np

from l2l.core import safe_pickle
from l2l.core.atomic import demand_file

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without limit
RATIO, SMALL = (
    20,
    2**26,
)  # times an archive's size that its members may take in all, and bytes that they may in any case


class Archive(zipfile.ZipFile):
    """An archive to read.

    Raises:
      zipfile.BadZipFile: it is damaged, or holds more than can be believed.
      OSError: it cannot be read.
    """

    def __init__(self, source: str | os.PathLike | BinaryIO):
        if isinstance(source, str | os.PathLike):
            demand_file(source)
        super().__init__(source)
        assert self.fp is not None, "an archive has its file until it is closed"
        size, members = self.fp.seek(0, os.SEEK_END), self.infolist()
        for info in members:
            if info.compress_type not in METHODS:
                raise zipfile.BadZipFile(f"{info.filename!r} in it is compressed in a way that is not read")
        whole, packed = sum(info.file_size for info in members), sum(info.compress_size for info in members)
        if packed > size or whole > max(RATIO * size, SMALL):
            raise zipfile.BadZipFile(
                f"{size:,} bytes that say that they hold {max(whole, packed):,}: it is not used; write it uncompressed"
            )

    def read(self, name: str | zipfile.ZipInfo, pwd: bytes | None = None) -> bytes:
        """A member's bytes, checked against their CRC, and no more than the directory says."""
        info = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        with self.open(info, pwd=pwd) as member:
            data = member.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise zipfile.BadZipFile(f"{info.filename!r} in it has {len(data):,} bytes instead of {info.file_size:,}")
        return data


def reason(error: BaseException) -> str:
    """What an error says, in one line that is not too long to read, whatever it repeats of the file."""
    return f"{' '.join(str(error).split()) or type(error).__name__:.300}"


def arrays(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name. Raises ValueError, or as zipfile does, if one is not whole."""
    other = next((name for name in archive.namelist() if not name.endswith(".npy")), None)
    if other is not None:
        raise ValueError(f"{other!r} in it is no array")
    return {name.removesuffix(".npy"): array(name, archive.read(name)) for name in archive.namelist()}


def write_arrays(file: IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an .npz of plain arrays, as `np.savez` does, whose own arguments take some names away from arrays."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)


def array(name: str, data: bytes) -> np.ndarray:
    """An .npy; ValueError if it is not whole. Unlike `np.load` it reserves nothing before the bytes are there."""
    file = io.BytesIO(data)
    shape, fortran, dtype = _header(file, len(data), f"{name!r} in it")
    return np.ndarray(shape, dtype, data, file.tell(), order="F" if fortran else "C").copy("K")


def shape_of(path: str | os.PathLike) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the array in a file of its own, from its header alone; raises as `array_at`."""
    demand_file(path)
    with open(path, "rb") as file:
        shape, _, dtype = _header(file, os.fstat(file.fileno()).st_size, "it")
    return shape, dtype


def array_at(path: str | os.PathLike, most: int) -> np.ndarray:
    """The array in a file of its own, without pickle; its header is checked before the rest is read.

    Args:
      path: an .npy.
      most: bytes that it may have.

    Raises:
      ValueError: it is not a whole plain array, or larger.
      OSError: it cannot be read.
    """
    demand_file(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"it has {size:,} bytes, more than {most:,}")
        shape, fortran, dtype = _header(file, size, "it")
        data = file.read(math.prod(shape) * dtype.itemsize)
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError("it became shorter while it was read")
    return np.ndarray(shape, dtype, data, order="F" if fortran else "C").copy("K")


def _header(file: BinaryIO, size: int, what: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is in Fortran's order, and type of an .npy of so many bytes; the file then is at the data."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"{what} is an array of version {version}, which is not read")
    try:
        shape, fortran, dtype = readers[version](file)
    except Exception as error:  # numpy lets those of Python's own readers out
        raise ValueError(f"{what} has a header that cannot be read: {reason(error)}") from error
    if dtype.hasobject or not dtype.itemsize or not safe_pickle.is_shape(shape):
        raise ValueError(f"{what} is no plain array")
    there = size - file.tell()
    if math.prod(shape) * dtype.itemsize != there:
        raise ValueError(f"{what} has {there:,} bytes for an array of shape {shape} and type {dtype}")
    return shape, fortran, dtype
