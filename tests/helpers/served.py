"""A service in a process of its own on loopback, and a client that says nothing but what a test asks it to."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from tests.helpers import xla

ROOT = Path(__file__).parents[2]
BOUNDARY = "----a-boundary-that-no-video-holds"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


class Client:
    """Talks to a service at a port of this machine, of a process; `headers` go with every request."""

    def __init__(self, port: int, process: int | None = None) -> None:
        self.port, self.process = port, process
        self.headers: dict[str, str] = {}

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """(status, content) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, self.headers | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def classify(self, *, accept: str = "*/*", **fields: str | tuple[str, bytes]) -> tuple[int, Any]:
        """(status, JSON) of a form; a field is a text, or the name and the content of a file."""
        status, content = self.ask("POST", "/classify", form(**fields), HEADERS | {"Accept": accept})
        return status, json.loads(content) if accept == "*/*" else content.decode()

    def metric(self, name: str) -> float:
        """The value of a metric, summed over its labels."""
        text = self.ask("GET", "/metrics")[1].decode()
        return sum(float(x) for x in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))


def form(**fields: str | tuple[str, bytes]) -> bytes:
    """multipart/form-data with BOUNDARY."""
    parts = []
    for name, value in fields.items():
        file, content = value if isinstance(value, tuple) else (None, value.encode())
        said = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
        parts.append(f"--{BOUNDARY}\r\n{said}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@contextlib.contextmanager
def serving(*flags: object) -> Iterator[Client]:
    """`python -m l2l.serve` with these flags at any free port, until the block ends."""
    command = [sys.executable, "-m", "l2l.serve", "--port=0", *map(str, flags)]
    environment = os.environ | {"XLA_FLAGS": xla.flags(1)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), f"the service did not start: {line!r}"
        yield Client(int(line.rsplit(":", 1)[1]), process.pid)
        assert process.poll() is None, "the service has ended"
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextlib.contextmanager
def hosting(app: Any, host: str = "127.0.0.1", **config: Any) -> Iterator[int]:
    """An application in a thread of this process, as `l2l.serve` has it; yields its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", log_config=None, ws="none", **config))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the application did not start"
            time.sleep(0.01)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(60)


def exchange(port: int, *lines: str, host: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    """(status, headers with names in lower case, content) of a request of these lines, to the byte."""
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
        return answer_of(connection, lines[0].split()[0])


def answer_of(connection: socket.socket, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """What comes through a connection, as `exchange` tells it."""
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    headers: dict[str, str] = {}
    for name, value in answer.getheaders():
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    return answer.status, headers, answer.read()
