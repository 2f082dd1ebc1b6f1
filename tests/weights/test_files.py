"""Reading files of weights: every format, none that does more than hold arrays."""

import io
import os
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from l2l.weights import files
from l2l.weights.torch_names import WeightsError

GOLDEN = Path(__file__).parents[1] / "golden"
MUTANTS = 500


def wanted():
    with np.load(GOLDEN / "files.npz") as file:
        return {name: x.copy(order="C") for name, x in file.items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k].astype(np.float32), b[k]) for k in b)


@pytest.mark.parametrize("name", ["zip.pth", "stream.pth"])
def test_reads_both_formats_of_torch_with_wrapping_and_every_dtype(name):
    arrays = files.read(GOLDEN / name)
    assert same(arrays, wanted())
    dtypes = {"wide": "float64", "half": "float16", "brain": "bfloat16", "long": "int64", "turned": "float32"}
    assert {key: str(arrays[key].dtype) for key in dtypes} == dtypes


def test_reads_npz_and_safetensors_whatever_they_are_called(tmp_path):
    np.savez(tmp_path / "a.npz", **wanted())
    safetensors.numpy.save_file(wanted(), tmp_path / "b.safetensors")
    for name, other in (("a.npz", "a.pth"), ("b.safetensors", "b.bin")):
        (tmp_path / name).rename(tmp_path / other)
        assert same(files.read(tmp_path / other), wanted())


@pytest.mark.parametrize("content", [b"", b"\x80", b"hello, this is no file of weights", bytes(64), b"PK\x03\x04"])
def test_other_files_get_one_line(tmp_path, content):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="file.pth") as caught:
        files.read(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_get_one_line(tmp_path):
    for path in (tmp_path / "no.pth", tmp_path):
        with pytest.raises(WeightsError, match="cannot be read"):
            files.read(path)


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def mark(path):
    Path(path).touch()


def hostile(mark_at: Path) -> list[bytes]:
    """Pickles that would make a file if anything in them were executed."""
    calls = [
        Call(os.system, f"touch {mark_at}"),
        Call(mark, str(mark_at)),
        Call(eval, f"open({str(mark_at)!r}, 'w')"),
        Call(open, str(mark_at), "w"),
    ]
    made = [pickle.dumps({"model": call}, protocol) for call in calls for protocol in range(6)]
    old = b"(dp0\nS'w'\n(S'touch %s'\nios\nsystem\ns." % os.fsencode(mark_at)  # the INST operation
    return [*made, old.replace(b"ios\n", b"iposix\n")]


def as_archive(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x/data.pkl", data)
    return out.getvalue()


def test_nothing_in_a_file_is_executed(tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "file.pth"
    magic = (GOLDEN / "stream.pth").read_bytes()[:24]
    assert pickle.loads(magic) == 0x1950A86A20F9469CFC6C
    for data in hostile(marker):
        pickle.loads(data)
        assert marker.exists()  # it does what it is here for
        marker.unlink()
        for content in (data, as_archive(data)):
            path.write_bytes(content)
            with pytest.raises(WeightsError, match=r"file\.pth"):
                files.read(path)
            assert not marker.exists()


def mutant(data: bytes, dice: random.Random) -> bytes:
    """Flips bytes, cuts, or moves a piece."""
    data = bytearray(data)
    for _ in range(dice.choice([1, 1, 3, 20])):
        at = dice.randrange(len(data))
        what = dice.randrange(4)
        if what < 2:
            data[at] = dice.randrange(256)
        elif what == 2:
            del data[at : at + dice.choice([1, 8, 1000])]
        else:
            data[at:at] = data[dice.randrange(len(data)) :][: dice.choice([1, 8, 100])]
        data = data or bytearray(b"\x00")
    return bytes(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One good file of every format."""
    folder = tmp_path_factory.mktemp("files")
    np.savez(folder / "a.npz", **wanted())
    np.savez_compressed(folder / "b.npz", **wanted())
    safetensors.numpy.save_file(wanted(), folder / "c.safetensors")
    return [path.read_bytes() for path in (*folder.iterdir(), GOLDEN / "zip.pth", GOLDEN / "stream.pth")]


def test_damaged_files_get_a_clear_error_or_are_read(tmp_path, whole):
    dice, said = random.Random(0), []
    path = tmp_path / "file.pth"
    for i in range(MUTANTS):
        path.write_bytes(mutant(whole[i % len(whole)], dice))
        try:
            arrays = files.read(path)
        except WeightsError as error:
            said.append(str(error))
        else:
            assert sum(x.nbytes for x in arrays.values()) < 1e6
    assert len(said) > MUTANTS / 2
    assert all(str(path) in line and "\n" not in line for line in said)


def test_a_number_reserves_no_memory(tmp_path):
    """Entry 2**31 of the memo would take 32 GB in Python's faster reader, which ends in a MemoryError or worse."""
    path = tmp_path / "file.pth"
    path.write_bytes(as_archive(b"\x80\x02}r\xff\xff\xff\x7f."))
    with pytest.raises(WeightsError, match="no named arrays"):
        files.read(path)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    data = (GOLDEN / "zip.pth").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in members if name.endswith("data.pkl"))
    # The weight of 4 x 3 values: (K\x04 K\x03) as a pair.
    larger = members[pickled].replace(b"K\x04K\x03\x86", b"K\x04K\x63\x86", 1)
    assert larger != members[pickled]
    path = tmp_path / "file.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, larger if name == pickled else content)
    with pytest.raises(WeightsError, match="does not fit its storage"):
        files.read(path)
