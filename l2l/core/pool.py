"""Worker processes that end with their parent, whatever ends it; and work of many parts on all CPU cores."""

import contextlib
import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from multiprocessing import connection
from typing import Any, TypeVar

from l2l.core.command import held_interrupts, shielded

Item = TypeVar("Item")
State = TypeVar("State")
Result = TypeVar("Result")
_STATE: dict[str, Callable[[], Any]] = {}  # of a worker process


def each(
    work: Callable[[State, Item], Result], items: Sequence[Item], setup: Callable[[], State], jobs: int
) -> Iterator[Result]:
    """work(setup(), item) of every item, in the order in which they are done.

    Args:
      work, items, setup: what pickle takes, and the results too, if there are several jobs.
      jobs: processes, each with a CPU core of its own, which call `setup` once; 1: all is done in this process.

    Raises:
      ChildProcessError: a process died.
      Whatever `setup` and `work` raise; what was not begun is left then.
    """
    if jobs == 1:
        state = setup()
        yield from (work(state, item) for item in items)
        return
    context = multiprocessing.get_context("spawn")
    cores = context.SimpleQueue()
    for number in range(jobs):
        cores.put(number)
    executor = futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(cores, setup))
    with held_interrupts() as interrupted, ended(executor):
        try:
            with shielded():
                waiting = {executor.submit(_call, work, item) for item in items}
            while waiting:
                finished, waiting = futures.wait(waiting, timeout=0.2, return_when=futures.FIRST_COMPLETED)
                interrupted()
                yield from (future.result() for future in finished)
        except futures.process.BrokenProcessPool as error:
            raise ChildProcessError(f"one of {jobs} worker processes died, most likely for want of memory") from error


def cores() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def ended(executor: futures.ProcessPoolExecutor) -> Iterator[None]:
    """At the end of the block the executor's processes end, too, whether they are done or not."""
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
            process.join()


def end_with_parent() -> None:
    """From now on this process ends when its parent does, if another Python process is that."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(parent: int) -> None:
    connection.wait([parent])
    os._exit(1)


def _begin(numbers: Any, setup: Callable[[], Any]) -> None:
    """Sets up a worker: a core of its own, which is where the libraries that it uses will see one core alone."""
    end_with_parent()
    if hasattr(os, "sched_setaffinity"):
        own = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {own[numbers.get() % len(own)]})
    _STATE["of"] = functools.cache(setup)


def _call(work: Callable[[Any, Any], Any], item: Any) -> Any:
    return work(_STATE["of"](), item)
