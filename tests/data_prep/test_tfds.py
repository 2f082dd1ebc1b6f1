"""What was prepared opens with `tfds.builder_from_directory`, without any code of this project."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep.datasets.rows import Row
from data_prep.shards import tfds_metadata
from data_prep.shards.prepare import write_dataset
from l2l.data import schema
from l2l.media import policy
from l2l.media.picture.jpeg import decode_jpeg
from tests.helpers.prepared import LABELS, POLICY, records, rows_of

KINDS = {schema.BYTES: "bytes_list", schema.INT: "int64_list", schema.FLOAT: "float_list"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Of the split `test` no video can be used; of one shard of `train` neither."""
    rows = rows_of(tmp_path_factory.mktemp("videos"))
    gone = lambda split, i: Row("gone.mp4", ("run",), split, video_id=f"gone {split} {i}")
    return [*rows, *(gone(split, i) for i in range(3) for split in ("train", "test"))]


def read(builder, split, decoders=None):
    """Without shuffling; by video and clip, for TFDS reads several shards at a time."""
    examples = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders).as_numpy_iterator()
    return {(example["video_id"], int(example["clip"])): example for example in examples}


@pytest.mark.parametrize("frames", [1, 4, 64])
def test_every_split_by_value(rows, tmp_path, frames):
    """Pictures are decoded, sound is samples, and all else is what the records hold."""
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
            for name, field in schema.CLIP_RECORD.items():
                values, got = list(getattr(record[name], KINDS[field.kind]).value), example[name]
                if name == "frames":
                    assert got.dtype == np.uint8
                    for jpeg, picture in zip(values, got, strict=True):
                        assert np.abs(decode_jpeg(jpeg).astype(int) - picture).max() <= 8  # another transform
                elif name == "audio":
                    assert (got.dtype, got.shape) == (np.int16, (policy.AUDIO_RATE,))
                    assert got.astype("<i2").tobytes() == values[0]
                else:
                    assert (got.tolist() if np.ndim(got) else [got]) == values, name
        assert not found


def test_names_and_meanings(rows, tmp_path):
    """Class names, the meaning of every feature, a name of its own; the pictures as they are stored, if one asks."""
    out = tmp_path / "My 2 films (new)"
    index = write_dataset(rows, LABELS, out, POLICY)
    builder = tfds.builder_from_directory(out)
    features = builder.info.features
    assert builder.info.name == "my_2_films_new"
    assert features["labels"].feature.names == LABELS
    assert (features["audio"].sample_rate, features["frames"].feature.encoding_format) == (policy.AUDIO_RATE, "jpeg")
    assert {name: features[name].doc.desc for name in features} == {
        name: field.meaning for name, field in schema.CLIP_RECORD.items()
    }
    assert "homepage" not in (out / "dataset_info.json").read_text().lower()
    found = read(builder, "train", {"frames": tfds.decode.SkipDecoding()})
    for record in records(out, index, "train"):
        example = found[(record["video_id"].bytes_list.value[0], record["clip"].int64_list.value[0])]
        assert example["frames"].tolist() == list(record["frames"].bytes_list.value)
    one = next(iter(found.values()))
    assert features["labels"].feature.repr_html(1) == "1 (run)"
    assert features["audio"].repr_html(one["audio"] + 1).startswith("<audio ")


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("kinetics400", "kinetics400"),
        ("2024-05", "clips_2024_05"),
        ("Fotos é", "fotos"),
        ("été", "t"),
        ("日本", "clips"),
    ],
)
def test_a_directory_s_name_as_that_of_a_data_set(name, called):
    assert tfds_metadata.name_of(name, "clips") == called


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("a b", "c"), ["a b", "c"]),
        (("a\n b", " c "), ["a b", "c"]),
        (("a b", "a  b"), ["0", "1"]),
        (("", "c"), ["0", "1"]),
    ],
)
def test_class_names_that_a_line_cannot_hold(tmp_path, labels, names):
    label = tfds_metadata.class_label(labels)
    label.save_metadata(tmp_path, "labels")
    again = tfds.features.ClassLabel(num_classes=2)
    again.load_metadata(tmp_path, "labels")
    assert label.names == again.names == names


def test_it_is_made_without_warnings(caplog):
    log = logging.getLogger("absl")
    with tfds_metadata.quiet():
        log.warning("not said")
        log.error("said")
    log.warning("said later")
    assert [record.message for record in caplog.records] == ["said", "said later"]


def test_without_labels_there_are_no_class_names(rows, tmp_path):
    unlabelled = [dataclasses.replace(row, labels=()) for row in rows]
    write_dataset(unlabelled, [], tmp_path, POLICY, shards=1)
    builder = tfds.builder_from_directory(tmp_path)
    assert {tuple(example["labels"]) for example in read(builder, "val").values()} == {()}
    assert not list(tmp_path.glob("*.txt"))


def test_what_the_last_release_wrote_is_read():
    builder = tfds.builder_from_directory(Path(__file__).parents[1] / "release/clips")
    (first, *_) = read(builder, "train").values()
    assert (first["video_id"], len(first["audio"]), len(first["frames"])) == (b"film.mp4", 32_000, 2)


def test_an_empty_split_is_listed_and_has_no_data(rows, tmp_path):
    """TFDS opens it with 0 examples and, asked for them alone, says that there are none."""
    write_dataset(rows, LABELS, tmp_path, POLICY)
    builder = tfds.builder_from_directory(tmp_path)
    assert builder.info.splits["test"].num_examples == 0
    assert builder.info.splits["test"].num_shards == 3
    with pytest.raises(ValueError, match="no data"):
        builder.as_dataset(split="test")
