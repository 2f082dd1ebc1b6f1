"""What was prepared opens with `tfds.builder_from_directory`, without any code of this project."""

import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep.prepare import write_dataset
from data_prep.rows import Row
from l2l.data import media, schema
from tests.prepared import LABELS, POLICY, records, rows_of

KINDS = {schema.BYTES: "bytes_list", schema.INT: "int64_list", schema.FLOAT: "float_list"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Of the split `test` no video can be used; of one shard of `train` neither."""
    rows = rows_of(tmp_path_factory.mktemp("videos"))
    gone = lambda split, i: Row("gone.mp4", ("run",), split, video_id=f"gone {split} {i}")
    return [*rows, *(gone(split, i) for i in range(3) for split in ("train", "test"))]


def read(builder, split):
    """Without shuffling; by video and clip, for TFDS reads several shards at a time."""
    examples = builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator()
    return {(example["video_id"], int(example["clip"])): example for example in examples}


@pytest.mark.parametrize("frames", [1, 4, 64])
def test_every_split_by_value(rows, tmp_path, frames):
    index = write_dataset(rows, LABELS, tmp_path, dataclasses.replace(POLICY, frames=frames, fps=30.0), shards=6)
    assert 0 in [shard.records for shard in index.splits["train"]]
    builder = tfds.builder_from_directory(tmp_path)
    assert sorted(builder.info.features) == sorted(schema.CLIP_RECORD)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": index.records("train"),
        "val": index.records("val"),
        "test": 0,
    }
    for split in ("train", "val", "train+test"):
        found = read(builder, split)
        for record in records(tmp_path, index, split.split("+")[0]):
            example = found.pop((record["video_id"].bytes_list.value[0], record["clip"].int64_list.value[0]))
            assert sorted(example) == sorted(schema.CLIP_RECORD)
            assert len(example["frames"]) == frames
            for name, field in schema.CLIP_RECORD.items():
                values = list(getattr(record[name], KINDS[field.kind]).value)
                got = example[name]
                assert (got.tolist() if np.ndim(got) else [got]) == values, name
            assert media.decode_jpeg(example["frames"][-1]).shape[2] == 3
        assert not found


def test_an_empty_split_is_listed_and_has_no_data(rows, tmp_path):
    """TFDS opens it with 0 examples and, asked for them alone, says that there are none."""
    write_dataset(rows, LABELS, tmp_path, POLICY)
    builder = tfds.builder_from_directory(tmp_path)
    assert builder.info.splits["test"].num_examples == 0
    assert builder.info.splits["test"].num_shards == 3
    with pytest.raises(ValueError, match="no data"):
        builder.as_dataset(split="test")
