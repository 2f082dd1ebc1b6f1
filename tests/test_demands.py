"""Files that ask for more than they hold: read within a few times their own size, or refused in one line."""

import contextlib
import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from l2l import weights
from l2l.data import safe_pickle
from l2l.models.import_torch import WeightsError

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
        weights.read(path)
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
        arrays = weights.read(path)
    assert len(arrays) == 1001
    assert all(np.array_equal(x, values) for x in arrays.values())


def test_many_views_of_one_storage(tmp_path):
    values = np.arange(250_000, dtype=np.float32)
    views = b"".join(name(i) + tensor(b"0", len(values), i, (200_000,)) for i in range(1000))
    path = saved(tmp_path / "file.pth", b"}(" + views + b"u", {"0": values})
    with within(6 * path.stat().st_size + ROOM), pytest.raises(WeightsError, match="over and over") as caught:
        weights.read(path)
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
        weights.read(path)
    one_line(path, caught)


@pytest.mark.parametrize(
    ("count", "shape", "stride"), [(4, (2**31 - 1,), 0), (4, (5,), 0), (2**31 - 1, (4,), 1), (4, (-4,), 1)]
)
def test_tensors_that_cannot_be(tmp_path, count, shape, stride):
    pickled = b"}(" + name(0) + tensor(b"0", count, 0, shape, stride) + b"u"
    path = saved(tmp_path / "file.pth", pickled, {"0": np.ones(4)})
    with within(ROOM), pytest.raises(WeightsError) as caught:
        weights.read(path)
    one_line(path, caught)
