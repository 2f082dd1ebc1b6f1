"""What strangers may send to the service: requests that are odd or broken, and uploads that are no videos."""

import contextlib
import dataclasses
import functools
import http.client
import json
import logging
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from l2l.media.policy import ClipPolicy
from l2l.serve.app import application
from l2l.serve.connections import Connection
from l2l.serve.guard import names
from l2l.serve.service import How, Limits, Service
from tests.helpers import mutated, uploads
from tests.helpers.served import BOUNDARY, HEADERS, form, hosting
from tests.hostile import Kind

LIMITS = Limits(upload=4 << 20, patience=20, memory=1 << 30, waiting=8, longest=60, connections=16)
HASTE = 0.1  # seconds that a request may take to come
MUTATED = 5000  # bytes of a request to which faults are added
FORM = HEADERS["Content-Type"].encode()
VIDEO = b'Content-Disposition: form-data; name="video"; filename="film.mp4"'
PATH = b'Content-Disposition: form-data; name="path"'
CHARSETS = ("utf-7", "unknown", "base64", "idna", "rot13", "zlib", "punycode", "undefined", "unicode_escape", "utf-16")
CHARSETS += ("mbcs", "hex", "", "..", "../../x", "\xff", "x" * 40_000)


class RefusedError(Exception):
    """The service answered with a 4xx and a line of JSON, or ended the connection because too little came."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a model that only counts says of a film."""

    path: str
    clips: int

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@contextlib.contextmanager
def counting(root: Path | None, limits: Limits = LIMITS, *, headers: float = 10.0) -> Iterator[int]:
    """The port of a service whose model counts a film's clips; all else of it is real."""
    look = lambda films: [Seen("", len(film.content)) for film in films]
    draw = lambda path, result, decoder: f"<!doctype html><p>{result.clips}"
    service = Service(How(ClipPolicy(frames=1, hop=1.0), 1, 1), look, draw, limits=limits, decoders=1, window=0, most=1)
    app = application(service, root and root.resolve(), names=names("127.0.0.1", ()), token=None)
    protocol = functools.partial(Connection, limits=limits, metrics=service.metrics, headers=headers)
    with hosting(app, http=protocol) as port:
        yield port


def part(headers: bytes, content: bytes = b"x") -> bytes:
    return b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), headers, content)


