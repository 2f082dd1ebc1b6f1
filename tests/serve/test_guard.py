"""Who is answered: hosts, pages of other sites and tokens, as bytes over sockets."""

import base64
import contextlib
import json
import re
import socket
import sys

import pytest

from l2l.serve import __main__ as serve
from l2l.serve.app import application
from l2l.serve.guard import names, token_in
from l2l.serve.service import Limits, Service
from tests.helpers.served import exchange, hosting

LIMITS = Limits(upload=1 << 20, patience=20, memory=1 << 30, waiting=2, longest=60, connections=8)
TOKEN = b"a:secret"


@contextlib.contextmanager
def service(token=None, *, listens="127.0.0.1", allowed=("films.example", "2001:db8:0::5")):
    """The port of the whole application; its model is never asked."""
    idle = Service(None, None, None, limits=LIMITS, decoders=1, window=0.01, most=1)
    with hosting(application(idle, None, names=names(listens, allowed), token=token), listens) as port:
        yield port


@pytest.fixture(scope="module")
def port():
    with service() as port:
        yield port


@pytest.fixture(scope="module")
def closed_port():
    with service(TOKEN) as port:
        yield port


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("127.0.0.1", 200),
        ("localhost:{port}", 200),
        ("LocalHost", 200),
        ("localhost.:{port}", 200),
        ("localhost:", 200),
        ("localhost:9", 200),  # a tunnel has a port of its own
        ("[::1]:{port}", 200),
        ("[0:0:0:0:0:0:0:1]", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("films.example", 200),
        ("FILMS.example.:443", 200),
        ("[2001:DB8::5]", 200),
        ("evil.example", 421),
        ("evil.example:{port}", 421),
        ("localhost.evil.example", 421),
        ("films.example.evil.example", 421),
        ("evilfilms.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("films.example..", 421),
        ("192.0.2.7", 421),
        ("[2001:db8::6]", 421),
        ("::1", 421),
        ("[::1", 421),
        ("[::1%lo]", 421),
        ("[127.0.0.1]", 421),
        ("0.0.0.0", 421),
        ("2130706433", 421),
        ("user@localhost", 421),
        ("user:word@localhost", 421),
        ("localhost@evil.example", 421),
        ("localhost:80:80", 421),
        ("localhost:port", 421),
        ("localhost:-1", 421),
        ("localhost/", 421),
        ("localhost evil.example", 421),
        ("localhost, evil.example", 421),
        ("localhost\u00b9", 421),
        ("", 421),
    ],
)
def test_hosts(port, host, status):
    found, headers, content = exchange(port, "GET / HTTP/1.1", f"Host: {host.format(port=port)}")
    assert found == status
    if status == 421:
        assert headers["connection"] == "close"
        assert "--allowed_host=NAME" in json.loads(content)["error"]
    else:
        assert b'enctype="multipart/form-data"' in content


@pytest.mark.parametrize("path", ["/health", "/metrics", "/classify", "/openapi.json", "/nothing"])
def test_hosts_are_looked_at_whatever_is_asked(port, path):
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        assert exchange(port, f"{method} {path} HTTP/1.1", "Host: evil.example")[0] == 421


def test_a_request_without_a_host_or_with_two(port):
    assert exchange(port, "GET / HTTP/1.1")[0] == 400
    assert exchange(port, "GET / HTTP/1.0")[0] == 421
    for first, second in (("localhost", "evil.example"), ("evil.example", "localhost"), ("localhost", "localhost")):
        assert exchange(port, "GET / HTTP/1.1", f"Host: {first}", f"Host: {second}")[0] == 400
    # the whole address in the request line is no path of ours, whatever the header says
    assert exchange(port, "GET http://evil.example/ HTTP/1.1", "Host: localhost")[0] == 404


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is not an address of this machine")
def test_the_address_at_which_a_connection_arrives_is_a_name():
    """It listens everywhere: each address of this machine is told by the connection, no other is."""
    with service(listens="0.0.0.0", allowed=()) as port:
        for to, host, status in (
            ("127.0.0.2", "127.0.0.2", 200),
            ("127.0.0.2", "127.0.0.1", 200),
            ("127.0.0.1", "127.0.0.2", 421),
            ("127.0.0.1", "0.0.0.0", 200),  # what it prints
            ("127.0.0.1", "films.example", 421),
        ):
            assert exchange(port, "GET / HTTP/1.1", f"Host: {host}", host=to)[0] == status, (to, host)


