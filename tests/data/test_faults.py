"""Shards that are damaged, record by record: an error of one line that names the file and the record."""

import itertools
import random
from pathlib import Path

import pytest

from l2l.data import features, framing, schema
from l2l.data.dataset import open_clips, open_features
from l2l.data.tensorflow import tf
from tests.helpers import shards
from tests.hostile import shards as hostile

LOOK = {"frames": 2, "crop": 14, "resize": 16, "scale": 1.0, "flip": False}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Clips, two of each of four videos in two shards; features of eight videos in four."""
    return hostile.made(tmp_path_factory.mktemp("good"))


@pytest.fixture
def clips(good, tmp_path):
    return hostile.restored(good[0], tmp_path / "clips")


@pytest.fixture
def described(good, tmp_path):
    return hostile.restored(good[1], tmp_path / "features")


def read(directory: Path) -> None:
    for _ in open_clips(str(directory), **LOOK).eval("train", batch=2):
        pass


def train(directory: Path, steps: int = 8, draw: str = "video") -> None:
    how = {"batch": 4, "streams": 2, "seed": 0, "first_step": 0, "shuffle": 4}
    for _ in itertools.islice(open_clips(str(directory), **LOOK).train("train", draw=draw, **how), steps):
        pass


def line_of(work, directory: Path) -> str:
    """What it says, one line."""
    with pytest.raises(schema.ShardError) as caught:
        work(directory)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 700
    return text


def rewrite(path: Path, change) -> None:
    """Other records in a shard, with an index that fits its bytes."""
    records = [tf.train.Example.FromString(x) for x in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in change(records):
            writer.write(record.SerializeToString())
    hostile.refitted(path.parent, path)


def with_field(path: Path, number: int, name: str, values: list, table=schema.CLIP_RECORD) -> None:
    def change(records):
        records[number].features.feature[name].CopyFrom(shards.KINDS[table[name].kind](values))
        return records

    rewrite(path, change)


def image_of(path: Path, number: int) -> bytes:
    raw = [*tf.data.TFRecordDataset(str(path)).as_numpy_iterator()][number]
    return tf.train.Example.FromString(raw).features.feature["frames"].bytes_list.value[0]


def test_checksums_are_those_of_tensorflow(clips):
    """Or every hostile length would be refused for its checksum alone."""
    data = next(clips.glob("*.tfrecord-*")).read_bytes()
    assert hostile.length_field(int.from_bytes(data[:8], "little")) == data[:12]


def test_lengths_are_walked(tmp_path, clips):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"")
    assert framing.walk(path) == (0, "")
    data = next(clips.glob("*.tfrecord-*")).read_bytes()
    path.write_bytes(data)
    assert framing.walk(path) == (4, "")
    assert framing.walk(str(path)) == (4, "")
    path.write_bytes(data[:-1])
    count, wrong = framing.walk(path)
    assert count == 3
    assert wrong.startswith("it says that it has ")
    path.write_bytes(data + hostile.length_field(2**40))
    assert framing.walk(path) == (4, "it says that it has 1,099,511,627,776 bytes where the file has 0 left for it")
    path.write_bytes(data + b"\0\0\0")
    assert framing.walk(path)[0] == 4
    assert framing.walk(path)[1]


@pytest.mark.parametrize("how", ["pipe", "device"])
def test_what_is_no_file_is_not_opened(how, clips):
    path = next(clips.glob("*.tfrecord-*"))
    hostile.replaced(path, how)
    with pytest.raises(OSError, match="pipe or a device"):
        framing.walk(path)


@pytest.mark.parametrize("length", [2**40, 2**64 - 1])
def test_a_length_beyond_the_file_ends_no_process(length, clips, described):
    """TensorFlow would reserve so much, and abort."""
    for directory in (clips, described):
        path = sorted(directory.glob("*.tfrecord-*"))[0]
        data = path.read_bytes()
        at = 16 + int.from_bytes(data[:8], "little")
        path.write_bytes(data[:at] + hostile.length_field(length) + data[at + 12 :])
        hostile.refitted(directory, path)
    path = sorted(clips.glob("*.tfrecord-*"))[0]
    says = f"{path} is damaged, record 1: it says that it has {length:,} bytes where the file has "
    assert line_of(read, clips).startswith(says)
    assert line_of(train, clips).startswith(says)
    path = sorted(described.glob("*.tfrecord-*"))[0]
    assert f"{path} is damaged, record 1" in line_of(lambda x: features.describe_shard(path), described)
    assert f"{path} is damaged, record 1" in line_of(lambda x: features.check_pair(path, path), described)
    says = [line for line in hostile.verify.problems(clips) if f"{length:,}" in line]
    assert len(says) == 1
    assert "cannot be read past record 1: it says" in says[0]


def test_a_record_with_another_checksum_is_named(clips):
    path = sorted(clips.glob("*.tfrecord-*"))[1]
    data = path.read_bytes()
    path.write_bytes(data[:-200] + bytes(100) + data[-100:])
    hostile.refitted(clips, path)
    for work in (read, train):
        assert line_of(work, clips).startswith(f"{path}, record 3 cannot be used: corrupted record at ")


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("labels", [3], "a label id is outside the 3 labels"),
        ("labels", [10**18], "a label id is outside the 3 labels"),
        ("audio", [b"short"], "audio|raw|bytes|multiple"),
        ("audio", [bytes(32_002)], "16001"),
        ("frames", [], "slice index"),  # 0 or 1: which of two images is learned from is drawn
        ("frames", [b"no image"] * 2, "Invalid JPEG"),
        ("start", [1.0, 2.0], "Key: start"),
        ("video_id", [], "Key: video_id"),
    ],
)
def test_fields_that_cannot_be_used(name, values, says, clips):
    path = sorted(clips.glob("*.tfrecord-*"))[1]
    with_field(path, 2, name, values)
    text = line_of(train if name in ("labels", "frames") else read, clips)
    assert text.startswith(f"{path}, record 2 cannot be used: ")
    assert any(x in text for x in says.split("|")), text


@pytest.mark.parametrize("size", [(13_000, 13_000), (65_500, 16)])
def test_images_that_say_they_are_larger_are_not_decoded(size, clips):
    path = sorted(clips.glob("*.tfrecord-*"))[0]
    image = image_of(path, 1)
    with_field(path, 1, "frames", [image, hostile.jpeg(*size, image)])
    for work in (read, train):
        assert "record 1 cannot be used: assertion failed: [an image says that it is larger" in line_of(work, clips)


def test_more_or_fewer_records_than_the_index_says(clips):
    path = sorted(clips.glob("*.tfrecord-*"))[0]
    rewrite(path, lambda records: records[:2])
    for work in (read, train):
        assert line_of(work, clips).startswith(f"{path} holds 2 records, the index says 4")
    rewrite(path, lambda records: records * 3)
    assert line_of(read, clips).startswith(f"{path} holds 6 records, the index says 4")


@pytest.mark.parametrize("clips_said", [0, 10**18])
def test_a_clip_that_is_never_drawn_is_not_waited_for(clips_said, clips):
    """A video that says that it has other clips than it has: no epoch would be whole."""
    for path in clips.glob("*.tfrecord-*"):
        for number in range(4):
            with_field(path, number, "clips", [clips_said])
    assert "cannot be used" in line_of(train, clips)


def test_descriptors_that_do_not_fit_their_times(described):
    path = sorted(described.glob("*.tfrecord-*"))[3]
    source = lambda directory: open_features(str(directory), lengths=(8,))
    whole = lambda directory: [*source(directory).eval("train", batch=2)]
    assert len(whole(described)) >= 4
    for values in ([], [1.0, 2.0]):
        with_field(path, 1, "times", values, schema.FEATURE_RECORD)
        assert line_of(whole, described).startswith(f"{path}, record 1 cannot be used: ")
    for name in ("image", "audio"):
        with_field(path, 1, name, [b""], schema.FEATURE_RECORD)
        with_field(path, 1, "times", [], schema.FEATURE_RECORD)
    assert "it has no positions" in line_of(whole, described)


@pytest.mark.parametrize("kind", hostile.KINDS, ids=lambda kind: kind.name)
def test_some_of_every_kind(kind, tmp_path):
    refusals = []
    for _, work in itertools.islice(kind.cases(tmp_path, random.Random(5)), 20 if kind.name == "lists" else 4):
        try:
            work()
        except kind.refusals as error:
            refusals.append(str(error))
    assert refusals
    assert not [text for text in refusals if "\n" in text or len(text) > 1000]
