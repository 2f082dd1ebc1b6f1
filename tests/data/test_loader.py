"""Batches: a function of (seed, step) alone, every example once, padding that changes nothing, pixels as stored."""

import collections
import itertools
from pathlib import Path

import numpy as np
import pytest

from l2l.data import loader, schema
from l2l.data.clips import ClipReader, mirrored
from l2l.data.dataset import open_clips, open_features
from l2l.data.features import FeatureReader
from l2l.data.order import Order
from l2l.data.tensorflow import tf
from l2l.evaluate import evaluation
from l2l.media.picture import jpeg as jpegs
from l2l.media.picture.jpeg import decode_jpeg, encode_jpeg
from tests.helpers import shards

LOOK = {"frames": 2, "crop": 14, "resize": 16, "scale": 0.8, "flip": True}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return shards.clip_directory(tmp_path_factory.mktemp("data") / "clips", videos={"train": 22, "val": 7}, clips=2)


@pytest.fixture(scope="module")
def feature_shards(tmp_path_factory):
    return shards.feature_directory(tmp_path_factory.mktemp("data") / "features", videos={"train": 13, "val": 9})


def take(source, first: int, count: int, **changes):
    how = {"draw": "clip", "batch": 8, "streams": 4, "seed": 3, "shuffle": 64} | changes
    return list(itertools.islice(source.train("train", first_step=first, **how), count))


def equal(a, b) -> bool:
    return all(np.array_equal(x[key], y[key]) for x, y in zip(a, b, strict=True) for key in x)


def test_a_batch_depends_on_seed_and_step_alone(clips):
    source = open_clips(clips, **LOOK)
    straight = take(source, 0, 14)  # more than two epochs of 44 clips
    assert equal(straight, take(source, 0, 14))
    assert equal(straight[9:], take(source, 9, 5))
    assert not equal(straight[:2], take(source, 0, 2, seed=4))


def test_the_number_of_processes_changes_no_batch(clips, monkeypatch):
    source = open_clips(clips, **LOOK)
    whole = take(source, 2, 3)
    monkeypatch.setattr("jax.process_count", lambda: 2)
    halves = []
    for process in range(2):
        monkeypatch.setattr("jax.process_index", lambda p=process: p)
        halves.append(take(source, 2, 3))
    joined = [{key: np.concatenate([a[key], b[key]]) for key in a} for a, b in zip(*halves, strict=True)]
    assert equal(whole, joined)


def test_every_example_once_an_epoch(clips):
    source = open_clips(clips, **(LOOK | {"scale": 1.0, "flip": False}))
    epoch = take(source, 0, 5)  # 40 of 44 clips
    sounds = {row.tobytes() for batch in epoch for row in batch["audio"]}
    assert len(sounds) == 40


def numbered(folder, counts: list[int]) -> list[tuple[Path, int]]:
    """Shards of so many records, which are numbers from 0 on."""
    numbers = itertools.count()
    for i, count in enumerate(counts):
        with tf.io.TFRecordWriter(str(folder / str(i))) as writer:
            for number in itertools.islice(numbers, count):
                writer.write(str(number).encode())
    return [(folder / str(i), count) for i, count in enumerate(counts)]


def numbers_of(order: Order, first: int, count: int, batch: int) -> list[list[int]]:
    """The records of `count` batches."""
    decode = lambda raw, seed, shared: {"number": tf.strings.to_number(raw, tf.int64)}
    batches = loader.train_batches(order, decode, batch=batch, first_step=first)
    return [x["number"].tolist() for x in itertools.islice(batches, count)]