def test_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    with service(listens="::1", allowed=()) as port:
        for host, status in ((f"[::1]:{port}", 200), ("localhost", 200), ("[::2]", 421)):
            assert exchange(port, "GET / HTTP/1.1", f"Host: {host}", host="::1")[0] == status


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("localhost:8000", (), 404),  # curl and other clients
        ("localhost:8000", ("Origin: http://localhost:8000",), 404),
        ("localhost:8000", ("Origin: HTTP://LOCALHOST:8000", "Sec-Fetch-Site: same-origin"), 404),
        ("localhost", ("Origin: http://localhost:80",), 404),
        ("[::1]:8000", ("Origin: http://[0::1]:8000",), 404),
        ("films.example", ("Origin: https://films.example",), 404),  # a proxy before it encrypts
        ("films.example", ("Origin: https://films.example:443",), 404),
        ("films.example", ("Origin: https://films.example:444",), 403),
        ("localhost:8000", ("Sec-Fetch-Site: none",), 404),
        ("localhost:8000", ("Origin: http://evil.example",), 403),
        ("localhost:8000", ("Origin: http://localhost:3000",), 403),
        ("localhost:8000", ("Origin: http://127.0.0.1:8000",), 403),
        ("localhost:8000", ("Origin: http://localhost:8000.evil.example",), 403),
        ("localhost:8000", ("Origin: http://localhost:8000@evil.example",), 403),
        ("localhost:8000", ("Origin: null",), 403),
        ("localhost:8000", ("Origin:",), 403),
        ("localhost:8000", ("Origin: file://localhost:8000",), 403),
        ("localhost:8000", ("Origin: http://localhost:8000", "Origin: http://evil.example"), 403),
        ("localhost:8000", ("Origin: http://evil.example", "Sec-Fetch-Site: same-origin"), 403),
        ("localhost:8000", ("Origin: http://localhost:8000", "Sec-Fetch-Site: cross-site"), 403),
        ("localhost:8000", ("Sec-Fetch-Site: cross-site",), 403),
        ("localhost:8000", ("Sec-Fetch-Site: same-site",), 403),
        ("localhost:8000", ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"), 403),
        ("localhost:8000", ("Sec-Fetch-Site: ?",), 403),
    ],
)
def test_pages_of_other_sites(port, host, headers, status):
    """Both of a request that only reads and of one that has something done."""
    for method, path, passed in (("GET", "/nothing", 404), ("POST", "/classify", 400)):
        found, _, content = exchange(port, f"{method} {path} HTTP/1.1", f"Host: {host}", *headers)
        assert found == (passed if status == 404 else status), method
        assert status == 404 or "another site" in json.loads(content)["error"]


