"""Files that ask for more than they hold: read within a few times their own size, or refused in one line."""

import contextlib
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import l2l
from l2l import import_weights
from l2l.core import archive, safe_pickle, trees
from l2l.data import schema
from l2l.inference import from_export
from l2l.runs.config import load_config, plain
from l2l.weights import files
from l2l.weights.torch_names import WeightsError

ROOM = 2**23  # bytes that any reader may take, whatever it reads


@contextlib.contextmanager
def within(most):
    """Fails if what happens inside takes more bytes at any moment."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak:,} bytes"


def one_line(path, error):
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def u64(number):
    return struct.pack("<Q", number)


def doubled(times):
    """A tuple of two of a tuple of two ...: two bytes each, twice as large each time it is walked through."""
    return b")" + b"2\x86" * times


CALL = b"\x80\x02c__builtin__\nset\nq\x00"
PICKLES = {
    "BYTEARRAY8": b"\x80\x05\x96" + u64(3 << 30) + b".",
    "BYTEARRAY8 beyond any memory": b"\x80\x05\x96" + u64(1 << 62) + b".",
    "BYTEARRAY8 in a frame": b"\x80\x05\x95" + u64(10) + b"\x96" + u64(3 << 30) + b"..",
    "BINBYTES8": b"\x80\x04\x8e" + u64(3 << 30) + b".",
    "BINUNICODE8": b"\x80\x04\x8d" + u64(3 << 30) + b".",
    "BINBYTES": b"\x80\x04B" + b"\xff" * 4 + b".",
    "LONG4": b"\x80\x04\x8b\xff\xff\xff\x7f.",
    "FRAME": b"\x80\x04\x95" + u64(3 << 30) + b"\x96" + u64(3 << 30) + b".",
    "the same set, over and over": CALL
    + b"]("
    + b"".join(b"M" + struct.pack("<H", i) for i in range(20_000))
    + b"eq\x010("
    + b"h\x00h\x01\x85R" * 20_000
    + b"l.",
    "a key that takes for ever to compare": b"\x80\x02}" + doubled(60) + b"Ns.",
    "such a key of a dictionary at once": b"\x80\x02(" + doubled(60) + b"Nd.",
    "such a member": b"\x80\x04\x8f(" + doubled(60) + b"\x90.",
    "such a member of a frozen set": b"\x80\x04(" + doubled(60) + b"\x91.",
    "such a member by a call": CALL + b"](" + doubled(60) + b"e\x85R.",
    "a type that takes for ever to print": b"\x80\x02cnumpy\ndtype\n" + doubled(60) + b"\x85R.",
    "a shape that multiplies a text": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R(K\x01"
    + b"U\x01aJ\xff\xff\xff\x3f\x86cnumpy\ndtype\nU\x02u1\x85R\x89U\x01atb.",
}


@pytest.mark.parametrize("what", PICKLES)
def test_pickles(what, tmp_path):
    path = tmp_path / "file.pt"
    path.write_bytes(PICKLES[what])
    room = ROOM + 128 * path.stat().st_size  # an object may take a hundred bytes where the file has one or two
    with within(room), pytest.raises(ValueError, match="cannot be read as plain") as caught:
        safe_pickle.load(path)
    one_line(path, caught)
    with within(room), pytest.raises(WeightsError) as caught:
        files.read(path)
    one_line(path, caught)


@pytest.mark.parametrize("protocol", range(6))
def test_what_a_pickle_may_well_hold_is_read(protocol):
    value = {("a", 1): {(1, 2), frozenset({3})}, "b": bytearray(10_000), "c": {1: [frozenset("ab")]}}
    if protocol < 5:  # none before knows of bytes that can be changed
        del value["b"]
    assert safe_pickle.load(io.BytesIO(pickle.dumps(value, protocol))) == value


def tensor(key: bytes, count: int, offset: int = 0, shape: tuple = (), stride: int = 1) -> bytes:
    """Operations of a pickle that give a tensor of one axis, of the storage with this key."""
    number = lambda n: b"J" + struct.pack("<i", n)
    text = lambda x: b"X" + struct.pack("<I", len(x)) + x
    storage = text(b"storage") + b"ctorch\nFloatStorage\n" + text(key) + text(b"cpu") + number(count)
    sizes = number(shape[0] if shape else count) + b"\x85" + number(stride) + b"\x85"
    return b"ctorch._utils\n_rebuild_tensor_v2\n((" + storage + b"tQ" + number(offset) + sizes + b"\x89NtR"


def saved(path, pickled: bytes, storages: dict[str, np.ndarray], method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + pickled + b".")
        for key, values in storages.items():
            archive.writestr(f"x/data/{key}", values.astype("<f4").tobytes())
    return path


def name(i: int) -> bytes:
    return b"X\x04\0\0\0%04d" % i


def test_many_names_of_one_tensor(tmp_path):
    values = np.arange(250_000, dtype=np.float32)
    shared = tensor(b"0", len(values)) + b"q\x00"
    again = b"".join(name(i) + (tensor(b"0", len(values)) if i % 2 else b"h\x00") for i in range(1000))
    path = saved(tmp_path / "file.pth", b"}(" + name(1000) + shared + again + b"u", {"0": values})
    with within(6 * path.stat().st_size + ROOM):
        arrays = files.read(path)
    assert len(arrays) == 1001
    assert all(np.array_equal(x, values) for x in arrays.values())


def test_many_views_of_one_storage(tmp_path):
    values = np.arange(250_000, dtype=np.float32)
    views = b"".join(name(i) + tensor(b"0", len(values), i, (200_000,)) for i in range(1000))
    path = saved(tmp_path / "file.pth", b"}(" + views + b"u", {"0": values})
    with within(6 * path.stat().st_size + ROOM), pytest.raises(WeightsError, match="over and over") as caught:
        files.read(path)
    one_line(path, caught)


def test_dictionaries_in_dictionaries(tmp_path):
    """Ten names for each of six levels: a million names for one tensor."""
    inner = b"}(" + name(0) + tensor(b"0", 4) + b"u"
    for _ in range(6):
        inner = b"}" + b"q\x010" + inner + b"q\x02" + b"0}(" + b"".join(name(i) + b"h\x02" for i in range(10)) + b"u"
    path = saved(
        tmp_path / "file.pth", b"}(X\x05\0\0\0model" + inner + name(0) + tensor(b"0", 4) + b"u", {"0": np.ones(4)}
    )
    with within(ROOM), pytest.raises(WeightsError, match="no named arrays") as caught:
        files.read(path)
    one_line(path, caught)


@pytest.mark.parametrize(
    ("count", "shape", "stride"), [(4, (2**31 - 1,), 0), (4, (5,), 0), (2**31 - 1, (4,), 1), (4, (-4,), 1)]
)
def test_tensors_that_cannot_be(tmp_path, count, shape, stride):
    pickled = b"}(" + name(0) + tensor(b"0", count, 0, shape, stride) + b"u"
    path = saved(tmp_path / "file.pth", pickled, {"0": np.ones(4)})
    with within(ROOM), pytest.raises(WeightsError) as caught:
        files.read(path)
    one_line(path, caught)


def safetensors_file(path, header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(u64(len(header)) + header + data)
    return path


def entry(kind="F32", shape=(2,), begin=0, end=8):
    return {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}


VALUES = np.array([0.5, -3.0])
NARROW = np.array([0x3F00, 0xC040], "<u2")  # the upper halves of the same as float32
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}


@pytest.mark.parametrize("kind", [*TYPES, "BF16"])
def test_types_of_safetensors(kind, tmp_path):
    wanted = VALUES if "F" in kind else np.array([3, -7])
    data = NARROW.tobytes() if kind == "BF16" else wanted.astype(TYPES[kind]).tobytes()
    path = safetensors_file(tmp_path / "file", {"a": entry(kind, end=len(data))}, data)
    np.testing.assert_array_equal(files.read(path)["a"].astype(np.float64), wanted)


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "C64", "I4", "", 3, None])
def test_types_that_are_not_read(kind, tmp_path):
    size = {"C64": 32, "F4": 2, "F6_E2M3": 3}.get(kind, 4)
    header = {"first": entry(), "odd": entry(kind, (4,), 8, 8 + size)}
    path = safetensors_file(tmp_path / "file", header, bytes(8 + size))
    with pytest.raises(WeightsError, match="is of type|unknown variant|invalid type") as caught:
        files.read(path)
    one_line(path, caught)


HEADERS = {
    "overlap": {"a": entry(), "b": entry(begin=4, end=12)},
    "negative offsets": {"a": entry(begin=-8, end=0)},
    "offsets the wrong way round": {"a": entry(begin=8, end=0)},
    "offsets beyond the file": {"a": entry(shape=(2**28,), end=2**30)},
    "a hole": {"a": entry(begin=4, end=12)},
    "a negative size": {"a": entry(shape=(-2,))},
    "sizes that overflow": {"a": entry(shape=(2**62, 8))},
    "more axes than an array can have": {"a": entry(shape=(1,) * 100 + (2,))},
    "a list": [1],
    "a tensor that is a list": {"a": [1]},
    "nested": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested dictionaries": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "cut": b'{"a":',
}


@pytest.mark.parametrize("what", HEADERS)
def test_headers_of_safetensors(what, tmp_path):
    path = safetensors_file(tmp_path / "file", HEADERS[what], bytes(8))
    with within(ROOM), pytest.raises(WeightsError) as caught:
        files.read(path)
    one_line(path, caught)


RUN = {"config": {}, "labels": ["a"], "policy": {}, "student": None}


@pytest.mark.parametrize(
    "said",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"config":' * 50_000 + "1" + "}" * 50_000,
        *map(json.dumps, ([1], 3, None, "config", True, {}, [[]])),
        *(json.dumps(RUN | {key: value}) for key in ("config", "labels") for value in (None, 3, [3], "a", [None])),
        *(json.dumps(RUN | {key: value}) for key in ("policy", "student") for value in (3, [3], "a")),
        *(json.dumps({key: value for key, value in RUN.items() if key != gone}) for gone in RUN),
        "NaN",
        json.dumps(RUN | {"config": {"head": float("nan")}}),
        "not JSON",
    ],
    ids=lambda said: said[:40],
)
def test_records_of_safetensors(said, tmp_path):
    path = safetensors_file(tmp_path / "file", {"__metadata__": {"l2l": said}, "a": entry()}, bytes(8))
    with pytest.raises(WeightsError) as caught:
        files.record(path)
    one_line(path, caught)


def test_whole_and_missing_records(tmp_path):
    metadata = {"__metadata__": {"l2l": json.dumps(RUN | {"more": 1})}, "a": entry()}
    assert files.record(safetensors_file(tmp_path / "file", metadata, bytes(8))) == RUN
    assert files.record(safetensors_file(tmp_path / "file", {"a": entry()}, bytes(8))) is None


STUDENT = plain(load_config("configs/finetune.py"))
BEYOND = STUDENT | {"data": STUDENT["data"] | {"crop": 10**400}}


@pytest.mark.parametrize("config", [{}, {"model": 3}, {"model": {"name": "student"}}, {"task": ["skim"]}, BEYOND])
def test_record_of_a_run_that_cannot_be_built(config, tmp_path, capsys):
    header = {"__metadata__": {"l2l": json.dumps(RUN | {"config": config})}, "a": entry()}
    path = safetensors_file(tmp_path / "file", header, bytes(8))
    assert import_weights.main([str(path), "--model=student_released", f"--out={tmp_path / 'out'}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def npy(shape, descr="<f4", data=b""):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


NPYS = {
    "3 GiB": npy((3 << 28,), data=bytes(16)),
    "more than there is": npy((2**31, 2**31), data=bytes(16)),
    "beyond any number": npy((2**62, 2**62), data=bytes(16)),
    "no bytes each": npy((2**40,), "|S0"),
    "a negative size": npy((-4,), data=bytes(16)),
    "too many bytes": npy((2,), data=bytes(16)),
    "objects": npy((2,), "|O", bytes(16)),
    "nested": npy("(" * 3000 + ")" * 3000),
    "a size that is a text": npy("('a',)", data=bytes(16)),
    "version 3": b"\x93NUMPY\x03" + npy((4,), data=bytes(16))[7:],
}


def packed(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


ARRAYS = ((files.read, WeightsError), (trees.load_arrays, ValueError))
READERS = (*ARRAYS, (l2l.load, from_export.ArtefactError))


@pytest.mark.parametrize("what", NPYS)
def test_arrays_that_claim_what_is_not_there(what, tmp_path):
    path = packed(tmp_path / "a.npz", {"a.npy": NPYS[what]})
    for read, error in ARRAYS:
        with within(ROOM), pytest.raises(error, match=r"a\.npz") as caught:
            read(path)
        one_line(path, caught)


def inflated(size):
    """A member of a zip archive that is small and large at once: zeros."""
    return npy((size // 4,), data=bytes(size))


def claimed(path, size):
    """Lets the directory and the member's own head claim another size."""
    data = bytearray(path.read_bytes())
    data[22:26] = data[(at := data.index(b"PK\x01\x02") + 24) : at + 4] = struct.pack("<I", size)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("claim", [None, 100])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_inflate(method, claim, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "SMALL", 2**20)
    path = packed(tmp_path / "a.npz", {"a.npy": inflated(2**24)}, method)
    if claim:
        claimed(path, claim)
    for read, error in READERS:
        with within(ROOM), pytest.raises(error) as caught:
            read(path)
        one_line(path, caught)


