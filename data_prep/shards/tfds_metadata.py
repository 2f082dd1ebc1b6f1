"""Makes a directory of shards readable by `tfds.builder_from_directory`, with names, pictures and sound as such."""

import contextlib
import io
import itertools
import json
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from l2l.core import atomic
from l2l.core.atomic import replacing
from l2l.data import schema
from l2l.media import policy

from ..storage import tensorflow

HOLDS = {
    "clips": "Clips of videos: pictures in time order and a second of sound each.",
    "features": "Descriptors of whole videos, one for each position.",
    "teacher": "What a teacher says of clips.",
}


def write(out: Path, name: str, index: schema.Index) -> None:
    """Writes `dataset_info.json`, `features.json` and the class names for the shards of an index.

    Args:
      out: folder to write to.
      name: of the directory of shards, after which the data set is called.
      index: what the directory holds.
    """
    tensorflow()
    import tensorflow_datasets as tfds

    table = schema.RECORDS[index.kind]
    infos = [
        tfds.core.SplitInfo(name=s, shard_lengths=[x.records for x in shards], num_bytes=sum(x.bytes for x in shards))
        for s, shards in index.splits.items()
    ]
    # TFDS wants to see the files: empty ones of their names will do, for the real ones may be in a store.
    with tempfile.TemporaryDirectory(prefix="l2l-") as stage, quiet():
        for shard in itertools.chain.from_iterable(index.splits.values()):
            Path(stage, shard.file).touch()
        tfds.folder_dataset.write_metadata(
            data_dir=stage,
            features={key: feature(index, key, field) for key, field in table.items()},
            split_infos=infos,
            check_data=False,
            description=f"{HOLDS[index.kind]}\n" + "\n".join(f"{key}: {field.meaning}" for key, field in table.items()),
        )
        for path in Path(stage).glob("*.json"):
            value = json.loads(path.read_text())
            atomic.write_json(out / path.name, named(value, name, index.kind) if "splits" in value else value)
        for path in Path(stage).glob("*.txt"):
            with replacing(out / path.name) as temporary:
                temporary.write_bytes(path.read_bytes())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """TFDS neither prints nor warns of its own use of what it calls deprecated."""
    log = logging.getLogger("absl")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        log.setLevel(before)


def feature(index: schema.Index, key: str, field: schema.Field) -> Any:
    """What TFDS makes of a field: class names, pictures and sound; else the values as they are stored."""
    import numpy as np
    from tensorflow_datasets import features as tfds

    doc = tfds.Documentation(desc=field.meaning)
    if key == "labels" and index.labels:
        return tfds.Sequence(class_label(index.labels), doc=doc)
    if index.kind == "clips" and key == "frames":
        return tfds.Sequence(tfds.Image(shape=(None, None, 3), encoding_format="jpeg"), doc=doc)
    if index.kind == "clips" and key == "audio":
        rate = policy.AUDIO_RATE
        return tfds.Audio(shape=(rate,), dtype=np.int16, sample_rate=rate, encoding="bytes", doc=doc)
    dtype = {schema.BYTES: np.object_, schema.INT: np.int64, schema.FLOAT: np.float32}[field.kind]
    if field.length is None:
        return tfds.Sequence(tfds.Tensor(shape=(), dtype=dtype), doc=doc)
    return tfds.Tensor(shape=() if field.length == 1 else (field.length,), dtype=dtype, doc=doc)


def class_label(labels: tuple[str, ...]) -> Any:
    """With the names, unless a file with a name on each line cannot tell them from each other."""
    from tensorflow_datasets import features as tfds

    names = [" ".join(label.split()) for label in labels]
    if len({*names} - {""}) == len(names):
        return tfds.ClassLabel(names=names)
    return tfds.ClassLabel(num_classes=len(names))


def named(info: Mapping[str, Any], name: str, kind: str) -> dict[str, Any]:
    """The description of a data set under its own name; the files keep theirs, which begin with what they hold."""
    splits = [x | {"filepathTemplate": x["filepathTemplate"].replace("{DATASET}", kind)} for x in info["splits"]]
    return {**info, "name": name_of(name, kind), "splits": splits}


def name_of(directory: str, kind: str) -> str:
    """The name of a data set in a directory of this name: letters, digits and underscores, a letter first."""
    words = re.sub(r"\W+", "_", directory.lower(), flags=re.ASCII).strip("_")
    return words if words[:1].isalpha() else f"{kind}_{words}".strip("_")
