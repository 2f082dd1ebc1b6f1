"""A process that decodes videos. It may hang, die of a signal, run out of memory or keep it: another takes its place.

It imports neither TensorFlow nor JAX, so it starts in a fraction of a second and is small. It is a program of its own
(`worker.py`), whatever script, notebook or terminal asks for it, and what it says is read with care (`messages.py`):
a process that says what it should not is ended like one that died.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from l2l.core.command import Failure, shielded
from l2l.media.decoding import messages
from l2l.media.decoding.asking import Asking
from l2l.media.decoding.messages import BadMessage, Done, Problem, Ready
from l2l.media.scan import MediaError

TIME_LIMIT = 1800.0  # seconds; a one-hour film takes minutes
MEMORY = 4 << 30  # bytes of addresses that decoding may take
KEPT = 256 << 20  # bytes that it may hold for good; films of 1920 x 1080 leave 33 MiB, of 3840 x 2160 up to 137
TICK = 0.5  # seconds
GRACE = 10.0  # seconds
PIPE = 1 << 20  # bytes that may be under way: decoding is that far ahead of whoever asked
STEP = 1 << 20  # bytes that are made room for before any has come
SAID = 200  # characters of what it said last
COMMAND = (sys.executable or "python", "-P", "-m", "l2l.media.decoding.worker")
_ROOT = str(Path(__file__).parents[3])  # where this package is found


class DecoderError(Failure):
    """No process can be had to decode in; the video is not at fault. The message is one line."""


class Stopped(DecoderError):
    """The decoder was closed while it was at work."""


class _DiedError(Exception):
    """The process ended of itself, or had to be ended; the message says of what."""


class _NotStartedError(_DiedError):
    """It did so before it was given a video, so no video is at fault."""


class Decoder(Asking):
    """Does what `decoding/operations.py` lists with video files in a process of its own, one at a time.

    Args:
      time_limit: seconds that one call may take.
      memory: bytes of addresses that it may take.
      command: the program and its first arguments.
      stdin: what it reads as its standard input; None: nothing.

    Attributes:
      outgrown: how many processes were replaced because they kept more memory than they had when they were new.
    """

    def __init__(
        self,
        time_limit: float = TIME_LIMIT,
        memory: int = MEMORY,
        *,
        command: Sequence[str] = COMMAND,
        stdin: BinaryIO | None = None,
    ) -> None:
        self.time_limit, self.memory, self.command, self.stdin = time_limit, memory, command, stdin
        self._closed, self._lock, self.outgrown = False, threading.RLock(), 0
        self._process: _Process | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self) -> None:
        """Starts the process, if there is none, without waiting for it; the first call says what went wrong."""
        with contextlib.suppress(_NotStartedError):
            self._started()

    def run(self, operation: str, path: str | os.PathLike, **arguments: Any) -> Generator[Any, None, None]:
        """What an operation yields in the process; it must yield the same every time.

        A process that dies is tried once more, for it may have been killed for want of memory that others took. What
        came through the standard input cannot be read again.

        Raises:
          MediaError: what the operation raises; "timed_out"; "crashed" where the process died twice or the operation
            raised anything else.
          DecoderError: no process can be started.
          Stopped: `close` was called meanwhile.
        """
        given, attempts = 0, 1 if self.stdin else 2
        for attempt in range(attempts):
            try:
                for number, value in enumerate(self._attempt(operation, path, arguments)):
                    if number >= given:
                        given += 1
                        yield value
                return
            except _NotStartedError as error:
                if attempt == attempts - 1:
                    raise DecoderError(f"a decoding process cannot be started: {error}") from error
            except _DiedError as error:
                if attempt == attempts - 1:
                    times = "twice" if attempt else "of it"
                    raise MediaError("crashed", path, f"the decoder died {times}: {error}") from error

    def close(self) -> None:
        """Ends the process, also from another thread."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            process.kill()

    def _attempt(self, operation: str, path: str | os.PathLike, arguments: dict[str, Any]) -> Iterator[Any]:
        if operation == "opened":  # until then what it holds may be the film before
            self._renew()
        process, over = self._ready(), False
        try:
            process.ask({"operation": operation, "path": _absolute(path), "arguments": arguments})
            left = self.time_limit
            while True:
                value, left = process.answer(left)
                if isinstance(value, Problem):
                    over = True
                    raise MediaError(value.status, path, value.reason)
                if isinstance(value, Done):
                    over = True
                    return
                yield value
        except TimeoutError as error:
            raise MediaError("timed_out", path, f"it took longer than {self.time_limit:g} s") from error
        except (EOFError, ConnectionError) as error:
            raise self._death(process, _DiedError) from error
        except BadMessage as error:
            raise _DiedError(f"it said what no decoder says ({error})") from error
        finally:
            if not over:
                self._end(process)
            elif "film" not in arguments:
                self._renew()

    def _renew(self) -> None:
        """Ends the process if it has kept too much memory, and starts another, which nobody need wait for."""
        process = self._process
        if process is not None and process.ready and process.resident() - process.fresh > KEPT:
            self._end(process)
            self.outgrown += 1
            with contextlib.suppress(Stopped):
                self.begin()

    def _started(self) -> "_Process":
        with self._lock:
            if self._closed:
                raise Stopped("stopped")
            if self._process is not None and self._process.ended:  # while nothing was asked
                self._process.release()
                self._process = None
            if self._process is None:
                try:
                    self._process = _Process(self.command, self.memory, self.stdin)
                except OSError as error:
                    raise _NotStartedError(error.strerror or str(error)) from error
            return self._process

    def _ready(self) -> "_Process":
        """The process, started if there is none. The time limit is for videos: it is waited for until it is ready."""
        process = self._started()
        if process.ready:
            return process
        try:
            value, _ = process.answer(float("inf"))
            process.ready, process.fresh = isinstance(value, Ready), process.resident()
        except (EOFError, ConnectionError) as error:
            death = self._death(process, _NotStartedError)
            self._end(process)
            raise death from error
        except BadMessage:
            pass
        if not process.ready:
            self._end(process)
            raise _NotStartedError("it said what no decoder says")
        return process

    def _end(self, process: "_Process") -> None:
        process.kill()
        process.release()
        with self._lock:
            self._process = None

    def _death(self, process: "_Process", kind: type[_DiedError]) -> Exception:
        code = process.join()
        if self._closed:
            return Stopped("stopped")
        how = signal.Signals(-code).name if code and code < 0 else f"exit status {code}"
        said = process.said()
        return kind(f"{how} ({said})" if said else how)


