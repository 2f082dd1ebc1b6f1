"""What docs/reference/records.md says, for those who read records without this project: fields, and code that runs."""

import textwrap

import numpy as np
import pytest

from data_prep.shards.prepare import write_dataset
from l2l.data import schema
from l2l.media.picture.jpeg import decode_jpeg
from tests.helpers.commands import ROOT
from tests.helpers.prepared import LABELS, POLICY, records, rows_of

PAGE = (ROOT / "docs" / "reference" / "records.md").read_text(encoding="utf-8")
MANY = {1: "one", None: "any number"}
TITLES = {
    "## Clip records": schema.CLIP_RECORD,
    "## Feature records": schema.FEATURE_RECORD,
    "### With regions": schema.GLANCES,
    "## Teacher records": schema.TEACHER_RECORD,
}


@pytest.mark.parametrize("title", TITLES)
def test_every_field_is_listed(title):
    lines = PAGE.partition(f"\n{title}\n")[2].partition("\n#")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    stored = {name.strip("`"): how for name, how, _ in rows}
    assert stored == {
        name: f"{field.kind}, {MANY.get(field.length, field.length)}" for name, field in TITLES[title].items()
    }


def test_the_code_reads_them(tmp_path):
    """Pictures, samples and labels of every clip of a split, as they were cut."""
    block = PAGE[PAGE.index("    import tensorflow as tf\n") :].split("\n\n## ", 1)[0]
    assert block.count("data/mine") == 1
    listed = rows_of(tmp_path)
    index = write_dataset(listed, LABELS, tmp_path / "out", POLICY)
    found = {}
    exec(
        textwrap.dedent(block).replace("data/mine", str(tmp_path / "out")).replace("...", "seen(clip)"),
        {"seen": found_in(found)},
    )
    assert len(found) == index.records("train")
    for record in records(tmp_path / "out", index, "train"):
        clip = found[record["video_id"].bytes_list.value[0], record["clip"].int64_list.value[0]]
        assert clip["labels"].tolist() == list(record["labels"].int64_list.value)
        assert clip["audio"].astype("<i2").tobytes() == record["audio"].bytes_list.value[0]
        for jpeg, picture in zip(record["frames"].bytes_list.value, clip["frames"], strict=True):
            assert np.abs(decode_jpeg(jpeg).astype(int) - picture).max() <= 8


def test_the_code_shows_them(tmp_path, monkeypatch):
    """TFDS draws the first picture of every clip over the name of its class."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    begin = PAGE.index("    import tensorflow_datasets as tfds\n")
    block = PAGE[begin : PAGE.index("\n\n", PAGE.index("show_examples(", begin))]
    assert block.count("data/mine") == 1
    index = write_dataset(rows_of(tmp_path), LABELS, tmp_path / "out", POLICY, shards=1)
    told = {}
    exec(textwrap.dedent(block).replace("data/mine", str(tmp_path / "out")), told)
    drawn = list(records(tmp_path / "out", index, "train"))
    assert len(told["shown"].axes) == len(drawn)
    for axes, record in zip(told["shown"].axes, drawn, strict=True):
        label, *_ = record["labels"].int64_list.value
        assert axes.get_xlabel() == f"{LABELS[label]} ({label})"
        picture = decode_jpeg(record["frames"].bytes_list.value[0])
        assert np.abs(axes.images[0].get_array().astype(int) - picture).max() <= 8


def found_in(found):
    return lambda clip: found.update({(clip["video_id"], int(clip["clip"])): clip})
