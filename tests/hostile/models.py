"""Files of weights, exported models and pickles that are damaged in their bytes, members, fields and operations."""

import functools
import io
import itertools
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import l2l
from l2l import import_weights
from l2l.core import safe_pickle
from l2l.inference import from_export
from l2l.runs import run_folder
from l2l.weights import files as weights
from l2l.weights import published
from l2l.weights.torch_names import WeightsError
from tests.helpers import mutated, untrained
from tests.helpers.mutated_json import GONE, WRONG, changed, places, text
from tests.hostile import Kind

HERE = Path(__file__).parents[1]
BYTES = (mutated.flipped, mutated.headers_flipped, mutated.truncated, mutated.swapped, mutated.moved)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
NAMES = ("../../x", "/x", "a\0b", "", "x/data.pkl", "x.npy", "data/0", "é\n\x1b[2J", "x" * 60_000)
SIZES = (0, 1, 255, 2**31 - 1, 2**32 - 1, 3 << 30, 2**62, 2**63, 2**64 - 1)
# Operations of pickles: those that take a size, calls, and others that need what is not there.
SIZED = {b"\x96": "<Q", b"\x8e": "<Q", b"\x8d": "<Q", b"\x95": "<Q", b"\x8b": "<I", b"B": "<I", b"X": "<I", b"r": "<I"}
OPERATIONS = (
    b"R",
    b"b",
    b"\x81",
    b"\x92",
    b"}",
    b"]",
    b"(",
    b"t",
    b"u",
    b"e",
    b"\x90",
    b"\x91",
    b"\x8f",
    b"2",
    b"0",
    b"1",
)
OPERATIONS += (
    b"Q",
    b"\x94",
    b"h\x00",
    b"s",
    b"d",
    b"l",
    b"\x85",
    b"\x86",
    b"\x93",
    b".",
    b"\x97",
    b"\x98",
    b"N",
    b"J\xff" * 3,
)
OPERATIONS += (b")" + b"2\x86" * 60, b"(" * 5000, b"]" * 5000 + b"a" * 4999, b"cos\nsystem\n", b"cbuiltins\neval\n")
OPERATIONS += (b"cnumpy.core.multiarray\n_reconstruct\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"cbuiltins\nset\n")
SHAPES = (
    "(2147483648, 2147483648)",
    "(-1,)",
    "(" * 3000,
    "(3, 'a')",
    "(4611686018427387904,)",
    "()",
    "((1,),)",
    "(0,)",
)
TYPES = ("'|O'", "'<f4'", "'|S0'", "'|V8'", "'<U100000000'", "[('a', '<f4')]", "'<M8[s]'", "'<c16'", "''", "None", "3")


def damaged(data: bytes, others: list[bytes], dice: random.Random) -> tuple[str, bytes]:
    """Any file with one to three faults among its bytes."""
    faults = [dice.choice(BYTES) for _ in range(dice.randint(1, 3))]
    for fault in faults:
        data = bytes(fault(bytearray(data or b"\0"), others, dice))
    return " and ".join(fault.__name__ for fault in faults), data


def operated(data: bytes, others: list[bytes], dice: random.Random) -> tuple[str, bytes]:
    """A pickle with operations that it had not."""
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(data) + 1)
        operation, size = dice.choice(list(SIZED.items()))
        new = operation + struct.pack(size, dice.choice(SIZES) & (2 ** (8 * struct.calcsize(size)) - 1))
        new = dice.choice((new, dice.choice(OPERATIONS)))
        data = data[:at] + new + data[at + dice.choice((0, 0, 1, len(new))) :]
    return "with other operations", data


def described(data: bytes, others: list[bytes], dice: random.Random) -> tuple[str, bytes]:
    """An .npy whose header says another shape or type."""
    length = struct.unpack("<H", data[8:10])[0]
    header, rest = data[10 : 10 + length].decode("latin1"), data[10 + length :]
    kind, shape = header.split("'descr': ")[1].split(",")[0], "(" + header.split("'shape': (")[1].split(")")[0] + ")"
    header = header.replace(*dice.choice(((kind, dice.choice(TYPES)), (shape, dice.choice(SHAPES)))))[: 2**16 - 1]
    return "saying another shape or type", data[:8] + struct.pack("<H", len(header)) + header.encode("latin1") + rest


def respelled(data: bytes, others: list[bytes], dice: random.Random) -> tuple[str, bytes]:
    """JSON with another value in one place."""
    value = json.loads(data)
    at, (name, wrong) = dice.choice(list(places(value))), dice.choice(list(WRONG.items()))
    new = data if wrong is GONE and not at else text(changed(value, at, wrong)).encode()
    return f"{'/'.join(map(str, at)):.60}: {name}", new


