"""Connections of the service: how many there may be, and for how long each may be waited for.

uvicorn ends a connection that says nothing after an answer, but not one that never asks or never reads what it was
told: a few hundred of those, and nobody else is heard. Here, when all places are taken, whoever comes gets the place of
the one that has been waited for longest.
"""

import asyncio
import time
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from l2l.serve.guard import AGAIN, CLOSE, error
from l2l.serve.metrics import Metrics
from l2l.serve.service import Limits

HEADERS = 10.0  # seconds for the headers of a request, from the connection's begin or the end of the last answer


class Connection(H11Protocol):
    """A connection that is ended if its client keeps the service waiting.

    Args:
      limits: how many there may be; `patience` is for reading an answer.
      metrics: counts them.
      headers: see HEADERS.
    """

    def __init__(self, *args: Any, limits: Limits, metrics: Metrics, headers: float = HEADERS, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._limits, self._metrics, self._header_time = limits, metrics, headers
        self._timer: asyncio.TimerHandle | None = None  # set while the client is waited for
        self.since = 0.0  # when it was set

    def connection_made(  # type: ignore[override]  # a server's is a stream, as the class above has it too
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._metrics.connected(1)
        self._watch()
        if len(self.connections) > self._limits.connections:
            known: set[Any] = self.connections  # all of this class
            idle = [other for other in known if other.idle and other is not self]
            if idle:
                min(idle, key=lambda other: other.since).end("crowded", "others needed its place", 408)
            else:
                self.end("full", f"{self._limits.connections} connections are busy: come again", 503)

    def connection_lost(self, exc: Exception | None) -> None:
        self._metrics.connected(-1)
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch()

    @property
    def idle(self) -> bool:
        """Whether a request is waited for, and all that there was to say was sent."""
        return self._between and not self.transport.get_write_buffer_size()

    @property
    def _between(self) -> bool:
        """Whether no request is being answered. What still comes of one that was answered is read by nobody."""
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        """Sets a timer where it is the client's turn, to ask or to read; more bytes do not set it anew."""
        if not self._between and not self.flow.write_paused:
            self._unwatch()
        elif self._timer is None:
            self.since = time.monotonic()  # the time of a loop stands still while it accepts many
            unread = self.transport.get_write_buffer_size()
            self._timer = self.loop.call_later(self._limits.patience if unread else self._header_time, self._late)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self.transport.get_write_buffer_size():
            self.end("slow", f"it did not read its answer within {self._limits.patience:g} s", 408)
        else:
            self.end("slow", f"no request came within {self._header_time:g} s", 408)

    def end(self, reason: str, why: str, status: int) -> None:
        """Ends the connection, for a reason of the metrics, and tells a client that is still to hear something why."""
        self.logger.warning("closed a connection of %s: %s", self.client[0] if self.client else "?", why)
        self._metrics.ended(reason)
        self._unwatch()
        self.connections.discard(self)  # its place is free at once
        if self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        if status == 503 or self.conn.trailing_data[0]:  # a client that is silent has asked nothing
            self._tell(status, why)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Ends a connection that says what is not HTTP, with an answer unless one is under way or was given."""
        if self.cycle is not None:  # what the application has to say is not for the wire any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._tell(400, msg)
        self.transport.close()

    def _tell(self, status: int, why: str) -> None:
        """Writes an answer that no application gives."""
        told = error(status, "busy" if status == 503 else "refused", why, CLOSE | (AGAIN if status == 503 else {}))
        lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
        lines += [b"%s: %s" % header for header in told.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", told.body]))
