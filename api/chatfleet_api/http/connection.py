"""One connection to an upstream, in HTTP/1.1: a request out, the head of the answer in, its body as it comes.

A token is one call of `data_received` here and one wake-up of its reader. What that saves, and what of HTTP is left out
because no upstream needs it: docs/decisions/0403-own-connections-to-upstreams.md.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import httptools
from typing_extensions import override

MAX_HEAD_BYTES: Final = 65_536
"""Of an answer's status and headers."""
MAX_UNREAD_BYTES: Final = 262_144
"""What is kept for a reader that is busy; then the upstream has to wait."""


class Origin(NamedTuple):
    """Whom to connect to."""

    scheme: str
    host: str
    port: int


class BrokenError(Exception):
    """The connection ended, or brought what is no HTTP, before the answer was whole."""


class Connection(asyncio.Protocol):
    """Carries one exchange after another: `ask`, then `read` until nothing comes, or `close` at any time."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        """To whom."""
        self.status = 0
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._failure: str | None = None
        self._parts: list[bytes] = []
        self._unread = 0
        self._paused = False
        self._asked = False
        self._begin()

    async def ask(self, request: bytes) -> None:
        """Send a request, and return when `status` and `headers` are those of its answer; raises `BrokenError`."""
        self._begin()
        self._asked = True
        self._transport.write(request)
        while not self._headed:
            await self._news()

    async def read(self) -> bytes:
        """Return what has come of the body, or comes next; nothing at its end. Raises `BrokenError`."""
        while not self._parts and not self.whole:
            await self._news()
        parts, self._parts, self._unread = self._parts, [], 0
        if self._paused and not self._failure:
            self._paused = False
            self._transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer, by names in lower case; of equal ones the last."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def reusable(self) -> bool:
        """Whether another request can be sent: the answer is whole and read, and the connection is there."""
        return self.whole and self._keeps and not self._parts and not self._failure and not self._transport.is_closing()

    def forget_headers(self) -> None:
        """Let go of the headers, once they are known: for as long as an answer may take, they are kilobytes."""
        self.raw_headers.clear()

    def close(self) -> None:
        """End the connection now; who reads gets `BrokenError`, after what has come before."""
        self._fail("it was closed here")
        self._wake()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's own habit
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"no HTTP: {error}")
        if not self._headed:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail("the head of the answer is too long")
        self._wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._headed and self._ends_with_connection and exc is None and self._failure is None:
            self.whole = True
        self._failure = self._failure or f"the upstream closed the connection {exc or ''}".strip()
        self._wake()

    def on_message_begin(self) -> None:
        """Refuse, by raising, to hear what was not asked for."""
        if not self._asked:
            raise BrokenError("an answer without a question")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take note of a header."""
        self.raw_headers.append((name, value))
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False

    def on_headers_complete(self) -> None:
        """Let who asks go on, unless this is only a word in between."""
        self.status = self._parser.get_status_code()
        self._headed = self.status >= HTTPStatus.OK

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body until it is read."""
        self._parts.append(body)
        self._unread += len(body)
        if self._unread > MAX_UNREAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """End the answer."""
        if self._headed:
            self.whole, self._asked = True, False
            self._keeps = self._parser.should_keep_alive()
        else:
            self.raw_headers.clear()

    def _begin(self) -> None:
        """Forget the exchange before."""
        self.whole = False
        """Whether the end of the answer has come."""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        """The headers of the answer as they came."""
        self._head_bytes = 0
        self._headed = self._keeps = False
        self._ends_with_connection = True

    def _news(self) -> asyncio.Future[None]:
        """Return what is done when something has come; raise what there is to raise."""
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
