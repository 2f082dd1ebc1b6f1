"""Every kind of hostile files: read, or refused in one line; and that what counts them can tell."""

import pytest

from tests.hostile import __main__ as hostile
from tests.hostile import misbehaving, trial

FOUND = hostile.kinds()


@pytest.mark.soak
@pytest.mark.parametrize("name", FOUND)
def test_every_case_is_read_or_refused(name):
    module, kind = FOUND[name]
    count = -(-kind.count // hostile.SHARE)
    account = trial.tried(module, kind, count)
    assert account.failed == []
    assert account.outcomes["read"] + account.outcomes["refused"] == count
    assert account.memory <= kind.memory


def outcomes(kind, count=None):
    account = trial.tried(misbehaving.__name__, kind, count or kind.count)
    return dict(account.outcomes), [number for number, _ in account.failed], account


def test_what_is_read_and_refused_is_counted_and_stays_the_same():
    found, failed, account = outcomes(misbehaving.FINE)
    dice = trial.dice(misbehaving.FINE, 0)
    odd = sum(dice.randrange(100) % 2 for _ in range(20))
    assert (found, failed) == ({"read": 20 - odd, "refused": odd}, [])
    assert 0 < odd < 20
    assert account.row(misbehaving.FINE, 3.2).startswith(f"| fine | 20 | {20 - odd} | {odd} | 0 | 0 | ")


def test_what_is_raised_otherwise_is_a_crash():
    found, failed, account = outcomes(misbehaving.CRASHES)
    assert (found, failed) == ({"read": 3, "crashed": 2}, [1, 3])
    assert account.failed[0][1] == "reader 1: crashed: KeyError: \"'x'\""


def test_a_process_that_dies_costs_one_case():
    found, failed, account = outcomes(misbehaving.DIES)
    assert (found, failed) == ({"read": 2, "crashed": 2}, [1, 2])
    assert [said.partition(" (")[0] for _, said in account.failed] == [
        "reader 1: crashed: SIGABRT",
        "reader 2: crashed: SIGSEGV",
    ]


def test_a_process_that_hangs_costs_one_case():
    found, failed, _ = outcomes(misbehaving.HANGS)
    assert (found, failed) == ({"read": 2, "hung": 1}, [1])


@pytest.mark.skipif(not trial.MEASURED, reason="this system does not tell the most that a process has held")
def test_memory_is_that_of_each_case():
    found, failed, account = outcomes(misbehaving.GREEDY)
    assert (found, failed) == ({"read": 3}, [1])
    assert 290 <= account.memory / misbehaving.MEGABYTE < 330
    assert account.failed[0][1].startswith("reader 1: took ")


def test_a_refusal_is_one_line():
    found, failed, _ = outcomes(misbehaving.WORDY)
    assert (found, failed) == ({"refused": 1, "crashed": 3}, [1, 2, 3])


def test_cases_that_are_missing_are_not_counted():
    assert outcomes(misbehaving.SHORT)[0] == {"read": 1}
    with pytest.raises(RuntimeError, match=r"none: case 0 cannot be made: exit status 1 \(KeyError: 'x'\)"):
        outcomes(misbehaving.NONE)


def test_the_command(monkeypatch, capsys):
    known = {kind.name: (misbehaving.__name__, kind) for kind in (misbehaving.WORDY, misbehaving.SHORT)}
    monkeypatch.setattr(hostile, "kinds", lambda: known)
    monkeypatch.setattr(hostile, "SHARE", 2)
    assert hostile.main(["wordy"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == trial.HEAD.splitlines()
    assert printed[2].startswith("| wordy | 2 | 0 | 1 | 1 | 0 | ")
    assert printed[4:] == ["wordy --case=1 --seed=0: reader 1: crashed: ValueError in 9 characters: 'two\\nlines'"]
    assert hostile.main(["short"]) == 0
    assert hostile.main(["wordy", "--case=1"]) == 1
    assert "ValueError: two\nlines" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        hostile.main(["unknown"])
