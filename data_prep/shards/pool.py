"""Worker processes that end with their parent, whatever ends it."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from multiprocessing import connection
from typing import Any, TypeVar

from tqdm import tqdm

from l2l.media.decoding.decoder import shielded

from ..datasets.rows import PrepareError

MOST = 4096  # processes
T = TypeVar("T")
R = TypeVar("R")
_STATE: dict[str, Any] = {}  # of a worker process: the shared counter


def run(work: Callable[[T, Callable[[], None]], R], jobs: Sequence[T], workers: int, bar: tqdm) -> list[R]:
    """Calls `work(job, done)` for every job in spawned processes; every `done()` moves the bar on by one.

    One worker works in this process.

    Returns:
      The results, in the order of the jobs.

    Raises:
      PrepareError: a worker process died.
    """
    if workers == 1:
        return [work(job, bar.update) for job in jobs]
    context = multiprocessing.get_context("spawn")
    counter, before = context.Value("q", 0), set(multiprocessing.active_children())
    executor = futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(counter,))
    with held_interrupts() as interrupted:
        try:
            with shielded():
                submitted = [executor.submit(_call, work, job) for job in jobs]
            wait(submitted, interrupted, lambda: bar.update(counter.value - bar.n))
            executor.shutdown()
            return [future.result() for future in submitted]
        except futures.process.BrokenProcessPool as error:
            raise PrepareError(
                "a worker process died, most likely for want of memory; what is finished is kept: "
                "run the same command again with fewer --workers"
            ) from error
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
                process.join()


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


def wait(submitted: Sequence[futures.Future], interrupted: Callable[[], None], look: Callable[[], Any]) -> None:
    """Returns when all futures are done; calls `interrupted` and `look` five times a second.

    Raises what one of them raised, as soon as it did.
    """
    waiting = set(submitted)
    while waiting:
        finished, waiting = futures.wait(waiting, timeout=0.2, return_when=futures.FIRST_EXCEPTION)
        interrupted()
        look()
        for future in finished:
            future.result()


def _begin(counter: Any) -> None:
    """Sets up a worker: it counts, and does not outlive its parent."""
    _STATE["counter"] = counter
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _call(work: Callable[[T, Callable[[], None]], R], job: T) -> R:
    def done() -> None:
        with _STATE["counter"].get_lock():
            _STATE["counter"].value += 1

    return work(job, done)
