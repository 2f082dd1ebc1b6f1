"""How records lie in a TFRecord file: 8 bytes of length, 4 of their checksum, the record, 4 bytes of its checksum."""

import os

from l2l.core.atomic import demand_file
from l2l.data.index_rules import FRAMING

LENGTH = 8  # bytes, little-endian


def walk(path: str | os.PathLike) -> tuple[int, str]:
    """How many records a file has from its start on, and what is wrong with the length of the next; "" if nothing is.

    TensorFlow reserves what a length says before it looks whether the file is so long, and the process ends where there
    is less memory. This reads a few bytes of every record and leaves the checksums to TensorFlow.

    Raises:
      OSError: it cannot be read, or is no file.
    """
    demand_file(path)
    count = at = 0
    with open(path, "rb", buffering=0) as file:
        number, size = file.fileno(), os.fstat(file.fileno()).st_size
        while at < size:
            length = int.from_bytes(os.pread(number, LENGTH, at), "little")
            left = size - at - FRAMING
            if length > left:
                return count, f"it says that it has {length:,} bytes where the file has {max(left, 0):,} left for it"
            at += length + FRAMING
            count += 1
    return count, ""
