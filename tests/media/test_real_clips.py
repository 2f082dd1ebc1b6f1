"""Recordings that were not made here: prepared, verified and read back, where a folder of them is given."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from l2l.data import schema
from l2l.media import policy, video

FOLDER = os.environ.get("L2L_REAL_CLIPS")
pytestmark = pytest.mark.skipif(not FOLDER, reason="set L2L_REAL_CLIPS to a folder of video files")


def run(module: str, *args: object) -> str:
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_prepared_verified_and_read_back(tmp_path):
    import tensorflow_datasets as tfds

    videos = sorted(path for path in Path(FOLDER).absolute().iterdir() if path.suffix.lower() in policy.VIDEO_SUFFIXES)
    assert videos
    with open(tmp_path / "list.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *((path, "a", "train") for path in videos)])
    out = tmp_path / "out"
    run("data_prep.write_shards", f"--videos={tmp_path / 'list.csv'}", f"--out={out}", "--workers=2", "--shards=3")
    assert "is whole" in run("data_prep.verify", out)
    index = schema.load_index(out)
    assert not index.failed
    assert index.videos("train") == len(videos)

    records = list(tfds.builder_from_directory(out).as_dataset(split="train").as_numpy_iterator())
    assert len(records) == index.records("train")
    facts = {str(path): video.probe(path) for path in videos}
    ends = dict.fromkeys(facts, 0.0)
    for record in records:
        name = record["video_id"].decode()
        known, images = facts[name], record["frames"]
        assert record["start"] == pytest.approx(ends[name], abs=1e-3)
        ends[name] = record["start"] + record["duration"]
        assert len(images) == 16
        assert {image.shape for image in images} == {images[0].shape}
        assert min(images[0].shape[:2]) == 128
        shape = known.height / known.width
        assert images[0].shape[0] / images[0].shape[1] == pytest.approx(shape, rel=0.01)
        assert len(record["audio"]) == policy.AUDIO_RATE
        assert bool(record["has_audio"]) == known.has_audio
    assert all(facts[name].duration <= end < facts[name].duration + 1 for name, end in ends.items())
