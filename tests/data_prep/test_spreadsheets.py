"""CSV lists as spreadsheets and other systems write them, and several paths to one film."""

import contextlib
import os
import random
import unicodedata

import pytest

from data_prep.datasets import folder, lists
from data_prep.datasets.rows import DECIDED, PrepareError
from tests.helpers.videos import touch

ROWS = [
    ("path", "label", "split"),
    ("a.mp4", "run", "train"),
    ("b, c.mp4", "jump", "val"),
    ('d "e".mp4', "run", "test"),
]


@pytest.fixture(autouse=True)
def said():
    DECIDED.clear()
    return DECIDED


def text_of(separator, end="\n", rows=ROWS):
    """Every cell in quotes."""
    quoted = lambda cell: '"' + cell.replace('"', '""') + '"'
    return end.join(separator.join(map(quoted, row)) for row in rows) + end


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def read(path):
    rows, labels = folder.read(path)
    return {row.video_id: (*row.labels, row.split, os.path.relpath(row.path, path.parent)) for row in rows}, labels


EXPECTED = {path: (label, split, path) for path, label, split in ROWS[1:]}, ["jump", "run"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("separator", "name"), [(",", None), (";", "semicolons"), ("\t", "tabs")])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_separators(tmp_path, said, encoding, separator, name, end):
    path = written(tmp_path, text_of(separator, end), encoding)
    assert read(path) == EXPECTED
    assert said == ([f"{path} is separated by {name}"] if name else [])


def test_utf16_of_both_orders(tmp_path):
    for mark, encoding in (("\ufeff", "utf-16-le"), ("\ufeff", "utf-16-be")):
        assert read(written(tmp_path, mark + text_of(","), encoding)) == EXPECTED
        (tmp_path / "lines.txt").write_bytes((mark + "one\ntwo\n").encode(encoding))
        assert [line for _, line in lists.lines(tmp_path / "lines.txt")] == ["one", "two"]


def test_blank_rows_and_columns_of_a_spreadsheet(tmp_path, said):
    lines = ["", " Path,LABEL ,Split,,", "a.mp4, run ,train,,", ",,,,", "", 'b.mp4,"jump",val,, ', " ,,", ",,,,,,,"]
    path = written(tmp_path, "\n".join(lines))
    assert read(path) == ({"a.mp4": ("run", "train", "a.mp4"), "b.mp4": ("jump", "val", "b.mp4")}, ["jump", "run"])
    assert said == [f"{path}: 3 blank rows passed over"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label,\na.mp4,run,more\n", "line 2: another number of cells"),
        ("path,label\na.mp4,run\n,,,\nb.mp4,run,x\n", "line 4: another number of cells"),
        ("path,Path,label\na,b,c\n", "has two columns 'path'; remove one"),
        ("path;label;weight\na;b;c\n", "a column 'weight', which means nothing"),
        ("path|label\na|b\n", "no column 'path'"),
        ("path,label\n,,\n", "lists no videos"),
        ("\n\n", "no column 'path'"),
    ],
)
def test_mistakes(tmp_path, text, says):
    with pytest.raises(PrepareError, match=says):
        folder.read(written(tmp_path, text))


def test_paths_that_no_system_has(tmp_path):
    """A name that is too long is that of a missing file; a zero is in no name."""
    long = "é" * 5000
    rows, _ = folder.read(written(tmp_path, f"path,label,split\n{long},run,train\n"))
    assert [row.path for row in rows] == [str(tmp_path / long)]
    for name in ("é\0/a.mp4", "a\0.mp4"):
        with pytest.raises(PrepareError, match="line 2: a cell has a character NUL"):
            folder.read(written(tmp_path, f"path,label,split\n{name},run,train\n"))


