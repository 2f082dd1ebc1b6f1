"""What the README says of records, for those who read them without this project: every field, and code that runs."""

import textwrap

import numpy as np

from data_prep.shards.prepare import write_dataset
from l2l.data import schema
from l2l.media.picture.jpeg import decode_jpeg
from tests.helpers.commands import ROOT
from tests.helpers.prepared import LABELS, POLICY, records, rows_of

README = (ROOT / "README.md").read_text(encoding="utf-8")
MANY = {1: "one", None: "any number"}


def rows():
    """The lines of the table, from the schema."""
    first, second, last = schema.RECORDS.items()
    for kind, table in (first, second, ("features with glances", schema.GLANCES), last):
        for name, field in table.items():
            yield f"| {kind} | `{name}` | {field.kind}, {MANY.get(field.length, field.length)} | {field.meaning} |"


def test_every_field_is_listed():
    lines = README.splitlines()
    first = lines.index("| records of | field | stored as | meaning |")
    expected = list(rows())
    assert lines[first + 2 : first + 2 + len(expected)] == expected
    assert not lines[first + 2 + len(expected)].startswith("|")


def test_the_code_reads_them(tmp_path):
    """Pictures, samples and labels of every clip of a split, as they were cut."""
    block = README[README.index("    import tensorflow as tf\n") :].split("\n\nA ", 1)[0]
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
    begin = README.index("    import tensorflow_datasets as tfds\n")
    block = README[begin : README.index("\n\n", README.index("show_examples(", begin))]
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