def test_members_that_share_their_bytes(tmp_path):
    """Entries of the directory that all point at one member."""
    path = packed(tmp_path / "a.npz", {"0000.npy": inflated(2**20)})
    data = path.read_bytes()
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entries = b"".join(data[at:end].replace(b"0000", b"%04d" % i) for i in range(100))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 100, 100, len(entries), at, 0)
    path.write_bytes(data[:at] + entries + tail)
    for read, error in READERS:
        with within(ROOM), pytest.raises(error) as caught:
            read(path)
        one_line(path, caught)


def test_archives_that_are_well_compressed_are_read(tmp_path):
    values = {"a": np.zeros((1000, 1000), np.float32), "b": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    np.savez_compressed(tmp_path / "a.npz", **values)
    for got in (files.read(tmp_path / "a.npz"), trees.load_arrays(tmp_path / "a.npz")):
        assert got.keys() == values.keys()
        assert all(np.array_equal(got[key], x) and got[key].flags.writeable for key, x in values.items())


@pytest.mark.parametrize("read", [files.read, trees.load_arrays, from_export.load, safe_pickle.load])
def test_pipes_are_not_waited_for(read, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises((ValueError, OSError), match="is a pipe or a device") as caught:
        read(path)
    one_line(path, caught)


def test_the_index_is_no_pipe(tmp_path):
    os.mkfifo(tmp_path / schema.INDEX)
    with pytest.raises(schema.ShardError, match="holds no finished shards") as caught:
        schema.load_index(tmp_path)
    one_line(tmp_path, caught)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (10**9, 4), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 4), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (5, 4), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': ((((",
        b"[" * 110,
        b"\xff" * 20,
        b"{'descr': [('a', '<f4', -1)], 'fortran_order': False, 'shape': (5,), }",
    ],
)
def test_an_array_in_a_file_of_its_own_is_refused_by_its_header(tmp_path, header):
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 128) + header.ljust(127) + b"\n" + bytes(80))
    for read in (archive.shape_of, lambda path: archive.array_at(path, 10**6)):
        with within(ROOM), pytest.raises(ValueError, match="^it "):
            read(path)


def test_an_array_in_a_file_of_its_own(tmp_path):
    """In both orders, and none that is larger than is asked for or shorter than it says."""
    path = tmp_path / "a.npy"
    for array in (np.arange(6, dtype=np.float16).reshape(2, 3), np.asfortranarray(np.ones((3, 2), np.uint8)) * 7):
        np.save(path, array)
        np.testing.assert_array_equal(archive.array_at(path, 10**4), array)
        assert archive.shape_of(path) == (array.shape, array.dtype)
    with pytest.raises(ValueError, match="more than 100"):
        archive.array_at(path, 100)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="5 bytes for an array of shape"):
        archive.shape_of(path)
