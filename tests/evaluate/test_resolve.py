"""Which split is reported, which one chooses: decided by the config and what the shards hold."""

import argparse
from pathlib import Path

import pytest

from l2l.data import schema
from l2l.data.dataset import Source
from l2l.evaluate.resolve import resolved
from l2l.runs import run_folder
from l2l.runs.config import load_config, plain
from l2l.train import setup


def source(**records: int) -> Source:
    """Shards with so many records a split, by their index alone."""
    splits = {name: (schema.Shard(name, count, count, 1, ""),) for name, count in records.items()}
    return Source(Path("data/mine"), schema.Index("clips", ("a", "b"), splits, {}), None)


def asked(tmp_path, val: str = "", test: str = "", best: str = "top1"):
    config = load_config("configs/teacher.py")
    config.run, config.data.val, config.data.test, config.best = str(tmp_path / "run"), val, test, best
    return config


@pytest.mark.parametrize(
    ("there", "names", "val", "test"),
    [
        ({"train": 9, "val": 3, "test": 4}, {}, "val", "test"),
        ({"train": 9, "val": 3}, {}, "", "val"),
        ({"train": 9, "test": 4}, {}, "", "test"),
        ({"train": 9, "val": 3, "test": 0}, {}, "", "val"),
        ({"train": 9, "val": 0, "test": 4}, {}, "", "test"),
        ({"train": 9, "val": 3, "test": 4}, {"test": "val"}, "", "val"),
        ({"train": 9, "val": 3, "test": 4}, {"val": "train"}, "train", "test"),
        ({"train": 9, "val": 3, "far": 4}, {"test": "far"}, "val", "far"),
        ({"train": 9, "val": 3}, {"val": "val", "best": ""}, "val", "val"),
    ],
)
def test_splits(tmp_path, there, names, val, test):
    config = asked(tmp_path, **names)
    found = resolved(config, source(**there))
    assert (found.data.val, found.data.test, found.data.streams) == (val, test, 16)
    assert config.data.val == names.get("val", "")  # what was asked for is left as it was


@pytest.mark.parametrize(
    ("there", "names", "words"),
    [
        ({"train": 9}, {}, r"data/mine: its split 'val' is not there; set --config.data.test to one of train, or"),
        ({"train": 9, "val": 3}, {"test": "tset"}, r"'tset' is not there; set --config.data.test to one of train, val"),
        ({"train": 9, "val": 3, "test": 0}, {"test": "test"}, r"'test' has no examples; set --config.data.test"),
        ({"train": 9, "val": 0, "test": 2}, {"val": "val"}, r"'val' has no examples; set --config.data.val"),
        ({"train": 0, "val": 3}, {}, r"'train' has no examples; set --config.data.train to one of val"),
        ({"train": 9, "val": 3}, {"val": "val"}, r"config.data.val=val is also .* so config.best=top1 would choose on"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, there, names, words):
    with pytest.raises(ValueError, match=words) as error:
        resolved(asked(tmp_path, **names), source(**there))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("there", "names", "said"),
    [
        ({"train": 64, "val": 3, "test": 4}, {}, ["the step with the best top1 on val is kept; test is measured"]),
        ({"train": 64, "val": 3, "test": 4}, {"best": ""}, ["the last step is kept; test is measured"]),
        (
            {"train": 9, "val": 3},
            {},
            [
                "a batch of 16 is more than the 9 examples of train",
                "no validation split: the last step is kept; val is measured",
            ],
        ),
    ],
)
def test_what_is_decided_is_said_at_the_start(tmp_path, capsys, there, names, said):
    config = resolved(asked(tmp_path, **names), source(**there))
    job = argparse.Namespace(config=config, run=tmp_path, examples=there["train"])
    setup.announce(job)
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"{tmp_path}: {words}") for line, words in zip(lines, said, strict=True)] == [True] * len(
        said
    )


def record(config) -> dict:
    return {"config": plain(config), "inputs": {}, "labels": [], "policy": {}, "student": None}


def test_a_run_that_is_continued_keeps_what_it_has_recorded(tmp_path):
    data = source(train=9, val=3, test=4)
    begun = record(asked(tmp_path, val="train", test="val"))
    run_folder.start(tmp_path / "run", begun | {"inputs": {"data": {"path": "data/mine", "hash": data.index.hash}}})
    found = resolved(asked(tmp_path), data)
    assert (found.data.val, found.data.test) == ("train", "val")
    run_folder.check_same(tmp_path / "run", record(asked(tmp_path)))
    other = resolved(asked(tmp_path), source(train=8, val=3, test=4))
    assert (other.data.val, other.data.test) == ("val", "test")


def test_what_is_left_open_is_any_run_s_own(tmp_path):
    """As of a run that was made when the validation split was reported and four streams were the default."""
    before = record(asked(tmp_path, val="val", test="val")) | {"order": 2}
    before["config"]["data"]["streams"] = 4
    run_folder.start(tmp_path / "run", before)
    now = record(asked(tmp_path))
    now["config"]["data"]["streams"] = 0
    run_folder.check_same(tmp_path / "run", now)
    now["config"]["data"] |= {"test": "test", "streams": 2, "batch": 8}
    with pytest.raises(run_folder.RunError) as error:
        run_folder.check_same(tmp_path / "run", now)
    lines = str(error.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:-1]] == [
        f"config.data.{k}" for k in ("batch", "streams", "test")
    ]


def test_a_run_of_the_last_release_is_what_the_defaults_ask_for(tmp_path):
    """Finished it is left alone; it cannot go on, as its examples came in another order."""
    before = record(asked(tmp_path, val="val", test="val"))
    before["config"]["data"] |= {"streams": 4, "shuffle": 256}
    del before["config"]["data"]["draw"]
    run_folder.start(tmp_path / "run", before)
    run_folder.check_same(tmp_path / "run", record(asked(tmp_path)))
    with pytest.raises(run_folder.RunError, match="begun by an earlier release"):
        run_folder.start(tmp_path / "run", record(asked(tmp_path)) | {"order": 2})
