"""List of videos -> clip shards."""

import os
from collections.abc import Sequence

from data_prep.rows import PrepareError, Row
from l2l.data import schema


def write_dataset(
    rows: Sequence[Row],
    labels: Sequence[str],
    out: str | os.PathLike,
    policy: schema.ClipPolicy,
    *,
    shards: int | None = None,
    workers: int = 1,
    made_by: str = "",
) -> schema.Index:
    """Writes every row's clips into shards under `out` and returns the index (also in `out/index.json`)."""
    raise PrepareError("not written yet")
