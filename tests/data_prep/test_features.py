"""Features that somebody else made become shards, by value; what cannot be used is set aside; killed, it goes on."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_prep import features, verify
from data_prep.shards.locks import ACCOUNTS
from l2l.data import schema
from l2l.data.dataset import open_features
from tests.helpers.features import HOPS, feature_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """Twelve videos of three classes, with images every second and sounds every 0.4 seconds."""
    return feature_folder(tmp_path / "features", {"train": 8, "test": 4})


def convert(folder, *more, hops=HOPS):
    flags = [f"--{name}_hop={hop}" for name, hop in hops.items()]
    out = folder.parent / "out"
    return features.main([f"--features={folder}", f"--list={folder / 'list.csv'}", f"--out={out}", *flags, *more])


def stored(out, split):
    """Video id -> what its record holds."""
    for batch in open_features(str(out), lengths=(32,)).eval(split, batch=1):
        valid = batch["valid"][0]
        rows = {m: batch[m][0][valid] for m in ("image", "audio")}
        yield batch["video_id"][0].decode(), rows | {key: batch[key][0] for key in ("times", "labels", "has_audio")}


def test_every_position_has_the_row_that_is_nearest_in_time(folder, capsys):
    assert convert(folder) == 0
    out = folder.parent / "out"
    said = capsys.readouterr().out
    assert f"{out} is finished: 3 classes, image of 6 and audio of 4 values, 0 videos set aside" in said
    index = schema.load_index(out, kind="features")
    assert (index.labels, index.videos("train"), index.videos("test")) == (("class 0", "class 1", "class 2"), 8, 4)
    assert index.policy["widths"] == {"image": 6, "audio": 4}
    assert index.policy["hops"] == HOPS
    found = dict(stored(out, "train"))
    assert sorted(found) == [f"train/{i}" for i in range(8)]
    for name, video in found.items():
        image, audio = (np.load(folder / m / f"{name}.npy") for m in ("image", "audio"))
        np.testing.assert_array_equal(video["image"], image.astype(np.float16))
        np.testing.assert_allclose(video["times"], np.arange(len(image)) + 0.5)
        centres = (np.arange(len(audio)) + 0.5) * HOPS["audio"]
        near = [np.abs(centres - t).round(6).argmin() for t in video["times"]]  # the earlier of equally near ones
        np.testing.assert_array_equal(video["audio"], audio[near].astype(np.float16))
        assert video["labels"].tolist() == [float(i == int(name[-1]) % 3) for i in range(3)]
        assert video["has_audio"]
    assert verify.main([str(out), "--workers=1"]) == 0


def test_the_earlier_of_two_that_are_equally_near():
    assert features.nearest(np.array([0.5, 1.0, 1.5, 9.0]), 1.0, 3).tolist() == [0, 0, 1, 2]
    assert features.nearest((np.arange(3) + 0.5) * 0.96, 0.48, 6).tolist() == [0, 2, 4]


def test_the_same_bytes_and_nothing_to_do_a_second_time(folder):
    assert convert(folder) == 0
    out = folder.parent / "out"
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("[!.]*")}
    assert convert(folder) == 0
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("[!.]*")} == before
    out.rename(folder.parent / "first")
    assert convert(folder) == 0
    for name, (data, _) in before.items():
        assert name == "dataset_info.json" or (out / name).read_bytes() == data


def test_what_lacks_is_marked_and_what_cannot_be_used_is_set_aside(tmp_path, capsys):
    folder = feature_folder(tmp_path / "features", {"train": 8, "test": 5})
    good = np.load(folder / "image/train/0.npy")
    (folder / "audio/train/1.npy").unlink()
    (folder / "image/train/2.npy").unlink()
    (folder / "image/train/3.npy").write_bytes(b"no array")
    np.save(folder / "image/train/4.npy", np.where(np.arange(6) == 2, np.nan, good))
    np.save(folder / "image/train/5.npy", good[:, :5])
    np.save(folder / "image/train/6.npy", np.array([["a"]]))
    np.save(folder / "image/test/0.npy", np.zeros((0, 6), np.float32))
    np.save(folder / "image/test/1.npy", good[None])
    np.save(folder / "image/test/2.npy", np.full((3, 6), 1e6))
    np.save(folder / "image/test/3.npy", np.zeros((10**6 + 1, 1), np.uint8))
    cut = (folder / "audio/train/7.npy").read_bytes()
    (folder / "audio/train/7.npy").write_bytes(cut[:-1])
    assert convert(folder) == 0
    out = folder.parent / "out"
    index = schema.load_index(out)
    words = {
        "train/2": "there is no image/train/2.npy",
        "train/3": "image/train/3.npy: the magic string",
        "train/4": "image/train/4.npy: it has values that are not finite",
        "train/5": "image/train/5.npy: its rows have 5 values, those of other videos 6",
        "train/6": "image/train/6.npy: it holds <U1, not numbers",
        "train/7": f"audio/train/7.npy: it has {len(cut) - 129} bytes for an array of shape",
        "test/0": "image/test/0.npy: it has the shape (0, 6), not (rows, width)",
        "test/1": f"image/test/1.npy: it has the shape (1, {len(good)}, 6)",
        "test/2": "not finite in float16",
        "test/3": "image/test/3.npy: it has the shape (1000001, 1), more than 1,000,000 rows",
    }
    reasons = {x["path"]: x["reason"] for x in index.failed}
    assert reasons.keys() == words.keys()
    assert all(word in reasons[name] for name, word in words.items())
    assert {x["path"]: x["status"] for x in index.failed}["train/2"] == "missing"
    assert [(x["path"], x["notes"]) for x in index.noted] == [
        ("train/1", ["no audio features: marked as without sound"])
    ]
    found = dict(stored(out, "train"))
    assert {name: bool(video["has_audio"]) for name, video in found.items()} == {"train/0": True, "train/1": False}
    assert not found["train/1"]["audio"].any()
    said = capsys.readouterr().out
    assert "set aside (train, missing): train/2" in said
    assert "no audio features: marked as without sound: 1 video" in said
    assert verify.main([str(out), "--workers=1"]) == 0
    np.save(folder / "image/train/2.npy", good)
    assert convert(folder, "--retry_failed") == 0
    assert "train/2" in dict(stored(out, "train"))


def test_one_modality_alone(folder):
    """Where there are no images, the positions are those of the sound."""
    (folder / "image").rename(folder / "pictures")
    assert convert(folder, hops={"audio": 0.4}) == 0
    out = folder.parent / "out"
    assert schema.load_index(out).policy["widths"] == {"image": 0, "audio": 4}
    video = dict(stored(out, "train"))["train/0"]
    audio = np.load(folder / "audio/train/0.npy")
    np.testing.assert_array_equal(video["audio"], audio.astype(np.float16))
    np.testing.assert_allclose(video["times"], (np.arange(len(audio)) + 0.5) * 0.4, rtol=1e-6)
    assert video["image"].shape == (len(audio), 0)
    assert verify.main([str(out), "--workers=1"]) == 0


def test_rows_of_a_video_go_together_and_stretches_are_kept(folder):
    head, *lines = (folder / "list.csv").read_text().splitlines()
    lines = [f"{line},1,2.5" for line in lines] + ["train/0,class 1|other,train,3,4"]
    (folder / "list.csv").write_text("\n".join([f"{head},start,end", *lines]))
    assert convert(folder) == 0
    out = folder.parent / "out"
    index = schema.load_index(out)
    assert (index.labels, index.multi_label) == (("class 0", "class 1", "class 2", "other"), True)
    found = dict(stored(out, "train"))
    assert found["train/0"]["labels"].tolist() == [1, 1, 0, 1]
    assert found["train/3"]["labels"].tolist() == [1, 0, 0, 0]
    actions = json.loads((out / "actions.json").read_text())
    assert actions["train/0"] == [[1, 2.5], [3, 4]]
    assert actions["test/3"] == [[1, 2.5]]
    assert "split test has no video of 1 of 4 classes: other" in index.notes


def test_lengths_and_stretches_that_a_wrong_hop_would_explain(folder, capsys):
    text = (folder / "list.csv").read_text().splitlines()
    (folder / "list.csv").write_text("\n".join([f"{text[0]},start,end", *(f"{line},90,95" for line in text[1:])]))
    assert convert(folder, hops={"image": 1.0, "audio": 4.0}) == 0
    said = capsys.readouterr().out
    assert "image and audio features differ by more than 2 hops in length: are the hops right?: 12 videos" in said
    assert "a labelled stretch begins after the last position: is the hop right?: 12 videos" in said


def test_without_a_column_split_the_classes_are_shared_out(folder):
    rows = [line.split(",") for line in (folder / "list.csv").read_text().splitlines()]
    (folder / "list.csv").write_text("\n".join(f"{video};{label}" for video, label, _ in rows))
    assert convert(folder, "--val=0.2") == 0
    index = schema.load_index(folder.parent / "out")
    assert {split: index.videos(split) for split in index.splits} == {"train": 6, "val": 3, "test": 3}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train/0,class 0,train", "line 14: \"train/0 ('class 0',) None\" stands already in"),
        ("train/0,class 1,test", "'train/0' is in split 'test' here and 'train' above"),
        ("../x,a,train", "'../x' lies outside of the feature folders"),
        ("/x,a,train", "'/x' lies outside"),
        ("x,a,trian", "split 'trian' is none of train, val, test"),
        ("x,a|,train", "label is empty"),
        (",a,train", "video is empty"),
        ("x,a", "another number of cells"),
    ],
)
def test_a_mistake_in_the_list_is_one_line(folder, capsys, line, words):
    with open(folder / "list.csv", "a") as file:
        file.write(f"\n{line}\n")
    assert convert(folder) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (folder.parent / "out").exists()


def test_flags_that_do_not_fit_the_folder(folder, capsys):
    for hops, words in (
        ({"image": 1.0}, "audio needs --audio_hop: the seconds"),
        ({}, "image needs --image_hop"),
    ):
        assert convert(folder, hops=hops) == 1
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit):
        convert(folder, hops={"image": "nan"})
    for path in (folder / "audio").rglob("*.npy"):
        path.unlink()
    assert convert(folder) == 1
    said = capsys.readouterr().err
    assert "audio has no usable file of the 12 listed videos; the first, " in said
    assert "0.npy: No such file or directory" in said
    assert convert(folder.parent) == 1


def test_other_features_in_the_same_directory_are_refused(folder, capsys):
    assert convert(folder) == 0
    assert convert(folder, hops={"image": 2.0, "audio": 0.4}) == 1
    assert "was begun with other settings (image hop: 1.0 there, 2.0 asked)" in capsys.readouterr().err


SLOW = """
import sys, time
from data_prep import features
real = features.bank
def slow(modality, row):
    time.sleep(0.15)
    return real(modality, row)
