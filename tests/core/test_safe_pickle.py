"""Pickles of arrays and containers are read whole; anything else in them is refused and never done."""

import collections
import contextlib
import functools
import io
import os
import pickle
import random

import numpy as np
import pytest

from l2l.core import safe_pickle

VALUES = {
    "numbers": [1, -3, 2**70, 2.5, True, None],
    "text": ("a b", "naïve\n", b"\x00\xff", b"", ""),
    "sets": [{1, 2}, frozenset("ab")],
    "scalar": np.float32(1.5),
}
ARRAYS = {
    "f4": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
    "strided": np.arange(10, dtype=np.uint8)[::3],
    "big endian": np.arange(3, dtype=">i2"),
    "text": np.array(["ab", "naïve"]),
    "bool": np.array([[True], [False]]),
    "empty": np.zeros((0, 4), np.float16),
    "zero axes": np.array(5.0),
}
# Python 2: ["a b", array([1, 255], int16), "\xc3\xa9"], whose text and array content are byte strings.
PYTHON_2 = (
    b"\x80\x02(lU\x03a bacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02i2K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x04\x01\x00\xff\x00tbaU\x02\xc3\xa9a."
)


def load(data, **names):
    return safe_pickle.load(io.BytesIO(data), names)


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(protocol):
    shared = ARRAYS["f4"]
    got = load(pickle.dumps({"values": VALUES, "arrays": ARRAYS, "again": [shared, shared]}, protocol))
    assert got["values"] == VALUES
    assert isinstance(got["values"]["scalar"], np.float32)
    for name, value in ARRAYS.items():
        mine = got["arrays"][name]
        assert type(mine) is np.ndarray
        assert mine.dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
        np.testing.assert_array_equal(mine, value)
    assert got["again"][0] is got["again"][1] is got["arrays"]["f4"]


@pytest.mark.parametrize("core", [b"numpy.core.", b"numpy._core."])
def test_old_and_new_names_of_numpy(core):
    data = pickle.dumps(ARRAYS["f4"], 2)
    old = b"numpy._core." if b"numpy._core." in data else b"numpy.core."
    np.testing.assert_array_equal(load(data.replace(old, core)), ARRAYS["f4"])


def test_python_2():
    text, array, accent = load(PYTHON_2)
    assert (text, array.tolist(), accent) == ("a b", [1, 255], "é")


def test_from_a_path_with_its_name_in_the_error(tmp_path):
    path = tmp_path / "list.pkl"
    path.write_bytes(pickle.dumps([["a", "b"], [0, 1]]))
    assert safe_pickle.load(path) == [["a", "b"], [0, 1]]
    path.write_bytes(b"no pickle")
    with pytest.raises(ValueError, match=r"list\.pkl cannot be read as plain arrays and containers: ") as caught:
        safe_pickle.load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        safe_pickle.load(tmp_path / "nowhere")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch ran"),
        (eval, "open('ran', 'w')"),
        (getattr, "a", "join"),
        (np.load, "ran"),
        (np.fromfile, "ran"),
        (bytearray, 10**12),
        (functools.partial, os.system, "touch ran"),
        (collections.OrderedDict, [("a", 1)]),
        (np.ndarray, (10**6, 10**6)),
    ],
    ids=lambda call: call[0].__name__,
)
def test_whatever_else_is_named_is_refused(call, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps([ARRAYS["f4"], Calls(*call)], protocol)
    with pytest.raises(ValueError, match="cannot be read as plain"):
        load(data)
    assert not list(tmp_path.iterdir())


def test_objects_inside_arrays_are_refused():
    for array in (np.array([{}], object), np.zeros(1, [("a", "f4")]), np.array(["2020"], "M8[D]")):
        with pytest.raises(ValueError, match="are refused"):
            load(pickle.dumps(array))


def test_a_state_is_set_of_arrays_alone():
    """Otherwise a file could change the functions of this reader."""
    encode = b"c_codecs\nencode\n"
    with pytest.raises(ValueError, match="sets the state of a function"):
        load(b"\x80\x02" + encode + b"N}U\x0c__defaults__)s\x86b.")


def test_sizes_that_the_content_does_not_have():
    whole = pickle.dumps(np.arange(3, dtype=np.int16), 2)
    with pytest.raises(ValueError, match="6 bytes for an array of shape"):
        load(whole.replace(b"K\x01K\x03\x85", b"K\x01J\xff\xff\xff\x7f\x85"))
    for bytes_missing in (b"\x80\x04B\xff\xff\xff\x7fabc.", b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fabc."):
        with pytest.raises(ValueError, match="cannot be read as plain"):
            load(bytes_missing)
    far_place_in_the_memo = b"\x80\x04N\x72\xff\xff\xff\x7f."
    assert load(far_place_in_the_memo) is None


def test_more_names_may_be_given():
    class Ordered(dict):
        def __setstate__(self, state):
            self.update(state)

    data = pickle.dumps(Calls(collections.OrderedDict, [("a", 1)], state={"b": 2}), 2)
    assert load(data, **{"collections.OrderedDict": Ordered}) == {"a": 1, "b": 2}


@pytest.mark.soak
def test_damage_is_an_error_or_harmless(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    count = 20_000 if os.environ.get("L2L_SOAK") else 2_000
    for _ in range(count):
        data = bytearray(pickle.dumps([VALUES, ARRAYS, Calls(os.system, "touch ran")], rng.randrange(6)))
        for _ in range(rng.choice((0, 1, 3, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        with contextlib.suppress(ValueError):
            load(bytes(data))
    assert not list(tmp_path.iterdir())


def test_a_name_of_any_length_is_one_short_line():
    with pytest.raises(ValueError, match="it asks for x+") as caught:
        load(b"c" + b"x" * 10_000 + b"\ny\n.")
    assert len(str(caught.value)) < 500