class Decoders(Asking):
    """As many decoders as there are calls at once; any number of threads may call.

    They end with this object, or with the program.

    Args:
      how: see `Decoder`.
    """

    def __init__(self, **how: Any) -> None:
        self._how, self._free = how, [Decoder(**how)]

    def begin(self) -> None:
        """Starts the first one, without waiting for it."""
        for decoder in self._free[:1]:
            decoder.begin()

    def close(self) -> None:
        """Ends those that are not at work; further calls start others."""
        while self._free:
            self._free.pop().close()

    def run(self, operation: str, path: str | os.PathLike, **arguments: Any) -> Generator[Any, None, None]:
        """See `Decoder.run`."""
        try:
            decoder = self._free.pop()
        except IndexError:
            decoder = Decoder(**self._how)
        try:
            yield from decoder.run(operation, path, **arguments)
        finally:
            self._free.append(decoder)


class _Process:
    """A process and the pipes to it; `fresh` is what it held, bytes, when it was ready."""

    def __init__(self, command: Sequence[str], memory: int, stdin: BinaryIO | None) -> None:
        self.ready, self.fresh, self._stderr = False, 0, tempfile.TemporaryFile()  # noqa: SIM115
        with contextlib.ExitStack() as theirs:
            reads, self._requests = _pipe(theirs, 0)
            self._answers, writes = _pipe(theirs, 1)
            arguments = (str(reads), str(writes), str(memory), str(os.getpid()))
            places = dict.fromkeys([*(place or os.getcwd() for place in sys.path), _ROOT])
            with shielded():
                self._child = subprocess.Popen(
                    [*command, *arguments],
                    stdin=stdin or subprocess.DEVNULL,
                    stdout=self._stderr,
                    stderr=self._stderr,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
                    pass_fds=(reads, writes),
                )
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)
        self._end = weakref.finalize(self, _kill, self._child)

    @property
    def ended(self) -> bool:
        return self._child.poll() is not None

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        return resident(self._child.pid)

    def ask(self, request: dict[str, Any]) -> None:
        text = json.dumps(request).encode()
        left = memoryview(len(text).to_bytes(4, "little") + text)
        while left:
            left = left[self._requests.write(left) :]

    def answer(self, left: float) -> tuple[Any, float]:
        """The next message, and what is left of `left` seconds after waiting for it.

        Raises:
          BadMessage: it is none.
          EOFError: there are no more.
          TimeoutError: it does not come in time.
        """
        header, left = self._take(messages.HEADER.size, left)
        kind, length = messages.length_of(header)
        body, left = self._take(length, left)
        return messages.unpacked(kind, body), left

    def _take(self, size: int, left: float) -> tuple[bytearray, float]:
        """So many bytes, for which room is made as they come."""
        data, have = bytearray(min(size, STEP)), 0
        while have < size:
            left = self._wait(left)
            if have == len(data):
                data.extend(bytes(min(size - have, len(data))))
            with memoryview(data) as view, view[have:] as room:
                got = self._answers.readinto(room)
            if not got:
                raise EOFError
            have += got
        return data, left

    def _wait(self, left: float) -> float:
        """Waits for the next bytes; what is left of `left`. A time in which this process slept does not count."""
        while left > 0:
            before = time.monotonic()
            ready = self._poll.poll(1000 * min(TICK, left))
            left -= min(time.monotonic() - before, TICK)
            if ready:
                return left
        raise TimeoutError

    def said(self) -> str:
        """The last line that it printed."""
        with contextlib.suppress(OSError):
            self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(self._stderr.tell() - 4 * SAID, 0))
            for line in reversed(self._stderr.read().decode(errors="replace").splitlines()):
                if text := " ".join("".join(c if c.isprintable() else " " for c in line).split()):
                    return text[:SAID]
        return ""

    def kill(self) -> None:
        """Ends it, also from another thread."""
        _kill(self._child)

    def join(self) -> int | None:
        """The exit status, once it has ended; one that the kernel does not let go is left behind."""
        return _join(self._child)

    def release(self) -> None:
        """Closes what is held of it."""
        for file in (self._requests, self._answers, self._stderr):
            with contextlib.suppress(OSError):
                file.close()
        self._end.detach()


def _pipe(theirs: contextlib.ExitStack, own: int) -> tuple[Any, Any]:
    """(read end, write end) of a pipe with room: this process's as a file, the other's closed with the stack."""
    ends: list[Any] = list(os.pipe())
    with contextlib.suppress(OSError, AttributeError):  # where pipes cannot be made wider
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE)
    theirs.callback(os.close, ends[own])
    ends[1 - own] = open(ends[1 - own], ("wb", "rb")[own], buffering=0)  # noqa: SIM115
    return tuple(ends)


def resident(number: int) -> int:
    """Bytes of memory that the process of this number holds; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _absolute(path: str | os.PathLike) -> str:
    """The path as the process understands it, whose working directory is that of its start."""
    with contextlib.suppress(FileNotFoundError):  # there is no working directory
        return os.path.abspath(os.fsdecode(path))
    return os.fsdecode(path)


def _kill(child: subprocess.Popen) -> None:
    child.kill()
    _join(child)


def _join(child: subprocess.Popen) -> int | None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        return child.wait(GRACE)
    return None
