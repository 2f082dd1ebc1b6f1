"""Connections that keep the service waiting, over sockets: others are answered, and what was done is told."""

import contextlib
import dataclasses
import functools
import json
import re
import socket
import time

import pytest

from l2l.serve.app import application
from l2l.serve.connections import Connection
from l2l.serve.guard import names
from l2l.serve.service import Limits, Service
from tests.helpers.served import BOUNDARY, HEADERS, Client, answer_of, hosting

FEW, HEADER_TIME, PATIENCE = 8, 0.4, 1.0
LIMITS = Limits(upload=1 << 20, patience=PATIENCE, memory=1 << 30, waiting=1, longest=60, connections=FEW)
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.contextmanager
def service(*, limits=LIMITS, headers=60.0, app=None):
    """A client of the service, whose model is never asked, or of an application in its place."""
    idle = Service(None, None, None, limits=limits, decoders=1, window=0.01, most=1)
    app = app or application(idle, None, names=names("127.0.0.1", ()), token=None)
    protocol = functools.partial(Connection, limits=limits, metrics=idle.metrics, headers=headers)
    with hosting(app, http=protocol) as port:
        client = Client(port)
        client.metrics = idle.metrics
        yield client


@contextlib.contextmanager
def opened(port, count, begin=b""):
    """So many connections that have said no more than the beginning of a request."""
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(count):
            connections.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)))
            connections[-1].sendall(begin)
        yield connections


def told(connection):
    status, _, content = answer_of(connection)
    return status, *json.loads(content).values()


def counted(client, name):
    return sum(float(x) for x in re.findall(rf"^{name} (\S+)$", client.metrics.text(), re.MULTILINE))


def wait_until(met, what):
    stop = time.monotonic() + 30
    while not met():
        assert time.monotonic() < stop, what
        time.sleep(0.01)


@pytest.mark.parametrize("begin", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-More: "])
def test_a_hundred_idle_connections_silence_nobody(begin, caplog):
    with service() as client, opened(client.port, 1, begin) as (first,):
        assert client.ask("GET", "/health")[0] == 200  # so the first was heard
        with opened(client.port, 99, begin) as others:
            for _ in range(5):
                assert client.ask("GET", "/health") == (200, b'{"status":"ok"}')
            assert counted(client, "l2l_connections") <= FEW + 1
            ended = counted(client, 'l2l_connections_ended_total{reason="crowded"}')
            assert 100 - FEW <= ended <= 100 - FEW + 5
            if begin:  # a request was under way, so it is told
                assert told(first) == (408, "others needed its place", "refused")
            else:
                assert first.recv(1) == b""
            others[-1].setblocking(False)
            with pytest.raises(BlockingIOError):  # those that came last are still waited for
                others[-1].recv(1)
    assert caplog.messages.count("closed a connection of 127.0.0.1: others needed its place") == ended


def test_the_one_that_is_waited_for_longest_makes_room():
    """It need not be the oldest."""
    with service() as client, opened(client.port, FEW) as connections:
        asking, silent = connections[:2]
        wait_until(lambda: counted(client, "l2l_connections") == FEW, "they connect")
        asking.sendall(ASK)
        assert answer_of(asking)[0] == 200
        assert client.ask("GET", "/health")[0] == 200
        assert silent.recv(1) == b""
        asking.sendall(ASK)
        assert answer_of(asking)[0] == 200


def test_headers_that_come_slowly(caplog):
    """Bytes that trickle gain no time; who said nothing is told nothing."""
    with service(headers=HEADER_TIME) as client, opened(client.port, 2) as (slow, silent):
        since = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in ASK[:-2]:
                slow.sendall(bytes([byte]))
                time.sleep(2 * HEADER_TIME / len(ASK))
        assert told(slow) == (408, "no request came within 0.4 s", "refused")
        assert silent.recv(1) == b""
        assert HEADER_TIME <= time.monotonic() - since < 20
        assert client.ask("GET", "/health")[0] == 200
        assert counted(client, 'l2l_connections_ended_total{reason="slow"}') == 2
    assert caplog.messages == ["closed a connection of 127.0.0.1: no request came within 0.4 s"] * 2


def test_what_follows_an_answer_gains_no_time():
    """The rest of a body that nobody waits for, byte by byte."""
    with service(headers=HEADER_TIME) as client, opened(client.port, 1) as (slow,):
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        since = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - since < 20:
                slow.sendall(b"x")
                time.sleep(0.02)
        assert HEADER_TIME / 2 < time.monotonic() - since < 15


def test_slow_uploads_take_no_place_of_work(caplog):
    """One request may be in progress; those that are on their way are not."""
    head = f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
    begin = (head + "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n").encode()
    with service(limits=dataclasses.replace(LIMITS, patience=30)) as client, contextlib.ExitStack() as stack:
        for number in range(FEW):
            if number == FEW - 1:
                assert client.classify(path="x")[1]["error"].startswith("this service takes no paths")
                assert counted(client, "l2l_in_progress") == 0
            (slow,) = stack.enter_context(opened(client.port, 1, begin))
            assert slow.recv(1 << 10).startswith(b"HTTP/1.1 100 ")
            slow.sendall(f"--{BOUNDARY}".encode())
        (last,) = stack.enter_context(opened(client.port, 1))  # nobody is idle: who comes last is told so
        status, headers, content = answer_of(last)
        assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "5")
        assert json.loads(content) == {"error": "8 connections are busy: come again", "status": "busy"}
        assert counted(client, 'l2l_connections_ended_total{reason="full"}') == 1
    assert caplog.messages == ["closed a connection of 127.0.0.1: 8 connections are busy: come again"]


def test_a_slow_upload_ends_in_time():
    begin = f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
    with service(headers=HEADER_TIME) as client, opened(client.port, 1) as (slow,):
        slow.sendall((begin + "Content-Length: 1000\r\n\r\n--").encode())
        status, _, content = answer_of(slow)
        assert status == 408
        assert b"the upload took longer than 1 s" in content


@pytest.mark.parametrize("close", [False, True])
def test_an_answer_that_is_not_read(close, caplog):
    """It ends with the patience, whether the connection was to live on or not; who reads steadily gets all of it."""

    async def large(scope, receive, send):
        if scope["type"] == "http":
            headers = [(b"content-length", b"%d" % (64 << 20)), *([(b"connection", b"close")] if close else [])]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": bytes(64 << 20)})

    with service(app=large, headers=HEADER_TIME) as client, opened(client.port, 1, ASK) as (slow,):
        assert len(client.ask("GET", "/")[1]) == 64 << 20
        wait_until(lambda: counted(client, "l2l_connections") == 0, "it ends")
        assert counted(client, 'l2l_connections_ended_total{reason="slow"}') >= 1
        assert slow.recv(4) == b"HTTP"
    assert "it did not read its answer within 1 s" in caplog.text


def test_a_place_is_free_again_when_a_client_goes():
    with service() as client:
        for _ in range(3):
            with opened(client.port, FEW):
                wait_until(lambda: counted(client, "l2l_connections") == FEW, "they connect")
            wait_until(lambda: counted(client, "l2l_connections") == 0, "they go")
        assert "l2l_connections_ended_total{" not in client.metrics.text()
