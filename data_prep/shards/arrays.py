"""Files of features, a .npy per video: what their headers say is checked before anything else of them is read."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from l2l.core import archive
from l2l.media.container import MediaError
from l2l.media.folders import there

from ..datasets.rows import PrepareError, Row

MOST_BYTES = 2**30  # of a file: 2,048 float32 values a second fill it in 36 hours
MOST_ROWS, MOST_WIDTH = 10**6, 2**20


@dataclasses.dataclass(frozen=True)
class Modality:
    """Features of one kind: FOLDER/VIDEO.npy, numbers (rows, width).

    Attributes:
      folder: where the files lie.
      hop: seconds from a row to the next.
      width: that a file must have; 0 while it is not known.
    """

    folder: Path
    hop: float
    width: int = 0

    def path(self, row: Row) -> Path:
        return Path(there(str(self.folder / f"{row.video_id}.npy")))


def with_width(modality: Modality, rows: Sequence[Row]) -> Modality:
    """The modality with the width that most files of the listed videos have by their headers; of two the smaller.

    Raises:
      PrepareError: no file can be used.
    """
    widths: Counter[int] = Counter()
    first = ""
    for row in rows:
        path = modality.path(row)
        try:
            widths[_checked(path)] += 1
        except (OSError, ValueError) as error:
            first = first or f"{path}: {_reason(error)}"
    if not widths:
        raise PrepareError(f"{modality.folder} has no usable file of the {len(rows)} listed videos; the first, {first}")
    return dataclasses.replace(modality, width=min(widths, key=lambda width: (-widths[width], width)))


def bank(modality: Modality, row: Row) -> np.ndarray | None:
    """The features of a video, numbers of any kind (n, width); None if there is no file.

    Raises:
      MediaError: they cannot be used.
    """
    path = modality.path(row)
    name = f"{modality.folder.name}/{row.video_id}.npy"
    try:
        width = _checked(path)
        if width != modality.width:
            raise ValueError(f"its rows have {width} values, those of other videos {modality.width}")
        found = archive.array_at(path, MOST_BYTES)
        if not np.isfinite(found).all():
            raise ValueError("it has values that are not finite")
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise MediaError("undecodable", row.path, f"{name}: {_reason(error)}") from error


def _checked(path: Path) -> int:
    """The width of the array in a file by its header. Raises OSError or ValueError if it holds no features."""
    shape, dtype = archive.shape_of(path)
    if dtype.kind not in "fiu":
        raise ValueError(f"it holds {dtype}, not numbers")
    if len(shape) != 2 or not all(shape):
        raise ValueError(f"it has the shape {shape}, not (rows, width)")
    if shape[0] > MOST_ROWS or shape[1] > MOST_WIDTH:
        raise ValueError(f"it has the shape {shape}, more than {MOST_ROWS:,} rows or {MOST_WIDTH:,} values")
    return shape[1]


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or archive.reason(error)
