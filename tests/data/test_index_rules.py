"""Every field of artefact.json and of index.json made wrong in every way: one line that names the file, or harmless."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import pytest

from data_prep import verify
from l2l.core import atomic
from l2l.data import schema
from l2l.data.dataset import open_features
from l2l.inference import export_rules, from_export
from tests.helpers.mutated_json import WRONG, changed, faults, harmless, one_line, text

RELEASE = Path(__file__).parents[1] / "release"


def about():
    with zipfile.ZipFile(RELEASE / "skim.l2l") as file:
        said = json.loads(file.read(from_export.ABOUT))
    sure = {"source": "step_logits", "temperatures": [1.0, 0.9, 1.1], "threshold": 0.8, "calibrates": True}
    return said | {"sure": sure}


def archive_of(said):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(from_export.ABOUT, said)
    return zipfile.ZipFile(data)


# What may be otherwise, and how, without harm: places, and what is admitted there.
TEXTS = {"a text", "elsewhere"}
MODEL = [
    (r"labels/\d|made_of|platforms/[12]", TEXTS),
    (r"platforms/[12]|lengths/\d", {"deleted"}),
    (r"macs/\w+/\d", {"-5"}),  # costs that are shown
    (r"multi_label", {"true"}),
    (r"policy/hop|sure", {"null"}),
    (r"versions|versions/.*", {"deleted", "{}"} | TEXTS),
]
INDEX = [
    (r"table.*", set(WRONG)),  # for people, and made anew
    (r"(labels|failed|noted|notes)|noted/0/notes", {"[]", "deleted"}),
    (r"(labels|failed|noted|notes)/0|noted/0/notes/0", {"deleted"}),
    (r"labels/0|made_by|(failed|noted)/0/\w+|notes/0|noted/0/notes/0", TEXTS),
    (r"notes/0|noted/0/notes/0|(failed|noted)/0/(path|reason)", {"nothing"}),
    (r"multi_label", {"true"}),
    (r"policy", {"{}"}),
    (r"policy/\w+", {"deleted"}),
    (r"policy/hop", {"null"}),
    (r"splits(/train.*)?", {"{}", "[]", "deleted"}),
    (r"splits/train/0/file", {"a text"}),
]


def test_every_field_of_an_exported_model():
    good = about()
    assert from_export.read_about(archive_of(text(good))).labels == good["labels"]
    with zipfile.ZipFile(RELEASE / "skim.l2l") as file:
        programs = {name: from_export.program(file, name)[0] for name in good["programs"]}
    assert export_rules.unlike(good["programs"], programs) == ""
    count = 0
    for place, name, mutant in faults(good):
        count += 1
        try:
            said = from_export.read_about(archive_of(text(mutant)))
        except from_export.ArtefactError as error:
            one_line(error, "")
        else:
            other = export_rules.unlike(said.programs, programs)
            assert other if "programs" in place else harmless(MODEL, place, name), f"{place}: {name}"
            key = place.split("/")[0]
            assert dataclasses.asdict(said) | {key: None} == {"glance": None} | good | {key: None}
    assert count > 1000


FILES = {
    "too few labels": {"labels": ["a"]},
    "lengths below 0": {"lengths": [-4]},
    "giant lengths": {"lengths": [10**9]},
    "no lengths": {"lengths": []},
    "another side": {"side": 15},
    "more frames than its clips have": {"frames": 3},
    "programs of other arrays": {"sure": None, "programs": about()["programs"] | {"skim": {"takes": {}, "gives": {}}}},
    "too few temperatures": {"sure": about()["sure"] | {"temperatures": [1.0]}},
    "by scores that are not there": {"sure": about()["sure"] | {"source": "head_logits"}},
    "images of any size": {"policy": about()["policy"] | {"short_side": 60_000}},
    "hop said twice": {"policy": about()["policy"] | {"hop_frames": 3}},
    "format": {"format": 10**400},
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_cannot_be(what, tmp_path):
    path = tmp_path / "model.l2l"
    with zipfile.ZipFile(RELEASE / "skim.l2l") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, text(about() | FILES[what]) if name == from_export.ABOUT else old.read(name))
    with pytest.raises(from_export.ArtefactError) as caught:
        from_export.load(path)
    one_line(caught.value, str(path))


def test_a_file_with_its_calibration_is_read(tmp_path):
    path = tmp_path / "model.l2l"
    with zipfile.ZipFile(RELEASE / "skim.l2l") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, text(about()) if name == from_export.ABOUT else old.read(name))
    assert from_export.load(path).sure.threshold == 0.8


def index_with_its_hashes(value):
    """As somebody would write it who wants it to be believed."""
    try:
        splits = {s: [(x["file"], x["records"], x["sha256"]) for x in own] for s, own in value["splits"].items()}
        own = {"label_hash": atomic.hash_of(value["labels"])}
        parts = [value["kind"], value["version"], value["labels"], splits, value["policy"]]
        return value | own | {"hash": atomic.hash_of(parts)}
    except (KeyError, TypeError, AttributeError, ValueError):
        return value


def test_every_field_of_an_index(tmp_path):
    good, count = json.loads((RELEASE / "clips" / schema.INDEX).read_text()), 0
    good["failed"] = [{"path": "b.mp4", "split": "train", "status": "missing", "reason": "it is not there"}]
    good["notes"], good["noted"] = ["a note"], [{"path": "a.mp4", "split": "train", "notes": ["another"]}]
    path = tmp_path / schema.INDEX
    path.write_text(text(good))
    right = dataclasses.asdict(schema.load_index(tmp_path))
    for place, name, mutant in faults(good):
        count += 1
        hashed = "hash" not in place and isinstance(mutant, dict)
        path.write_text(text(index_with_its_hashes(mutant) if hashed else mutant))
        try:
            index = schema.load_index(tmp_path)
        except schema.ShardError as error:
            one_line(error, str(path))
        else:
            assert harmless(INDEX, place, name), f"{place}: {name}"
            key = place.split("/")[0]
            assert dataclasses.asdict(index) | {key: None} == right | {key: None}
    assert count > 500


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/b", "..", ".", "", "a\0", "a\\b"])
def test_shards_lie_beside_their_index(name, tmp_path):
    good = json.loads((RELEASE / "clips" / schema.INDEX).read_text())
    mutant = changed(good, ("splits", "train", 0, "file"), name)
    (tmp_path / schema.INDEX).write_text(text(index_with_its_hashes(mutant)))
    (said,) = verify.problems(tmp_path)
    one_line(said, str(tmp_path))
    assert "file" in said


def test_widths_of_descriptors(tmp_path):
    widths = {"image": 16, "audio": 0}
    for own in ({}, {"widths": widths}, *({"widths": widths | {"image": x}} for x in (-5, 10**18, None, "16", 1.5))):
        schema.save_index(tmp_path, schema.Index("features", ("a",), {}, own))
        if own.get("widths") == widths:
            assert open_features(str(tmp_path), lengths=(4,)).index.policy == own
            continue
        with pytest.raises(schema.ShardError) as caught:
            open_features(str(tmp_path), lengths=(4,))
        one_line(caught.value, str(tmp_path / schema.INDEX))
