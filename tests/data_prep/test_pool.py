"""Worker processes and Ctrl-C: the program ends, whenever it comes."""

import os
import signal
import threading
import time
from concurrent import futures

import pytest
from tqdm import tqdm

from data_prep.shards import pool
from l2l.core.command import held_interrupts


def interrupt_in(steps, error=None):
    """Is interrupted in the midst, and asks later; or fails in between."""
    with held_interrupts() as interrupted:
        os.kill(os.getpid(), signal.SIGINT)
        steps.append("held")
        if error:
            raise error
        if "asks" in steps:
            interrupted()
        steps.append("done")


@pytest.mark.parametrize(
    ("begun", "ended"), [(["asks"], ["asks", "held"]), ([], ["held", "done"])], ids=["asked for", "at the end"]
)
def test_an_interrupt_is_raised_where_it_is_asked_for_or_at_the_end(begun, ended):
    with pytest.raises(KeyboardInterrupt):
        interrupt_in(begun)
    assert begun == ended
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_is_not_hidden_by_an_interrupt():
    with pytest.raises(ValueError, match="first"):
        interrupt_in([], ValueError("first"))


def test_ignored_interrupts_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_interrupts() as interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_let_alone():
    seen = []

    def work():
        with held_interrupts() as interrupted:
            interrupted()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_the_first_error_ends_the_wait():
    def fail():
        raise ValueError("one of them")

    with futures.ThreadPoolExecutor(2) as executor:
        begun = time.monotonic()
        submitted = [executor.submit(fail), executor.submit(time.sleep, 3)]
        with pytest.raises(ValueError, match="one of them"):
            pool.wait(submitted, lambda: None, lambda: None)
        assert time.monotonic() - begun < 2


def doubled(job, done):
    done()
    return 2 * job


def test_an_interrupt_while_locks_are_taken_waits_until_they_are_given_back(monkeypatch):
    """Taken locks that stay taken keep the interpreter from ending: it waits for the thread that wants them."""
    whole, real = [], futures.wait

    def interrupted_within(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        result = real(*arguments, **options)
        whole.append(True)
        return result

    monkeypatch.setattr(futures, "wait", interrupted_within)
    with tqdm(total=3, disable=True) as bar, pytest.raises(KeyboardInterrupt):
        pool.run(doubled, [1, 2, 3], 2, bar)
    assert whole == [True]


def test_results_come_in_the_order_of_the_jobs():
    with tqdm(total=9, disable=True) as bar:
        assert pool.run(doubled, list(range(9)), 2, bar) == [2 * job for job in range(9)]
