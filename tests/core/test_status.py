"""The one way in which commands end: their status, and one line about what went wrong."""

import pytest

from data_prep.datasets.rows import PrepareError
from l2l.core import command
from l2l.media.decoding.decoder import DecoderError


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_work_that_ends(returned, status, capsys):
    assert command.status(lambda: returned) == status
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "error",
    [ValueError("so"), OSError("so"), ArithmeticError("so"), PrepareError("so"), DecoderError("so")],
    ids=lambda error: type(error).__name__,
)
def test_what_a_person_can_mend_is_one_line(error, capsys, monkeypatch):
    monkeypatch.delenv(command.TRACEBACK, raising=False)
    assert command.status(raising(error)) == command.FAILED == 1
    assert capsys.readouterr().err == "error: so\n"
    monkeypatch.setenv(command.TRACEBACK, "1")
    assert command.status(raising(error)) == command.FAILED
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.splitlines()[-1].endswith(f"{type(error).__name__}: so")


def test_stopped_and_interrupted(capsys):
    assert command.status(raising(command.Stopped("saved"))) == command.STOPPED == 75
    assert command.status(raising(KeyboardInterrupt()), interrupted="goes on") == command.INTERRUPTED == 130
    assert capsys.readouterr().err == "saved\ngoes on\n"


def test_an_extra_that_is_not_installed_is_named_with_its_cure(capsys):
    lacking = ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
    assert command.status(raising(lacking)) == command.FAILED
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "tensorflow" in said
    assert "pip install" in said


@pytest.mark.parametrize("error", [TypeError("fault"), ModuleNotFoundError("No module named 'x'", name="x")])
def test_a_fault_of_the_program_is_not_hidden(error):
    with pytest.raises(type(error)):
        command.status(raising(error))
