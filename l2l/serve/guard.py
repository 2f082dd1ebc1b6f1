"""What stands before the endpoints of the service: who is answered, and how much may come.

A browser lends its place to any page: one of another site may send requests to this machine and, once its own name has
been pointed here (DNS rebinding), read the answers. So a request must call the service by a name that is its own, and
must not come from a page of another origin. Clients that are no browsers send neither Origin nor Sec-Fetch-Site.
"""

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from l2l.serve.metrics import Metrics

HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{0,5}))?", re.IGNORECASE | re.ASCII)
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
PORTS = {"http": 80, "https": 443}
CLOSE = {"Connection": "close"}  # what is left of the request is not read
AGAIN = {"Retry-After": "5"}


class Place(NamedTuple):
    """What a Host header says; addresses in their shortest form, port None if it names none."""

    host: str
    port: int | None


def place(said: str) -> Place | None:
    """The place of `NAME`, `NAME:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`; None if it is nothing of these."""
    match = HOST.fullmatch(said)
    if not match:
        return None
    literal, name, port = match.groups()
    try:
        host = address(literal) if literal else name.lower().removesuffix(".")
    except ValueError:
        return None
    return Place(host, int(port) if port else None)


def address(literal: str) -> str:
    """An IPv6 address in its shortest form, which is that of IPv4 if it holds one. Raises ValueError if it is none."""
    found = ipaddress.IPv6Address(literal)
    return str(found.ipv4_mapped or found)


def names(listens: str, others: Iterable[str]) -> frozenset[str]:
    """The hosts that the service may be called by.

    Args:
      listens: name or address that it listens at.
      others: further names and addresses.

    Raises:
      ValueError: one of them is neither.
    """
    result = {*THIS_MACHINE}
    for flag, name in (("host", listens), *(("allowed_host", other) for other in others)):
        found = place(f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name)
        if not found or found.port is not None:
            raise ValueError(f"--{flag}={name} is no name: give a name or an address, without scheme and port")
        result.add(found.host)
    return frozenset(result)


def token_in(path: Path) -> bytes:
    """The first line of a file. Raises ValueError if that is no token."""
    with path.open("rb") as file:
        token = file.readline(4096).strip()
    if not re.fullmatch(rb"[!-~]+", token):
        raise ValueError(f"--token_file={path}: its first line must be a token of visible ASCII characters")
    return token


class Guard:
    """Refuses requests by a name that is not the service's, from pages of other sites, and without the token.

    Args:
      names: hosts that the service may be called by, beside the address at which a connection arrives.
      token: what an Authorization header must hold (Bearer, or as the password of Basic); None: it needs none.
      metrics: counts them.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str], token: bytes | None, metrics: Metrics) -> None:
        self.app, self.names, self.token, self.metrics = app, names, token, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if refusal := self._refusal(scope):
            self.metrics.turned_away(refusal.status_code)
        return await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        said = ", ".join(_all(scope, b"host"))
        host = place(said)
        if not host or host.host not in self.names | _arrived_at(scope):
            reason = f"{said[:100]!r} is no name of this service: start it with --allowed_host=NAME to call it so"
            return error(421, "refused", reason, CLOSE)
        if not _of_its_own(scope, host):
            reason = "a page of another site asked; if a proxy stands between, let it pass the Host header on"
            return error(403, "refused", reason, CLOSE)
        if self.token and scope["path"] != "/health" and not _knows(scope, self.token):
            asks = {"WWW-Authenticate": 'Bearer realm="l2l", Basic realm="l2l"'}
            reason = "send the service's token: `Authorization: Bearer TOKEN`, or as the password of any user"
            return error(401, "refused", reason, CLOSE | asks)
        return None


def _all(scope: Scope, name: bytes) -> list[str]:
    """The values of all headers of a name (lower case)."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _arrived_at(scope: Scope) -> set[str]:
    """The address of this machine to which a request was sent: no name, so nobody can have pointed it here."""
    here = (scope.get("server") or [""])[0]
    return {address(here) if ":" in here else here}


def _of_its_own(scope: Scope, host: Place) -> bool:
    """Whether a request is of no page, of the service's own, or a link to it that somebody followed."""
    if not all(_same(origin, host) for origin in _all(scope, b"origin")):
        return False
    if set(_all(scope, b"sec-fetch-site")) <= {"same-origin", "none"}:
        return True
    followed = (_all(scope, b"sec-fetch-mode"), _all(scope, b"sec-fetch-dest")) == (["navigate"], ["document"])
    return followed and scope["method"] in ("GET", "HEAD")


def _same(origin: str, host: Place) -> bool:
    """Whether an Origin is the place that the request was sent to, ports that go without saying told."""
    scheme, _, rest = origin.partition("://")
    usual, found = PORTS.get(scheme.lower()), place(rest)
    if usual is None or found is None:
        return False
    return (found.host, found.port or usual) == (host.host, host.port or usual)


def _knows(scope: Scope, token: bytes) -> bool:
    """Whether a request holds the token."""
    said = [value for key, value in scope["headers"] if key == b"authorization"]
    if len(said) != 1:
        return False
    scheme, _, given = said[0].partition(b" ")
    if scheme.lower() == b"basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != b"bearer":
        return False
    return hmac.compare_digest(given.strip(), token)


def error(code: int, status: str, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": reason, "status": status}, code, headers)


class SizeLimit:
    """Ends requests that are too large, as soon as they say or show it; `metrics` counts those that say it."""

    def __init__(self, app: ASGIApp, most: int, metrics: Metrics) -> None:
        self.app, self.most, self.metrics = app, most, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        too_large = HTTPException(413, f"a request may have {self.most:,} bytes")
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if int(declared) > self.most:  # the server lets only digits through
            self.metrics.turned_away(413)
            return await error(413, "refused", too_large.detail, CLOSE)(scope, receive, send)
        total = 0

        async def counted() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > self.most:
                raise too_large
            return message

        return await self.app(scope, counted, send)