def test_any_bytes_are_a_list_or_one_clear_error(tmp_path):
    dice = random.Random(0)
    good = text_of(";").encode("utf-16")
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(data))
            data[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
        (tmp_path / "list.csv").write_bytes(data)
        with contextlib.suppress(PrepareError):
            assert len(folder.read(tmp_path / "list.csv")[0]) in (1, 2, 3, 4)


def test_text_of_another_encoding_names_the_cure(tmp_path):
    path = written(tmp_path, "path,label\ncafé.mp4,run\n", "latin-1")
    with pytest.raises(PrepareError, match="is not a CSV file in UTF-8 or UTF-16: .*; save it as one"):
        folder.read(path)


def test_blanks_around_a_path(tmp_path):
    """A file that is called so is that file."""
    touch(tmp_path, ["a.mp4", " b.mp4 "])
    rows, _ = read(written(tmp_path, "path,label,split\n a.mp4 ,run,train\n b.mp4 ,run,train\ngone.mp4 ,run,val\n"))
    assert [(name, row[-1]) for name, row in rows.items()] == [
        ("a.mp4", "a.mp4"),
        (" b.mp4 ", " b.mp4 "),
        ("gone.mp4", "gone.mp4"),
    ]


def test_paths_and_labels_in_another_unicode_form(tmp_path, said):
    composed, split = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
    touch(tmp_path, [f"{split}/a.mp4", f"{composed}.mp4"])
    lines = [f"{composed}/a.mp4,{split},train", f"{split}.mp4,{composed},train"]
    path = written(tmp_path, "\n".join(["path,label,split", *lines]))
    assert read(path) == (
        {
            f"{composed}/a.mp4": (composed, "train", f"{split}/a.mp4"),
            f"{split}.mp4": (composed, "train", f"{composed}.mp4"),
        },
        [composed],
    )
    assert said == [f"{path}: class names that look alike are one, written as composed UTF-8: {composed}"]


@pytest.fixture
def film(tmp_path):
    """A film under several names."""
    touch(tmp_path, ["v/a.mp4", "v/other.mp4"])
    (tmp_path / "link").symlink_to("v")
    (tmp_path / "b.mp4").symlink_to("v/a.mp4")
    os.link(tmp_path / "v/a.mp4", tmp_path / "c.mp4")
    return tmp_path


ALSO = ("b.mp4", "c.mp4", "link/a.mp4", "./v/../c.mp4", "{}/v/a.mp4")
HEAD = "path,label,split,start,end"


@pytest.mark.parametrize("name", ALSO)
def test_one_film_by_two_paths_is_refused(film, name):
    """In two splits, and twice in one; the message names both lines. A film that is not there counts by its path."""
    name = name.format(film)
    for split in ("val", "train"):
        path = written(film, f"{HEAD}\nv/a.mp4,run,train,,\nv/other.mp4,run,train,,\n{name},run,{split},,\n")
        what = "is in train too, by" if split == "val" else "stands already in"
        with pytest.raises(
            PrepareError, match=rf"line 4: '.*', of the same film as 'v/a.mp4', {what} .*, line 2; remove"
        ):
            folder.read(path)
    path = written(film, f"{HEAD}\nv/gone.mp4,run,train,,\n{film}/v/gone.mp4,run,val,,\n")
    with pytest.raises(
        PrepareError, match="line 3: '.*', of the same film as 'v/gone.mp4', is in train too, by .*, line 2"
    ):
        folder.read(path)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("0,2", "2,4", True), ("2,4", "0,2", True), ("4,", "1,4", True), ("0,2", "1.9,4", False), (",", "5,6", False)],
)
def test_stretches_of_one_film_in_two_splits(film, said, one, other, apart):
    """Apart they are allowed, which is said; overlapping ones are refused."""
    path = written(film, f"{HEAD}\nv/a.mp4,run,train,{one}\nb.mp4,run,val,{other}\nv/other.mp4,run,val,,\n")
    if apart:
        assert len(folder.read(path)[0]) == 3
        assert said == [f"{path}: 1 file with stretches in several splits, apart, such as {film}/v/a.mp4"]
        return
    with pytest.raises(PrepareError, match=r"line 3: .* is in train too, by .*, line 2; remove one of the two"):
        folder.read(path)


def test_a_long_stretch_is_seen_behind_short_ones(film):
    lines = ["v/a.mp4,run,train,0,100", "v/a.mp4,run,train,1,2", "b.mp4,run,val,3,4"]
    with pytest.raises(PrepareError, match=r"line 4: .* is in train too, by .*, line 2; remove one of the two"):
        folder.read(written(film, "\n".join([HEAD, *lines])))


def test_stretches_of_one_film_in_one_split_may_overlap(film, said):
    lines = ["v/a.mp4,run,train,0,3", "b.mp4,run,train,1,4", "v/a.mp4,run,train,,"]
    assert len(folder.read(written(film, "\n".join([HEAD, *lines])))[0]) == 3
    assert said == []


def test_stretches_by_two_paths_are_shared_out_together(film):
    """Without a column of splits, by the first path; others as ever."""
    touch(film, [f"v/{i}.mp4" for i in range(9)])
    (film / "far").mkdir()
    lines = [f"v/{i}.mp4,run,0,1" for i in range(9)]
    for i in range(9):
        (film / "far" / f"x{i}.mp4").symlink_to(f"../v/{i}.mp4")
    ever = {
        row.video_id: row.split for row in folder.read(written(film, "\n".join(["path,label,start,end", *lines])))[0]
    }
    lines += [f"far/x{i}.mp4,run,1,2" for i in range(9)]
    both = {
        row.video_id: row.split for row in folder.read(written(film, "\n".join(["path,label,start,end", *lines])))[0]
    }
    assert {name: both[name] for name in ever} == ever
    assert len(set(ever.values())) == 3
    assert all(both[f"v/{i}.mp4@0-1"] == both[f"far/x{i}.mp4@1-2"] for i in range(9))
