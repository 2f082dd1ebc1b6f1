"""Videos are prepared by several worker processes."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, TypeVar

from tqdm import tqdm

from l2l.core.command import held_interrupts, shielded
from l2l.core.pool import end_with_parent, ended

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
    counter = context.Value("q", 0)
    executor = futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(counter,))
    with held_interrupts() as interrupted, ended(executor):
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
    end_with_parent()


def _call(work: Callable[[T, Callable[[], None]], R], job: T) -> R:
    def done() -> None:
        with _STATE["counter"].get_lock():
            _STATE["counter"].value += 1

    return work(job, done)
