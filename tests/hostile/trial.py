"""The cases of one kind of hostile files, read one after the other in a process of its own that may die or hang.

python -m tests.hostile.trial MODULE KIND FIRST STOP SEED PIPE    # that process; `tried` starts it
"""

import collections
import contextlib
import ctypes
import dataclasses
import importlib
import itertools
import json
import os
import random
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.helpers import xla
from tests.hostile import Kind

HEAD = (
    "| kind | tried | read | refused | crashed | hung | most memory, MB | seconds |\n|---|---|---|---|---|---|---|---|"
)
LONGEST = 1000  # characters of a refusal
MAKING = 300.0  # seconds until the next case is ready: the start of the process, and what is passed over on the way
SPARE = 8 << 30  # bytes of addresses beside what the process has at its start: it dies before the machine is full
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": xla.flags(1),
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "-1",
}
MEASURED = os.path.exists("/proc/self/clear_refs")  # the most that a process has held can be asked for anew

Outcome = tuple[str, str]  # read, refused, crashed or hung; what was said


@dataclasses.dataclass
class Account:
    """How many cases ended how, the most bytes that one added, and which failed: (number, what happened)."""

    outcomes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    memory: int = 0
    failed: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def add(self, kind: Kind, number: int, what: str, outcome: Outcome, memory: int = 0) -> None:
        how, said = outcome
        self.outcomes[how] += 1
        self.memory = max(self.memory, memory)
        if how in ("crashed", "hung"):
            self.failed.append((number, f"{what}: {how}: {said}"))
        elif memory > kind.memory:
            self.failed.append((number, f"{what}: took {memory >> 20:,} MB, more than {kind.memory >> 20:,}"))

    def row(self, kind: Kind, seconds: float) -> str:
        ends = [self.outcomes[how] for how in ("read", "refused", "crashed", "hung")]
        memory = f"{self.memory / 2**20:,.0f}" if MEASURED else "not measured"
        return f"| {' | '.join([kind.name, *map(str, [sum(ends), *ends]), memory, f'{seconds:.0f}'])} |"


def tried(module: str, kind: Kind, count: int, seed: int = 0) -> Account:
    """Reads the first cases of a kind; a process that dies or hangs costs one case, and another goes on at the next.

    Raises:
      RuntimeError: no case can be made.
    """
    account, number = Account(), 0
    while number < count:
        with Reader(module, kind.name, number, count, seed) as reader:
            first = number
            while line := reader.next(MAKING):
                if line.get("over"):
                    return account
                what = line["what"]
                if not (line := reader.next(kind.seconds)):
                    break
                account.add(kind, number, what, (line["how"], line["said"]), line["memory"])
                number, what = number + 1, "after the case before"
            else:
                if number == first:
                    raise RuntimeError(f"{kind.name}: case {number} cannot be made: {reader.end()}")
            account.add(kind, number, what, ("hung", "it took too long") if reader.late else ("crashed", reader.end()))
            number += 1
    return account


class Reader:
    """The process that reads cases; it and those that it started are ended with the block."""

    def __init__(self, module: str, name: str, *numbers: int) -> None:
        self.data, self.late, self.said = b"", False, tempfile.TemporaryFile()  # noqa: SIM115
        reads, writes = os.pipe()
        self.pipe = open(reads, "rb", buffering=0)  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.trial", module, name, *map(str, numbers), str(writes)],
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=self.said,
            pass_fds=[writes],
            start_new_session=True,
        )
        os.close(writes)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.pipe.close()
        self.said.close()

    def next(self, seconds: float) -> dict[str, Any]:
        """What it tells next; {} if it ends before, or (then it is `late`) says nothing for so long."""
        while b"\n" not in self.data:
            if not select.select([self.pipe], [], [], seconds)[0]:
                self.late = True
                return {}
            if not (more := self.pipe.read(1 << 16)):
                return {}
            self.data += more
        line, _, self.data = self.data.partition(b"\n")
        return json.loads(line)

    def end(self) -> str:
        """How it ended, and the last line that it printed."""
        if self.late:
            return "it took too long"
        code = self.process.wait(MAKING)
        self.said.seek(0)
        lines = [line.strip() for line in self.said.read().decode(errors="replace").split("\n") if line.strip()]
        return (
            f"{signal.Signals(-code).name if code < 0 else f'exit status {code}'} ({lines[-1][:200] if lines else ''})"
        )


def dice(kind: Kind, seed: int) -> random.Random:
    return random.Random(f"{kind.name} {seed}")


def ended(kind: Kind, read: Callable[[], object]) -> Outcome:
    """How reading ends."""
    try:
        read()
    except kind.refusals as error:
        said = str(error)
        if said.strip() and "\n" not in said and len(said) <= LONGEST:
            return "refused", said
        return "crashed", f"{type(error).__name__} in {len(said):,} characters: {said[:100]!r}"
    except BaseException as error:  # also what ends a process
        return "crashed", f"{type(error).__name__}: {str(error)[:200]!r}"
    return "read", ""


def held(word: str) -> int:
    """Bytes that this process and those below it hold (VmRSS), have held at most (VmHWM), or address (VmSize)."""
    found = 0
    for pid in family(os.getpid()):
        with contextlib.suppress(OSError):
            if number := re.search(rf"{word}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
                found += int(number[1]) << 10
    return found


def family(pid: int) -> list[int]:
    """A process and all below it."""
    below = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            below += map(int, path.read_text().split())
    return [pid, *(each for one in below for each in family(one))]


def forget() -> None:
    """The most that was held begins anew, with what is held now; what was freed is given back before."""
    with contextlib.suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)
    for pid in family(os.getpid()):
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def again(kind: Kind, number: int, seed: int) -> int:
    """Reads one case in this process and says how that ends; its files stay."""
    folder = Path(tempfile.mkdtemp(prefix="l2l_hostile_"))
    what, read = next(itertools.islice(kind.cases(folder, dice(kind, seed)), number, None))
    print(f"{kind.name} {number}: {what}, in {folder}", flush=True)
    try:
        print(read())
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Reads cases and tells of each before and after it, through a pipe."""
    module, name, *numbers = sys.argv[1:]
    first, stop, seed, pipe = map(int, numbers)
    kind = next(kind for kind in importlib.import_module(module).KINDS if kind.name == name)
    resource.setrlimit(resource.RLIMIT_AS, (held("VmSize") + SPARE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tell = lambda **value: os.write(pipe, json.dumps(value).encode() + b"\n")
    with tempfile.TemporaryDirectory(prefix="l2l_hostile_") as folder:
        for number, (what, read) in enumerate(itertools.islice(kind.cases(Path(folder), dice(kind, seed)), stop)):
            if number < first:
                continue
            tell(what=what)
            forget()
            before = held("VmRSS")
            how, said = ended(kind, read)
            tell(how=how, said=said[:LONGEST], memory=max(0, held("VmHWM") - before))
    tell(over=True)


if __name__ == "__main__":
    main()
