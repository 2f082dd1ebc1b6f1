"""Makes a directory of shards readable by `tfds.builder_from_directory`."""

import contextlib
import io
import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.files import tensorflow
from l2l.data import schema


def write(out: Path, kind: str, splits: Mapping[str, Sequence[schema.Shard]]) -> None:
    """Writes `dataset_info.json` and `features.json` for the shards of one kind to a folder."""
    tf = tensorflow()
    import tensorflow_datasets as tfds

    dtypes = {schema.BYTES: tf.string, schema.INT: tf.int64, schema.FLOAT: tf.float32}

    def feature(field: schema.Field) -> tfds.features.FeatureConnector:
        if field.length is None:
            return tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=dtypes[field.kind]))
        shape = () if field.length == 1 else (field.length,)
        return tfds.features.Tensor(shape=shape, dtype=dtypes[field.kind])

    table = schema.RECORDS[kind]
    infos = [
        tfds.core.SplitInfo(name=s, shard_lengths=[x.records for x in shards], num_bytes=sum(x.bytes for x in shards))
        for s, shards in splits.items()
    ]
    # TFDS wants to see the files: empty ones of their names will do, for the real ones may be in a store.
    with tempfile.TemporaryDirectory(prefix="l2l-") as stage, contextlib.redirect_stdout(io.StringIO()):
        for shard in itertools.chain.from_iterable(splits.values()):
            Path(stage, shard.file).touch()
        tfds.folder_dataset.write_metadata(
            data_dir=stage,
            features={name: feature(field) for name, field in table.items()},
            split_infos=infos,
            check_data=False,
            description="\n".join(f"{name}: {field.meaning}" for name, field in table.items()),
        )
        for path in Path(stage).glob("*.json"):
            schema.write_json(out / path.name, json.loads(path.read_text()))
