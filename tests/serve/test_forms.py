"""Requests that are odd or broken, byte for byte: refused in a line of JSON, and no trace is logged."""

import itertools
import json
import random

import pytest

from tests.helpers.served import BOUNDARY, form
from tests.helpers.videos import write_video
from tests.hostile import service as hostile_service
from tests.hostile.service import RefusedError, answer, asked, counting, forms, line_of, posted, requests, traced


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with counting(tmp_path_factory.mktemp("root")) as port:
        yield port


@pytest.mark.parametrize("odd", [forms, requests])
def test_what_is_odd_is_refused_in_a_line(port, odd):
    with traced() as check:
        for name, request, status in odd():
            found, content = answer(port, request)
            assert found == status, (name, content)
            assert not content if request.startswith(b"HEAD") else line_of(content)
            check()


def test_what_cannot_be_understood_is_said_with_its_cure(port):
    charset = posted(form(path="x"), b"multipart/form-data; charset=idna; boundary=b")
    assert json.loads(answer(port, charset)[1]) == {"error": "send the form as UTF-8", "status": "refused"}
    assert json.loads(answer(port, asked(b"GET", b"/nothing"))[1]) == {"error": "Not Found", "status": "refused"}


def test_a_film_in_an_odd_form_that_is_right(port, tmp_path):
    film = write_video(tmp_path / "a.mp4", seconds=3).read_bytes()
    kind = f"Multipart/Form-Data; charset=UTF-8; x=y; boundary={BOUNDARY}"
    status, content = answer(port, posted(form(video=("naïve\u202e.mp4", film)), kind.encode()))
    assert (status, json.loads(content)) == (200, {"path": "naïve\u202e.mp4", "clips": 3})


@pytest.mark.parametrize("kind", hostile_service.KINDS, ids=lambda kind: kind.name)
def test_a_few_cases_of_the_table(kind, tmp_path):
    refused = 0
    cases = kind.cases(tmp_path, random.Random(0))
    for _, read in itertools.islice(cases, 10):
        try:
            read()
        except RefusedError:
            refused += 1
    cases.close()
    assert refused > 0
