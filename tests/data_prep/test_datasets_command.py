"""Every data set by its command, on tiny videos: what is stored, and what is set aside with which status."""

import inspect
from pathlib import Path

import pytest

from data_prep import write_shards
from l2l.data import schema
from tests.helpers.videos import write_video

LISTS = Path(__file__).parents[1] / "lists"
SMALL = ["--frames=2", "--short_side=32", "--workers=1", "--shards=1", "--clips=1"]

# Per data set: its flags, its videos with their seconds, what a split stores, and the statuses of the rest.
CASES = {
    "kinetics": (
        ["--lists", str(LISTS / "kinetics_train.csv"), str(LISTS / "kinetics_val.csv")],
        {"aaaaaaaaaa1.mp4": 21, "val/bbbbbbbbbb1_000005_000015.avi": 1, "val/bbbbbbbbbb3.mp4": 1},
        {"train": ["aaaaaaaaaa1_000010_000020"], "val": ["bbbbbbbbbb1_000005_000015"]},
        {"missing": 5, "wrong_label": 1},
    ),
    "kinetics_sounds": (
        ["--lists", str(LISTS / "kinetics_sounds.csv"), "--classes=34"],
        {"gggggggg001_1_11.mp4": 1, "hhhhhhhhhh1.mp4": 14},
        {"train": ["gggggggg001_000001_000011"], "val": ["hhhhhhhhhh1_000003_000013"]},
        {"missing": 33},
    ),
    "ucf101": (
        [f"--lists={LISTS / 'ucf101'}", "--fold=1"],
        {"YoYo/v_YoYo_g91_c01.avi": 1, "YoYo/v_YoYo_g81_c02.avi": 1},
        {"train": ["v_YoYo_g91_c01"], "val": ["v_YoYo_g81_c02"]},
        {"missing": 4, "wrong_label": 1},
    ),
    "activitynet": (
        [f"--lists={LISTS / 'activitynet.json'}", "--unit=segment"],
        {"v_ddddddddd_2.mkv": 13, "v_v_ddddddd_3.mp4": 2, "v_ddddddddd_7.mp4": 4},
        {
            "train": ["ddddddddd_2@1.500-9.000", "ddddddddd_2@12.000-20.250"],
            "val": ["v_ddddddd_3@0.010-12.260"],
            "test": ["ddddddddd_7@3.000-14.000"],
        },
        {"missing": 1, "too_short": 2, "wrong_label": 2},
    ),
    "mini_sports1m": (
        [
            f"--lists={LISTS / 'sports1m'}",
            "--durations",
            *(str(LISTS / f"sports1m_{x}.json") for x in ("train", "test")),
        ],
        {"eeeeeeeeee2.mp4": 1, "ffffffffff1.mp4": 1},
        {"train": ["eeeeeeeeee2"], "val": ["ffffffffff1"]},
        {"missing": 1},
    ),
}


def make_videos(folder, videos):
    for name, seconds in videos.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"codec": "mpeg4", "audio_codec": "mp3"} if path.suffix == ".avi" else {}
        write_video(path, seconds=seconds, fps=10, size=(48, 32), **kind)


def ids(out, index, split):
    import tensorflow as tf

    for path in schema.shard_paths(out, index, split):
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield tf.train.Example.FromString(raw).features.feature["video_id"].bytes_list.value[0].decode()


@pytest.mark.parametrize("dataset", CASES)
def test_command(dataset, tmp_path):
    flags, videos, stored, statuses = CASES[dataset]
    make_videos(tmp_path / "videos", videos)
    where = [f"--videos={tmp_path / 'videos'}", f"--out={tmp_path / 'out'}"]
    assert write_shards.main([f"--dataset={dataset}", *flags, *where, *SMALL]) == 0
    index = schema.load_index(tmp_path / "out")
    assert {split: sorted(ids(tmp_path / "out", index, split)) for split in index.splits} == stored
    counts = [x["status"] for x in index.failed]
    assert {status: counts.count(status) for status in counts} == statuses
    assert index.multi_label == (dataset == "activitynet")


def test_a_late_video_is_taken_in_whole_or_cut(tmp_path):
    """Whether a video needs cutting is known only when it is there: it is no other plan."""
    flags, videos, _, _ = CASES["kinetics"]
    make_videos(tmp_path / "videos", videos)
    command = ["--dataset=kinetics", *flags, f"--videos={tmp_path / 'videos'}", f"--out={tmp_path / 'out'}", *SMALL]
    assert write_shards.main(command) == 0
    make_videos(tmp_path / "videos", {"bbbbbbbbbb2.mp4": 18})
    assert write_shards.main([*command, "--retry_failed"]) == 0
    index = schema.load_index(tmp_path / "out")
    assert "bbbbbbbbbb2_000007_000017" in set(ids(tmp_path / "out", index, "val"))


@pytest.mark.parametrize("dataset", write_shards.DATASETS)
def test_interface(dataset, capsys):
    """`read` takes the flags that the module declares, and help shows them and what is chosen."""
    reader = write_shards._reader(dataset)
    with pytest.raises(SystemExit) as stopped:
        write_shards.main([f"--dataset={dataset}", "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert reader.__doc__.splitlines()[0] in said
    assert all(f"--{name}" in said for name in inspect.signature(reader.read).parameters)


def test_a_mistake_is_one_line(tmp_path, capsys):
    make_videos(tmp_path, {"x.mp4": 1})
    where = [f"--videos={tmp_path}", f"--out={tmp_path / 'out'}"]
    assert write_shards.main(["--dataset=ucf101", f"--lists={tmp_path}", *where]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'classInd.txt'} does not exist\n"
    with pytest.raises(SystemExit):
        write_shards.main(["--dataset=ucf101", *where])
    assert "--lists" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        write_shards.main(["--dataset=nonsense", *where])
    assert "invalid choice: 'nonsense'" in capsys.readouterr().err
