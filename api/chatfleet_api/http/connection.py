"""One client connection in HTTP/1.1: a request out, the head of the response in, its body as it comes.

A token is one call of `data_received` and one wake-up of its reader. The decision
docs/decisions/0403-own-connections-to-upstreams.md has what that saves, and which parts of HTTP are left out.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import httptools
from typing_extensions import override

MAX_HEAD_BYTES: Final = 65_536
"""Limit of a response's status line and headers."""
MAX_UNREAD_BYTES: Final = 262_144
"""Backpressure: the socket is not read while its reader has more than this to read."""


class Origin(NamedTuple):
    """The server of a connection."""

    scheme: str
    host: str
    port: int


class BrokenError(Exception):
    """The connection ended, or sent something that is not HTTP, before the response was complete."""


class Connection(asyncio.Protocol):
    """Carries one exchange after another: `send`, then `read` until it returns nothing, or `close` at any time."""

    def __init__(self, origin: Origin, *, opened_by: object = None) -> None:
        self.origin = origin
        self.opened_by = opened_by
        """What decided that the server may be reached."""
        self.status = 0
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._failure: str | None = None
        self._parts: list[bytes] = []
        self._unread = 0
        self._paused = False
        self._in_exchange = False
        self._begin()

    async def send(self, request: bytes) -> None:
        """Send a request, and return when the head of its response has come; raises `BrokenError`."""
        self._begin()
        self._in_exchange = True
        self._transport.write(request)
        while not self._headed:
            await self._wait()

    async def read(self) -> bytes:
        """Return the unread or the next part of the body; nothing at its end. Raises `BrokenError`."""
        while not self._parts and not self.whole:
            await self._wait()
        parts, self._parts, self._unread = self._parts, [], 0
        if self._paused and not self._failure:
            self._paused = False
            self._transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the response, by names in lower case; of equal ones the last."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def reusable(self) -> bool:
        """Whether another request can be sent: the response is complete and read, and the connection is open."""
        return self.whole and self._keeps and not self._parts and not self._failure and not self._transport.is_closing()

    @property
    def answered(self) -> bool:
        """Whether a byte of the response has come."""
        return self._headed or self._head_bytes > 0

    def forget_headers(self) -> None:
        """Free the headers once they were read: kilobytes, for as long as a stream is open."""
        self.raw_headers.clear()

    def close(self) -> None:
        """Close the connection now; a reader gets `BrokenError` after the bytes that came before."""
        self._fail("closed by this side")
        self._wake()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as asyncio has it
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"invalid HTTP: {error}")
        if not self._headed:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail("the head of the response is too long")
        self._wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._headed and self._ends_with_connection and exc is None and self._failure is None:
            self.whole = True
        self._failure = self._failure or f"the upstream closed the connection {exc or ''}".strip()
        self._wake()

    def on_message_begin(self) -> None:
        """Reject a response without a request."""
        if not self._in_exchange:
            raise BrokenError("a response without a request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.raw_headers.append((name, value))
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False

    def on_headers_complete(self) -> None:
        """End `send`, unless this is an interim response."""
        self.status = self._parser.get_status_code()
        self._headed = self.status >= HTTPStatus.OK

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._unread += len(body)
        if self._unread > MAX_UNREAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._headed:
            self.whole, self._in_exchange = True, False
            self._keeps = self._parser.should_keep_alive()
        else:
            self.raw_headers.clear()

    def _begin(self) -> None:
        """Reset the state of an exchange."""
        self.whole = False
        """Whether the end of the response has come."""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        """The headers of the response as they came."""
        self._head_bytes = 0
        self._headed = self._keeps = False
        self._ends_with_connection = True

    def _wait(self) -> asyncio.Future[None]:
        """Return what is done when bytes or the end of the connection have come; raise if the end has."""
        if self._failure is not None:
            raise BrokenError(self._failure)
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._transport.abort()
