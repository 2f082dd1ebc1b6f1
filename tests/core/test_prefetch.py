"""Work in a thread: in order, no further ahead than asked, with its errors."""

import threading

import pytest

from l2l.core.prefetch import Ahead


def test_errors_come_in_their_turn_and_stay():
    def items():
        yield 1
        raise OSError("the disk went away")

    ahead = Ahead(items(), 2)
    assert next(ahead) == 1
    for _ in range(2):
        with pytest.raises(OSError, match="the disk went away"):
            next(ahead)


def test_everything_comes_in_order_one_by_one_or_several_at_once():
    assert list(Ahead(range(20), 3)) == list(range(20))
    ahead, found = Ahead(range(20), 3), []
    while some := ahead.take(4):
        assert len(some) <= 4
        found += some
    assert found == list(range(20))
    assert ahead.take(4) == []


def test_it_is_no_further_ahead_than_asked_and_ends_when_closed():
    asked, gate = [], threading.Semaphore(0)

    def items():
        for i in range(100):
            asked.append(i)
            yield i
            gate.release()  # the item has its place

    ahead = Ahead(items(), 2)
    gate.acquire(timeout=30)
    gate.acquire(timeout=30)
    assert ahead.ready
    assert len(asked) <= 3
    ahead.close()
    ahead.join()
    assert len(asked) <= 4