@pytest.mark.parametrize(
    ("counts", "streams", "batch"),
    [
        ([2] * 6, 4, 4),  # streams that do not divide the shards
        ([3, 0, 7, 1, 5], 8, 16),  # shards of unequal size, fewer than streams
        ([2, 1], 4, 4),  # fewer examples than streams: some have nothing to draw in an epoch
        ([5, 4], 1, 3),
    ],
)
def test_no_example_is_drawn_more_than_once_more_than_another(tmp_path, counts, streams, batch):
    order, total = Order(numbered(tmp_path, counts), streams, seed=3, shuffle=16), sum(counts)
    steps = numbers_of(order, 0, -(-40 * total // batch), batch)
    drawn = collections.Counter(dict.fromkeys(range(total), 0))
    for number, step in enumerate(steps, start=1):
        drawn.update(step)
        epochs = number * batch // total
        assert set(drawn.values()) <= {epochs, epochs + 1}, number
    assert min(drawn.values()) == 40
    assert len({tuple(step) for step in steps[:: max(1, total // batch)]}) > 3  # epochs differ
    for first in (1, len(steps) // 2, len(steps) - 2):
        assert numbers_of(order, first, 2, batch) == steps[first : first + 2]


def test_an_epoch_draws_one_clip_of_every_video(tmp_path):
    """And the next one another, each as often as any other; which ones they begin with is chance."""
    directory, clips, videos = tmp_path / "clips", 3, 40
    source = open_clips(shards.clip_directory(directory, videos={"train": videos}, clips=clips), **LOOK)
    assert (source.examples("train", "video"), source.examples("train", "clip")) == (videos, videos * clips)
    sounds = {}  # of each clip, which video's and which one it is
    for batch in source.eval("train", batch=8):
        for row, key in enumerate(zip(batch["video_id"], batch["clip"], strict=True)):
            sounds[batch["audio"][row].tobytes()] = key
    clips_of = lambda batches: dict(sounds[row.tobytes()] for batch in batches for row in batch["audio"])
    drawn = take(source, 0, 6 * 5, draw="video")
    epochs = [clips_of(drawn[i : i + 5]) for i in range(0, 30, 5)]
    for epoch in epochs:
        assert len(epoch) == videos
        shares = np.bincount([*epoch.values()], minlength=clips) - videos / clips
        assert (shares**2).sum() / (videos / clips) < 9.21  # chi-square, two degrees of freedom, 1 %
    for video in epochs[0]:
        seen = [int(epoch[video]) for epoch in epochs]
        assert sorted(seen[:3]) == sorted(seen[3:]) == [0, 1, 2]
    other = clips_of(take(source, 0, 5, draw="video", seed=4))
    assert sum(other[video] != epochs[0][video] for video in other) > videos / 3


def test_what_an_epoch_draws_is_checked(clips, tmp_path):
    source = open_clips(clips, **LOOK)
    with pytest.raises(ValueError, match="config.data.draw='all' is not known: choose video or clip"):
        source.examples("train", "all")
    empty = open_clips(shards.clip_directory(tmp_path / "clips", videos={"train": 0, "val": 1}), **LOOK)
    with pytest.raises(schema.ShardError, match=r"no video in its split 'train' to train on.*data.train=SPLIT"):
        empty.examples("train", "video")


def test_a_square_is_cut_at_every_place(monkeypatch):
    """At the first and at the last one, too; each as often as any other."""
    ramp = np.add.outer(15 * np.arange(12), 3 * np.arange(14)).astype(np.uint8)
    jpeg = encode_jpeg(ramp[..., None].repeat(3, 2), 100)
    monkeypatch.setattr(jpegs, "encode_jpeg", lambda image, quality: jpeg)
    raw = shards.clip(np.random.default_rng(0), "video", 0, 1, 0, frames=1, size=1)
    reader = ClipReader(frames=1, side=10, classes=1, flip=False)
    squares = tf.data.Dataset.range(1500).map(lambda n: reader.train(raw, [n, 0], None)["frames"]).batch(1500)
    at = next(squares.as_numpy_iterator()).mean((1, 2, 3, 4)) - ramp[:10, :10].mean()
    tops, lefts = np.divmod(np.round(at / 3).astype(int), 5)
    counts = np.bincount(5 * tops + lefts, minlength=15)
    assert ((counts - 100) ** 2 / 100).sum() < 29.1, counts  # chi-square, 14 degrees of freedom, 1 %


def test_evaluation_counts_every_example_once_in_order(clips):
    source = open_clips(clips, **LOOK)
    batches = list(source.eval("val", batch=8))
    assert [int(b["mask"].sum()) for b in batches] == [8, 6]
    assert np.concatenate([b["example"][b["mask"]] for b in batches]).tolist() == list(range(14))
    assert {k: v.shape for k, v in batches[1].items() if k == "frames"} == {"frames": (8, 2, 14, 14, 3)}
    ids = [x.decode() for b in batches for x in b["video_id"]]
    assert sorted(set(ids)) == [f"val{i}" for i in range(7)]


def test_pixels_and_sound_by_value(clips):
    """TensorFlow's decoder in the loader and Pillow's in `media` see the same pixels of the same centre crop."""
    source = open_clips(clips, **LOOK)
    batch = next(source.eval("val", batch=8))
    path, _ = source.shards("val")[0]
    raw = next(iter(tf.data.TFRecordDataset(str(path))))
    record = tf.train.Example.FromString(raw.numpy()).features.feature
    image = decode_jpeg(record["frames"].bytes_list.value[1])  # (16, 24, 3)
    np.testing.assert_array_equal(batch["frames"][0, 1], image[1:15, 5:19])
    np.testing.assert_array_equal(batch["audio"][0], np.frombuffer(record["audio"].bytes_list.value[0], "<i2"))
    assert batch["labels"][0].tolist() == [1.0, 0.0, 0.0]
    assert batch["times"][0] == pytest.approx(0.5)


def test_augmentation_is_one_for_all_frames_of_a_clip(tmp_path, monkeypatch):
    same = encode_jpeg
    monkeypatch.setattr(
        jpegs,
        "encode_jpeg",
        lambda x, q: same(np.tile(np.arange(24, dtype=np.uint8)[None, :, None] * 10, (16, 1, 3)), q),
    )
    directory = shards.clip_directory(tmp_path / "clips", videos={"train": 8})
    batches = take(open_clips(directory, **LOOK), 0, 3)
    frames = np.concatenate([b["frames"] for b in batches])
    np.testing.assert_array_equal(frames[:, 0], frames[:, 1])
    assert len({row.tobytes() for row in frames[:, 0]}) > 12  # crops, zooms and mirrors differ between clips


def test_mirrored_exchanges_left_and_right_of_every_image():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 3), np.uint8)
    np.testing.assert_array_equal(mirrored(images), images[:, :, ::-1])


def test_lengths_of_features_are_buckets(feature_shards):
    source = open_features(feature_shards, lengths=(8, 12))
    shapes = [batch["image"].shape for batch in take(source, 0, 12)]
    assert set(shapes) == {(8, 8, 8), (8, 12, 8)}
    assert shapes == [batch["image"].shape for batch in take(source, 0, 12, streams=2)]  # all rows, all processes
    assert shapes != [batch["image"].shape for batch in take(source, 0, 12, seed=4)]
    batches = list(source.eval("val", batch=4))
    assert {b["image"].shape[1] for b in batches} <= {8, 12, 24}
    assert sum(int(b["mask"].sum()) for b in batches) == 9
    for batch in batches:
        for row, times in enumerate(batch["times"]):
            assert batch["valid"][row].sum() == len(times)
            assert not batch["image"][row, len(times) :].any()


def test_a_video_longer_than_every_length_gets_a_bucket():
    reader = FeatureReader(image=1, audio=1, classes=2, lengths=(4, 8))
    video = {"image": np.ones((19, 1), np.float16), "audio": np.ones((19, 1), np.float16)}
    bucket, padded = reader.fit(video)
    assert bucket == 32
    assert padded["valid"].sum() == 19


def test_metrics_of_padded_batches_equal_one_big_batch(feature_shards):
    source = open_features(feature_shards, lengths=(24,))
    collect = lambda size: [
        (
            {"logits": b["image"].astype(np.float32).sum(1)[b["mask"]][:, :3]},
            {k: v[: int(b["mask"].sum())] for k, v in b.items()},
        )
        for b in source.eval("val", batch=size)
    ]
    measured = []
    for size in (2, 4, 9):
        rows = collect(size)
        logits = np.concatenate([outputs["logits"] for outputs, _ in rows])
        labels = np.concatenate([batch["labels"] for _, batch in rows])
        assert len(logits) == 9
        heard = np.concatenate([batch["has_audio"] for _, batch in rows])
        measured.append(evaluation.measure({"logits": logits, "labels": labels, "has_audio": heard}))
    assert measured[0] == measured[1] == measured[2]


def test_feature_shards_round_trip_by_value(tmp_path):
    rng = np.random.default_rng(1)
    video = shards.feature_video(rng, "näme", [2], 4)
    directory = shards.feature_directory(tmp_path / "f", videos={"train": 4}, width=4)
    shards.features.write_shard(directory / "one.tfrecord", [video])
    reader = FeatureReader(4, 4, 3, (8,))
    back = next(loader.eval_records([directory / "one.tfrecord"], reader.eval, batch=1))
    np.testing.assert_array_equal(back["image"], video["image"])
    np.testing.assert_array_equal(back["audio"], video["audio"])
    np.testing.assert_allclose(back["times"], video["times"])
    assert back["video_id"].decode() == "näme"


@pytest.mark.parametrize(
    ("batch", "streams", "processes", "says"),
    [
        (7, 2, 1, "data.batch=7 does not divide over data.streams=2: leave --config.data.streams=0, or set 1"),
        (8, 2, 4, r"data.streams=2 does not divide over 4 processes: start so many as divide it \(1, 2\).*streams=4"),
    ],
)
def test_batch_streams_and_processes_must_fit(batch, streams, processes, says, monkeypatch):
    monkeypatch.setattr("jax.process_count", lambda: processes)
    with pytest.raises(ValueError, match=says):
        loader.check_streams(batch=batch, streams=streams)