def whole(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY.encode()


def posted(content: bytes, kind: bytes | None = FORM, *headers: bytes) -> bytes:
    """A POST to /classify."""
    lines = [b"POST /classify HTTP/1.1", b"Host: localhost", b"Connection: close", b"Content-Length: %d" % len(content)]
    lines += [] if kind is None else [b"Content-Type: " + kind]
    return b"\r\n".join([*lines, *headers, b"", content])


def asked(method: bytes, target: bytes, *headers: bytes) -> bytes:
    """A request without a body."""
    return b"\r\n".join(
        [b"%s %s HTTP/1.1" % (method, target), b"Host: localhost", b"Connection: close", *headers, b"", b""]
    )


def forms() -> Iterator[tuple[str, bytes, int]]:
    """Odd forms: what is odd, the request, and the status of its answer where there is no file x, nor one of 1 byte."""
    fields = {
        "a path": whole(part(PATH)),
        "odd bytes": whole(part(b'Content-Disposition: form-data; name="\xff.\xfe"')),
    }
    fields["odd names"] = whole(part(VIDEO.replace(b"film", b"\xff..\xfe" * 9)), part(PATH, b"\xff.." + b"." * 80))
    for charset in CHARSETS:
        kind = b"multipart/form-data; charset=%s; boundary=%s" % (charset.encode("latin-1"), BOUNDARY.encode())
        yield from ((f"charset {charset[:20]}, {name}", posted(content, kind), 415) for name, content in fields.items())
        said = charset[:60].encode("latin-1")
        yield (
            f"field _charset_={said}",
            posted(whole(part(b'Content-Disposition: form-data; name="_charset_"', said), part(PATH))),
            404,
        )
        for header in (b"Content-Type: text/plain; charset=", b"Content-Transfer-Encoding: "):
            yield f"part of {header + said}", posted(whole(part(PATH + b"\r\n" + header + said, b"\xff..x"))), 404
    for charset in (b"utf-8", b"UTF-8", b"ISO-8859-1", b"us-ascii", b'"utf-8"'):
        kind = b"multipart/form-data; charset=%s; boundary=%s" % (charset, BOUNDARY.encode())
        yield f"charset {charset}", posted(fields["a path"], kind), 404
        yield f"charset {charset}, odd names", posted(fields["odd names"], kind), 400
    yield "urlencoded in idna", posted(b"path=..x..", b"application/x-www-form-urlencoded; charset=idna"), 415
    yield "no boundary", posted(fields["a path"], b"multipart/form-data"), 400
    yield "an empty boundary", posted(fields["a path"], b"multipart/form-data; boundary="), 400
    yield "a long boundary", posted(fields["a path"], b"multipart/form-data; boundary=" + b"b" * 50_000), 400
    yield "10,000 fields", posted(whole(part(PATH) * 10_000)), 400
    yield "5,000 files", posted(whole(part(VIDEO) * 5_000)), 400
    inner = b'--inner\r\nContent-Disposition: file; filename="a"\r\n\r\nx\r\n--inner--'
    yield (
        "parts in a part",
        posted(whole(part(VIDEO + b"\r\nContent-Type: multipart/mixed; boundary=inner", inner))),
        422,
    )
    yield "no content type", posted(fields["a path"], None), 400
    yield "JSON", posted(b'{"path": "x"}', b"application/json"), 400
    yield "deep JSON", posted(b"[" * 100_000, b"application/json"), 400
    for name, header in (("none", b"X: y"), ("empty", b"Content-Disposition:"), ("nameless", PATH[:30])):
        yield f"disposition: {name}", posted(whole(part(header))), 400
    yield "a NUL in a header", posted(whole(part(b"Content\0" + PATH))), 400
    yield "100 headers of a part", posted(whole(part(b"\r\n".join(b"X%d: y" % i for i in range(100))))), 400
    yield "a name of 100 kB", posted(whole(part(PATH[:-1] + b"n" * 100_000 + b'"'))), 400
    yield "a path of 1 MB", posted(whole(part(PATH, b"p" * 1_000_000))), 404
    yield "a path of 1.05 MB", posted(whole(part(PATH, b"p" * 1_050_000))), 400
    yield "a NUL in a path", posted(whole(part(PATH, b"a\0b"))), 404
    yield "cut short", posted(whole(part(VIDEO))[:-20]), 400
    yield "no form at all", posted(b"\xff\0 junk"), 400
    yield "said to be packed", posted(b"\x1f\x8b" + bytes(99), FORM, b"Content-Encoding: gzip"), 400
    for text, status in (
        (b"", 400),
        (b"path=%00", 404),
        (b"path=%ff%fe", 404),
        (b"=&=&=", 400),
        (b"%", 400),
        (b";=;", 400),
    ):
        yield f"urlencoded {text}", posted(text, b"application/x-www-form-urlencoded"), status
    yield "urlencoded, 10,000 fields", posted(b"a=b&" * 10_000, b"application/x-www-form-urlencoded"), 400


def requests() -> Iterator[tuple[str, bytes, int]]:
    """Odd requests of other kinds: what is odd, the request, and the status of its answer."""
    for method in (b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"TRACE", b"PATCH", b"CONNECT", b"GET", b"x" * 100):
        yield f"{method} /classify", asked(method, b"/classify"), 405
        yield f"{method} *", asked(method, b"*"), 404
    for target in (
        b"/%00",
        b"/%c3%a9%ff",
        b"//classify",
        b"/classify%2f..%2f",
        b"/%",
        b"http://evil.example/",
        b"/" + b"x" * 60_000,
    ):
        yield f"{target[:20]}", asked(b"GET", target), 404
    for target in (b"/\xc3\xa9", b"/\0", b"/ x", b"/?%00=\x7f", b"/" + b"x" * 200_000):
        yield f"{target[:20]}", asked(b"GET", target), 400
    yield "a method that is not ASCII", asked("GÉT".encode(), b"/"), 400
    yield "a query of 60 kB", asked(b"GET", b"/classify?" + b"q" * 60_000), 405
    begin = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + FORM
    for length, status in (
        (b"-1", 400),
        (b"9" * 5000, 400),
        (b"9" * 20, 413),
        (b"3\r\nContent-Length: 4", 400),
        (b"1e3", 400),
    ):
        yield f"of length {length[:30]}", b"%s\r\nContent-Length: %s\r\n\r\nabcd" % (begin, length), status
    yield "packed on its way", begin + b"\r\nTransfer-Encoding: gzip\r\n\r\n", 400
    for method in (b"POST", b"PUT"):
        chunked = begin.replace(b"POST", method) + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n--abc\r\nzz\r\n"
        yield f"{method}, a chunk without a size", chunked, 400
    yield (
        "a chunk in HTTP 1.0",
        b"POST /classify HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    )
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300) + b"\r\n\r\n", 400
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421


def answer(port: int, request: bytes) -> tuple[int, bytes]:
    """(status, content) of the answer to a request of these bytes, (0, b"") if there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):  # it may be answered, and no longer read, before it is all sent
            connection.sendall(request)
        found = http.client.HTTPResponse(connection, method=request.partition(b" ")[0].decode("latin-1"))
        try:
            found.begin()
            return found.status, found.read()
        except (http.client.BadStatusLine, ConnectionError):
            return 0, b""


def line_of(content: bytes) -> str:
    """The reason that a refusal tells. Raises AssertionError if it is no single line of JSON."""
    told = json.loads(content)
    assert told.keys() == {"error", "status"}
    assert content.isascii() or content.decode().isprintable()
    assert 0 < len(told["error"]) < 1000
    assert told["error"].isprintable()
    return told["error"]


def judged(port: int, request: bytes) -> int:
    """The status of an answer. Raises RefusedError of a refusal, AssertionError of one that no request may get."""
    status, content = answer(port, request)
    assert status < 500, (status, content)
    if status == 0 or status >= 400:
        raise RefusedError(f"{status} {line_of(content) if content else ''}")
    return status


class Traces(logging.Handler):
    """Keeps what was logged with a trace."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found += [record.getMessage()] if record.exc_info else []


@contextlib.contextmanager
def traced() -> Iterator[Callable[[], None]]:
    """A call that raises AssertionError if a trace was logged since the last one."""
    traces = Traces()

    def check() -> None:
        found, traces.found = traces.found, []
        assert not found, found

    logging.getLogger().addHandler(traces)
    try:
        yield check
    finally:
        logging.getLogger().removeHandler(traces)


Cases = Iterator[tuple[str, Callable[[], object]]]


def served(folder: Path, limits: Limits, headers: float, made: Iterator[tuple[str, bytes]]) -> Cases:
    """A case of each request that is made."""
    with traced() as check, counting(folder, limits, headers=headers) as port:
        for name, request in made:

            def read(request: bytes = request) -> int:
                try:
                    return judged(port, request)
                finally:
                    check()

            yield name, read


def request_cases(folder: Path, dice: random.Random) -> Cases:
    """Odd requests with further bytes that are wrong."""
    odd = [(name, request) for name, request, _ in (*forms(), *requests()) if len(request) < MUTATED]
    others = [request for _, request in odd]

    def made() -> Iterator[tuple[str, bytes]]:
        while True:
            name, request = dice.choice(odd)
            yield name, mutated.mutated(request, others, dice)

    return served(folder, dataclasses.replace(LIMITS, patience=HASTE), HASTE, made())


def upload_cases(folder: Path, dice: random.Random) -> Cases:
    """Videos with bytes that are wrong, files that claim what is not, and what is none."""
    originals, harmful = mutated.originals(folder), [*uploads.harmful(folder).items()]
    claims = [(claim, mutated.claiming(originals, claim)) for claim in mutated.CLAIMS]

    def made() -> Iterator[tuple[str, bytes]]:
        while True:
            of, content = dice.choice((*harmful, *claims, *[("a film", film) for film in originals] * 8))
            if (of, content) not in harmful:
                content = mutated.mutated(content, originals, dice)
            yield of, posted(form(video=("x", content)))

    return served(folder, LIMITS, 10.0, made())


KINDS = (
    Kind("requests", request_cases, (RefusedError,), 1000),
    Kind("uploads", upload_cases, (RefusedError,), 300),
)
