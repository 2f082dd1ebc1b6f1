"""What stands before the endpoints of the service."""

from typing import Any

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSE = {"Connection": "close"}  # what is left of the request is not read


def error(code: int, status: str, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": reason, "status": status}, code, headers)


class SizeLimit:
    """Ends requests that are too large, as soon as they say or show it."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        too_large = HTTPException(413, f"a request may have {self.most:,} bytes")
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if int(declared) > self.most:  # the server lets only digits through
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
