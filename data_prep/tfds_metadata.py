"""Makes a directory of shards readable by `tfds.builder_from_directory`."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.files import tensorflow
from l2l.data import schema


def write(out: Path, kind: str, splits: Mapping[str, Sequence[schema.Shard]]) -> None:
    """Writes `dataset_info.json` and `features.json` beside the shards of one kind."""
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
    with contextlib.redirect_stdout(io.StringIO()):  # it reports what every call does
        tfds.folder_dataset.write_metadata(
            data_dir=out,
            features={name: feature(field) for name, field in table.items()},
            split_infos=infos,
            check_data=False,
            description="\n".join(f"{name}: {field.meaning}" for name, field in table.items()),
        )