@pytest.mark.parametrize(
    ("method", "mode", "dest", "status"),
    [
        ("GET", "navigate", "document", 200),
        ("GET", "navigate", "iframe", 403),
        ("GET", "navigate", "embed", 403),
        ("GET", "no-cors", "document", 403),
        ("GET", "no-cors", "image", 403),
        ("GET", "cors", "empty", 403),
        ("POST", "navigate", "document", 403),
    ],
)
def test_links_from_elsewhere_may_be_followed(port, method, mode, dest, status):
    for site in ("cross-site", "same-site"):
        lines = (f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {dest}")
        assert exchange(port, f"{method} / HTTP/1.1", "Host: localhost", *lines)[0] == status


def basic(text):
    return "Authorization: Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Authorization: Bearer a:secret",), 200),
        (("AUTHORIZATION: bEARER   a:secret",), 200),
        ((basic("me:a:secret"),), 200),
        ((basic(":a:secret"),), 200),
        ((), 401),
        (("Authorization: Bearer",), 401),
        (("Authorization: Bearer a:secre",), 401),
        (("Authorization: Bearer a:secrets",), 401),
        (("Authorization: Bearer A:secret",), 401),
        (("Authorization: Bearer b:secret",), 401),
        (("Authorization: a:secret",), 401),
        (("Authorization: Digest a:secret",), 401),
        ((basic("a:secret"),), 401),
        ((basic("me"),), 401),
        (("Authorization: Basic a:secret",), 401),
        (("Authorization: Basic \xff",), 401),
        (("Authorization: Bearer a:secret", "Authorization: Bearer other"), 401),
        (("Cookie: token=a:secret",), 401),
    ],
)
def test_tokens(closed_port, headers, status):
    for path, passed in (("/", 200), ("/metrics", 200), ("/nothing", 404)):
        found, answered, _ = exchange(closed_port, f"GET {path} HTTP/1.1", "Host: localhost", *headers)
        assert found == (passed if status == 200 else 401)
        assert found != 401 or answered["www-authenticate"] == 'Bearer realm="l2l", Basic realm="l2l"'
    assert exchange(closed_port, "POST /classify HTTP/1.1", "Host: localhost", *headers)[0] == (
        400 if status == 200 else 401
    )


def test_health_needs_no_token_and_the_token_opens_no_other_door(closed_port):
    assert exchange(closed_port, "GET /health HTTP/1.1", "Host: localhost")[0] == 200
    assert exchange(closed_port, "GET /health/ HTTP/1.1", "Host: localhost")[0] == 401
    token = "Authorization: Bearer a:secret"
    assert exchange(closed_port, "GET / HTTP/1.1", "Host: evil.example", token)[0] == 421
    assert exchange(closed_port, "GET / HTTP/1.1", "Host: localhost", token, "Origin: http://evil.example")[0] == 403


def test_who_is_turned_away_is_counted():
    """By status, beside what was answered by the endpoints."""
    good, large = ("Host: localhost", "Authorization: Bearer a:secret"), "Content-Length: 99999999"
    lines = [("Host: evil.example",)] * 3 + [(*good, "Origin: http://evil.example")] * 2 + [("Host: localhost",)]
    with service(TOKEN) as port:
        for headers in [*lines, (*good, large)]:
            exchange(port, "POST /classify HTTP/1.1", *headers)
        assert exchange(port, "POST /classify HTTP/1.1", *good)[0] == 400
        text = exchange(port, "GET /metrics HTTP/1.1", *good)[2].decode()
    counted = lambda name: dict(re.findall(rf'^l2l_{name}_total{{status="(\d+)"}} (\d+)$', text, re.MULTILINE))
    assert counted("turned_away") == {"401": "1", "403": "2", "413": "1", "421": "3"}
    assert counted("requests") == {"400": "1"}


@pytest.mark.parametrize("content", [b"", b"\n", b"  \nsecret", b"two words", b"\xef\xbb\xbfsecret", b"caf\xc3\xa9"])
def test_a_file_without_a_token(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ValueError, match="its first line must be a token of visible ASCII characters"):
        token_in(tmp_path / "token")


def test_a_token_is_the_first_line(tmp_path):
    for content in (b"s3cret!", b"s3cret!\n", b" s3cret! \r\nremark"):
        (tmp_path / "token").write_bytes(content)
        assert token_in(tmp_path / "token") == b"s3cret!"


@pytest.mark.parametrize("name", ["http://films.example", "films.example:80", "*", "me@films.example", "", "::1::"])
def test_names_that_are_none(name):
    with pytest.raises(ValueError, match="without scheme and port"):
        names("127.0.0.1", [name])


def test_the_command_says_what_cannot_be_used(tmp_path, capsys):
    assert serve.main(["--run=x", "--allowed_host=a/b"]) == 1
    assert capsys.readouterr().err.startswith("error: --allowed_host=a/b is no name")
    assert serve.main(["--run=x", f"--token_file={tmp_path / 'no'}"]) == 1
    assert "No such file or directory" in capsys.readouterr().err