def repacked(data: bytes, others: list[bytes], dice: random.Random) -> tuple[str, bytes]:
    """A zip archive, whole as such, with a fault in one member or in what it says of one."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = [(name, file.read(name)) for name in file.namelist()]
    number = dice.randrange(len(members))
    name, inside = members[number]
    method, what = (
        zipfile.ZIP_STORED,
        dice.choice(("inside", "inside", "inside", "name", "gone", "twice", "zeros", "packed")),
    )
    if what == "inside":
        what, inside = inner(name, inside, others, dice)
        members[number] = name, inside
    elif what == "name":
        members[number] = dice.choice(NAMES), inside
    elif what == "gone":
        del members[number]
    elif what == "twice":
        members += [members[number]] * dice.choice((1, 1000))
    elif what == "zeros":
        members[number], method = (name, inside + bytes(dice.choice((2**16, 2**24, 2**27)))), zipfile.ZIP_DEFLATED
    else:
        method = dice.choice(METHODS)
    return f"{name:.40}: {what}", archived(members, method)


def inner(name: str, data: bytes, others: list[bytes], dice: random.Random) -> tuple[str, bytes]:
    """A fault in a file of the kind that its name says, or among its bytes."""
    fitting = {".pkl": operated, ".json": respelled, ".npy": described, ".npz": repacked, ".pth": operated}
    fault = fitting.get(Path(name).suffix, damaged)
    return dice.choice((fault, fault, damaged))(data, others, dice)


def archived(members: list[tuple[str, bytes]], method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name.replace("\0", "_") or "_")
            info.filename = name
            info.compress_type = method
            archive.writestr(info, data)
    return file.getvalue()


def headed(data: bytes, others: list[bytes], dice: random.Random) -> tuple[str, bytes]:
    """A .safetensors file with a fault in its header, or in the record of a run that it holds."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    if dice.random() < 0.5:
        value = json.loads(header)
        what, record = respelled(value["__metadata__"][weights.RECORD].encode(), others, dice)
        value["__metadata__"][weights.RECORD] = record.decode()
        header, what = json.dumps(value).encode(), f"record {what}"
    else:
        what, header = dice.choice((respelled, respelled, damaged))(header, others, dice)
    size = dice.choice((len(header),) * 9 + SIZES)
    return f"header {what}", struct.pack("<Q", size) + header + rest


def files_of_weights(folder: Path) -> dict[str, bytes]:
    """One of each format, small."""
    arrays = {"a.weight": np.arange(60, dtype=np.float32).reshape(3, 4, 5), "b": np.ones(3, np.int64)}
    members = [(f"{name}.npy", npy(value)) for name, value in arrays.items()]
    packed = {"plain.npz": archived(members, zipfile.ZIP_STORED), "packed.npz": archived(members, zipfile.ZIP_DEFLATED)}
    run = run_folder.load_run(untrained.clip_run(folder / "run"))
    own = {"config": run.config | {"run": "run"}, "labels": run.labels, "policy": run.policy, "student": run.student}
    weights.save(folder / "run.safetensors", published.arrays_of(run)[1], own)
    files = [folder / "run.safetensors", HERE / "golden" / "zip.pth", HERE / "golden" / "stream.pth"]
    return packed | {path.name: path.read_bytes() for path in files}


def npy(value: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


FAULTS = {".npz": repacked, ".pth": repacked, ".safetensors": headed, ".l2l": repacked, ".pkl": operated}


def mutants(
    originals: dict[str, bytes], folder: Path, dice: random.Random, read: Callable[[Path], object]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Files with faults, under the names of the whole ones, which come first."""
    others = list(originals.values())
    for name, data in originals.items():
        (folder / name).write_bytes(data)
        yield f"{name}: whole", functools.partial(read, folder / name)
    while True:
        name, data = dice.choice(list(originals.items()))
        fault = operated if name == "stream.pth" else FAULTS[Path(name).suffix]
        what, data = dice.choice((damaged, fault, fault))(data, others, dice)
        (folder / name).write_bytes(data)
        yield f"{name}: {what}", functools.partial(read, folder / name)


def weights_cases(folder: Path, dice: random.Random) -> Iterator[tuple[str, Callable[[], object]]]:
    out = (folder / f"out{number}" for number in itertools.count())
    yield from mutants(files_of_weights(folder), folder, dice, lambda path: imported(path, next(out)))


def imported(path: Path, out: Path) -> int:
    """What `l2l.import_weights` makes of a file; of the formats that others write, how many arrays it reads."""
    if path.suffix != ".safetensors":
        return len(weights.read(path))
    try:
        import_weights.import_file(
            import_weights.parser().parse_args([str(path), "--model=student_released", f"--out={out}"])
        )
    except WeightsError as error:
        if "the weights do not fit the model (" in str(error):  # and a line for each difference
            raise WeightsError(str(error).splitlines()[0]) from error
        raise
    return 1


def export_cases(folder: Path, dice: random.Random) -> Iterator[tuple[str, Callable[[], object]]]:
    originals = {"skim.l2l": (HERE / "release" / "skim.l2l").read_bytes()}
    yield from mutants(originals, folder, dice, l2l.load)


def pickle_cases(folder: Path, dice: random.Random) -> Iterator[tuple[str, Callable[[], object]]]:
    value = [{"a": np.arange(6.0), ("b", 1): {1, 2}, "c": [frozenset({3, 4}), b"bytes", 1 << 70, None, np.float32(3)]}]
    originals = {f"protocol{protocol}.pkl": pickle.dumps(value, protocol) for protocol in range(6)}
    yield from mutants(originals, folder, dice, safe_pickle.load)


KINDS = (
    Kind("weights", weights_cases, (ValueError, OSError), 1000),
    Kind("exports", export_cases, (from_export.ArtefactError,), 200, seconds=60.0),
    Kind("pickles", pickle_cases, (ValueError, OSError), 1000),
)
