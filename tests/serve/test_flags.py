"""Numbers that are none, or beyond all bounds, as flags of the service and of infer: one line that names the flag."""

import functools

import numpy as np
import pytest

import l2l
from l2l import infer
from l2l.serve import __main__ as serve
from l2l.serve.service import Limits
from tests.helpers.served import form
from tests.helpers.untrained import clip_run, skim_run
from tests.helpers.videos import write_video
from tests.hostile.service import answer, counting, posted

NEEDED = {serve: ["--run=x"], infer: ["--run=x", "film.mp4"]}
NUMBERS = [
    (module, flag.option_strings[0])
    for module in NEEDED
    for flag in module.parser()._actions
    if isinstance(flag.default, int | float) or flag.dest in ("stride", "audio_track")
    if flag.nargs != 0
]
NONE = ("nan", "inf", "-inf", "1e400", "-1", "-1e-9", "text", "", "9" * 5000)
MOST = {"--port": 65_535, "--megabytes": 1e6, "--patience": 1e6, "--memory": 1e6, "--decoders": 1024, "--window": 1e6}


def refused(module, flag, value, capsys):
    """The line that a command says of a flag."""
    with pytest.raises(SystemExit) as end:
        module.main([*NEEDED[module], f"{flag}={value}"])
    *usage, line = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert usage[0].startswith("usage: ")
    assert len(line) < 200
    return line


def test_the_numbers_are_all_of_them():
    assert {flag for module, flag in NUMBERS if module is serve} == {
        *MOST,
        *("--stride", "--seconds", "--waiting", "--connections", "--most"),
    }
    assert {flag for module, flag in NUMBERS if module is infer} == {"--stride", "--audio_track", "--top"}


@pytest.mark.parametrize(("module", "flag"), NUMBERS)
def test_a_flag_that_is_no_number(module, flag, capsys):
    for value in NONE:
        said = refused(module, flag, value, capsys)
        kind = "whole number" if flag in ("--port", "--stride", "--waiting", "--decoders") else "number"
        assert f"argument {flag}: must be a" in said
        assert f"{kind} " in said
        assert f"got '{value[:20]}" in said


@pytest.mark.parametrize(("flag", "most"), [*MOST.items(), ("--stride", 10**6)])
def test_a_flag_beyond_its_bounds(flag, most, capsys):
    assert f"to {most:g}, got '1000000000000000000000'" in refused(serve, flag, 10**21, capsys)
    parsed = serve.parser().parse_args(["--run=x", f"{flag}={most}"])
    assert getattr(parsed, flag.strip("-")) == most


def test_the_bounds_themselves_are_served(tmp_path):
    film = write_video(tmp_path / "a.mp4").read_bytes()
    limits = Limits(10**12, MOST["--patience"], round(MOST["--memory"] * 2**30), 10**21, 1e21, 10**21)
    with counting(None, limits) as port:
        assert answer(port, posted(form(video=("a", film)))) == (200, b'{"path":"a","clips":1}')


def test_strides(tmp_path):
    """At the bound there is one position; beyond it is an error, as it is of a run that is no skimmer."""
    film = write_video(tmp_path / "a.mp4", seconds=3)
    runs = {"skim": skim_run(tmp_path / "skim"), "clip": clip_run(tmp_path / "clip")}
    result = l2l.load(runs["skim"], stride=10**6).classify(film)
    assert np.flatnonzero(result.indexed).tolist() == [0]
    load = functools.partial(l2l.load, runs["skim"])
    for call, stride in ((load, 10**6 + 1), (load, 10**21), (load, 0), (functools.partial(l2l.load, runs["clip"]), 2)):
        with pytest.raises(ValueError, match=f"stride={stride}: it must be from 1 to 1,000,000, and 1 for a run that"):
            call(stride=stride)