features.bank = slow
sys.exit(features.main(sys.argv[1:]))
"""


def test_killed_half_way_it_goes_on(folder):
    """What was whole is kept, what was half-written is gone, and the bytes are those of a run that was not killed."""
    flags = [f"--features={folder}", f"--list={folder / 'list.csv'}", "--image_hop=1.0", "--audio_hop=0.4"]
    whole, out = folder.parent / "whole", folder.parent / "out"
    assert features.main([*flags, f"--out={whole}"]) == 0
    with subprocess.Popen([sys.executable, "-c", SLOW, *flags, f"--out={out}"], cwd=ROOT, stderr=-3) as process:
        written = lambda: list(out.glob("features-*"))
        while process.poll() is None and len(written()) < 4:
            time.sleep(0.02)
        process.kill()
    kept = {path: path.stat().st_mtime_ns for path in written() if (out / ACCOUNTS / f"{path.name}.json").exists()}
    assert 3 <= len(kept) < 12
    assert not (out / schema.INDEX).exists()
    (out / f".{schema.shard_name('features', 'test', 0, 4)}.x.shard.tmp").write_bytes(b"half")
    assert convert(folder) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not [name for name in os.listdir(out) if name.endswith(".tmp")]
    for path in whole.glob("features-*"):
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert schema.load_index(out) == schema.load_index(whole)
