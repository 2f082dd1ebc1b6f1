"""How a command meets its terminal: a reader that has gone, output that is closed or full, names that move cursors.

And Ctrl-C, beside processes and threads.
"""

import argparse
import contextlib
import io
import math
import os
import signal
import sys
import threading
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TextIO

from l2l.core import distribution

LINE = 1 << 20  # bytes: a line is written at once, so that two commands that append to one file mix no lines
SHOWN = 60  # characters of a value that is refused
KEPT = "\n\t\r"  # of the characters that control a terminal
# Change the direction of what follows, which can make a name look like another.
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

FAILED, STOPPED, INTERRUPTED = 1, 75, 130  # exit statuses
TRACEBACK = "L2L_TRACEBACK"  # set, an error also shows where in the code it happened

called_as = ""  # "l2l NAME", where this process was started so


class Failure(Exception):
    """Something that the person who called a command can mend; the message says what, and how.

    What is wrong with a value is a ValueError, and may be told in the same way.
    """


class Stopped(Exception):
    """Work was asked to stop; what it had is saved, and the same command goes on. No error."""


class Enough(BaseException):
    """Whoever reads the output has gone. No error: nothing that handles errors may hold it up."""


class Unwritable(BaseException):
    """The output cannot be written; nothing that handles errors of files takes this for one of its own."""


class Output(io.TextIOWrapper):
    """Standard output or error, which a command cannot use to move a cursor."""

    def write(self, text: str) -> int:
        with _ended():
            return super().write(visible(text))

    def flush(self) -> None:
        with _ended():
            super().flush()


def visible(text: str) -> str:
    r"""The text with characters that control a terminal written as \x1b or \u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if _controls(c) else c for c in text)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command and ends the process with its status.

    As `yes | head` does, it ends of SIGPIPE without a word when whoever reads its output has gone. Output that cannot
    be written is an error in one line, and so is what `explained` tells of; closed output swallows what is printed.
    """
    _open_closed()
    sys.stdout, sys.stderr = _output(sys.stdout, 1), _output(sys.stderr, 2)
    try:
        try:
            status = _import_errors_told(main)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except Enough:
        _die()
    except Unwritable as error:
        with contextlib.suppress(Enough, Unwritable):
            print(f"error: the output cannot be written: {error}", file=sys.stderr, flush=True)
        _discard()
        status = 1
    sys.exit(status)


def program(module: str) -> str:
    """How a command is called, for its usage line: by its name below `l2l`, or as a module."""
    return called_as or f"python -m {module}"


def status(work: Callable[[], int | None], *, interrupted: str = "interrupted") -> int:
    """Does a command's work; returns its exit status, 0 if `work` returns None.

    Of what ends the work before its time a line is told: 1 after an error, STOPPED, or INTERRUPTED after Ctrl-C.

    Args:
      work: what the command does.
      interrupted: what is said after Ctrl-C.

    Raises:
      Exception: what `explained` does not know: a fault of this program.
    """
    try:
        return work() or 0
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        return explained(error)


def explained(error: Exception) -> int:
    """Tells in one line of an error that a person can mend; returns the exit status. Raises any other."""
    if isinstance(error, Stopped):
        print(error, file=sys.stderr)
        return STOPPED
    known = isinstance(error, (Failure, ValueError, ArithmeticError, OSError))
    reason = distribution.lacking(error) if isinstance(error, ModuleNotFoundError) else str(error) if known else ""
    if not known and not reason:
        raise error
    if known and os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    else:
        print(f"error: {reason}", file=sys.stderr)
    return FAILED


def _import_errors_told(main: Callable[[], int | None]) -> int | None:
    """Its status; 1 after a line where it needs an extra that is not installed."""
    try:
        return main()
    except ModuleNotFoundError as error:
        return explained(error)


def number(kind: type, least: float, most: float = math.inf) -> Callable[[str], Any]:
    """What argparse makes of a flag: a number from `least` to `most`, and neither infinity nor NaN."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
            finite = math.isfinite(value)
        except (ValueError, OverflowError):  # no number, or a whole one beyond any other
            finite = False
        if not (finite and least <= value <= most):
            name = "a whole number" if kind is int else "a number"
            bounds = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
            raise argparse.ArgumentTypeError(f"must be {name} {bounds}, got {shown!r}")
        return value

    return read


def _controls(character: str) -> bool:
    return character not in KEPT and (unicodedata.category(character) == "Cc" or character in _TURNING)


@contextlib.contextmanager
def _ended() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise Enough from error
    except OSError as error:
        raise Unwritable(error.strerror) from error


def _open_closed() -> None:
    """Opens what was closed, or the next file would take its number and get what libraries print."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one


def _output(stream: TextIO | None, number: int) -> Output:
    """A stream of its own beside Python's; what holds that one may go on writing to it."""
    encoding = "utf-8" if stream is None else stream.encoding
    buffered = stream is not None and bool(stream.line_buffering)
    pipe = open(number, "wb", LINE, closefd=False)  # noqa: SIM115
    return Output(pipe, encoding=encoding, errors="backslashreplace", line_buffering=buffered)


def _discard() -> None:
    """What could not be written is not tried again while the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(null, number)


def _die() -> NoReturn:
    """Ends as a program does that knows nothing of pipes."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    raise AssertionError("SIGPIPE ends a process")


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Processes started inside never see Ctrl-C: it is the parent's to handle, after this block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
    """Inside, Ctrl-C is handled only where the function that this yields is called, and at the end.

    Raised in the midst of concurrent.futures, KeyboardInterrupt leaves a future's lock taken: the thread that wants to
    say that the future is done waits for it forever, and the interpreter waits for that thread when it ends.
    """
    came: list[int] = []

    def interrupted() -> None:
        if came and callable(before):
            came.clear()
            before(signal.SIGINT, None)

    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield lambda: None
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
    interrupted()
