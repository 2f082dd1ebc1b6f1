"""A process that decodes videos. It may hang, die of a signal or run out of memory: another takes its place.

It imports neither TensorFlow nor JAX, so it starts in a fraction of a second and is small; what it makes of a video
comes back through a pipe, value by value. Python's `if __name__ == "__main__"` must guard a script that starts one.
"""

import contextlib
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Any

from l2l.data.scan import MediaError

TIME_LIMIT = 1800.0  # seconds; a one-hour film takes minutes
MEMORY = 4 << 30  # bytes of addresses that decoding may take
TICK = 0.5  # seconds
GRACE = 10.0  # seconds
_STARTING = threading.Lock()  # multiprocessing's list of children is not made for several threads


class DecoderError(Exception):
    """No process can be had to decode in; the video is not at fault. The message is one line."""


class Stopped(DecoderError):
    """The decoder was closed while it was at work."""


class _DiedError(Exception):
    """The process ended of itself; the message says of what."""


class _NotStartedError(_DiedError):
    """It did so before it was given a video, so no video is at fault."""


class Decoder:
    """Runs functions of video files in a process of its own, one at a time.

    Args:
      time_limit: seconds that one call may take.
      memory: bytes of addresses that it may take.
    """

    def __init__(self, time_limit: float = TIME_LIMIT, memory: int = MEMORY) -> None:
        self.time_limit, self.memory, self._closed = time_limit, memory, False
        self._process: Any = None
        self._pipe: connection.Connection | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self, function: Callable[..., Iterator[Any]], path: str, *args: Any) -> Iterator[Any]:
        """What `function(path, *args)` yields in the process; the function must yield the same every time.

        A process that dies is tried once more, for it may have been killed for want of memory that others took.

        Raises:
          MediaError: what the function raises; "timed_out"; "crashed" where the process died twice or the function
            raised anything else.
          DecoderError: no process can be started.
          Stopped: `close` was called meanwhile.
        """
        given = 0
        for attempt in range(2):
            try:
                for number, value in enumerate(self._attempt(function, path, args)):
                    if number >= given:
                        given += 1
                        yield value
                return
            except _NotStartedError as error:
                if attempt:
                    raise DecoderError(f"a decoding process cannot be started: {error}") from error
            except _DiedError as error:
                if attempt:
                    raise MediaError("crashed", path, f"the decoder died twice: {error}") from error

    def close(self) -> None:
        """Ends the process, also from another thread."""
        with _STARTING:
            self._closed = True
            process = self._process
        if process is not None:
            _kill(process)

    def _attempt(self, function: Callable[..., Iterator[Any]], path: str, args: tuple[Any, ...]) -> Iterator[Any]:
        self._start()
        over, left = False, self.time_limit
        try:
            self._pipe.send((function, (path, *args)))
            while True:
                left = self._wait(left)
                if left <= 0:
                    raise MediaError("timed_out", path, f"it took longer than {self.time_limit:g} s")
                value, over, problem = self._pipe.recv()
                if problem:
                    raise MediaError(problem[0], path, problem[1])
                if over:
                    return
                yield value
        except (EOFError, ConnectionError) as error:
            raise self._death(_DiedError) from error
        finally:
            if not over:
                self._end()

    def _start(self) -> None:
        """Starts the process if there is none, and waits until it is ready: the time limit is for videos."""
        with _STARTING:
            if self._closed:
                raise Stopped("stopped")
            if self._process is not None:
                return
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self.memory), daemon=True)
            with shielded():
                process.start()
            self._process = process
            theirs.close()
        try:
            self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            death = self._death(_NotStartedError)
            self._end()
            raise death from error

    def _wait(self, left: float) -> float:
        """Waits for the next message; what is left of `left`. A time in which this process slept does not count."""
        ready = False
        while left > 0 and not ready:
            before = time.monotonic()
            ready = self._pipe.poll(min(TICK, left))
            left -= min(time.monotonic() - before, TICK)
        return left

    def _end(self) -> None:
        _kill(self._process)
        self._pipe.close()
        self._process = self._pipe = None

    def _death(self, kind: type[_DiedError]) -> Exception:
        code = _join(self._process)
        if self._closed:
            return Stopped("stopped")
        return kind(signal.Signals(-code).name if code and code < 0 else f"exit status {code}")


def _kill(process: Any) -> None:
    with _STARTING:
        process.kill()
    _join(process)


def _join(process: Any) -> int | None:
    """The exit status of a process that is ending; one that the kernel does not let go is left behind."""
    if connection.wait([process.sentinel], GRACE):
        with _STARTING:
            process.join()
    return process.exitcode


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Processes started inside never see Ctrl-C: it is the parent's to handle, after this block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent() -> None:
    """Called in a spawned process: it ends with its parent, whatever ends that."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _serve(pipe: connection.Connection, memory: int) -> None:
    """The process: takes calls from the pipe, and answers with (value, over, problem) triples."""
    follow_parent()
    with contextlib.suppress(ValueError, OSError):  # where the system knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with contextlib.suppress(EOFError, ConnectionError):
        pipe.send("ready")
        while True:
            function, args = pipe.recv()
            problem = None
            try:
                for value in function(*args):
                    pipe.send((value, False, None))
            except MediaError as error:
                problem = error.status, error.reason
            except MemoryError:
                problem = "undecodable", f"it needs more than {memory / 2**30:g} GiB of memory"
            except ConnectionError:
                return
            except Exception as error:
                problem = "crashed", f"{type(error).__name__}: {error}"
            pipe.send((None, True, problem))
