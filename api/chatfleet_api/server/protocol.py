"""uvicorn's HTTP/1.1 protocol with timeouts for slow clients, limits for endless heads, and our ASGI extensions.

No request of a quick client is lost: the end of a response and that of its connection arrive together.
"""

import asyncio
from typing import Any, Final

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chatfleet_api.server.extensions import extensions
from chatfleet_api.server.http10 import unframed

HEADERS_SECONDS: Final = 10.0
"""Time in which a client must have sent the headers of a request, from the connection or the request's first byte."""

HEAD_BYTES: Final = 64 * 1024
"""Bytes of a request's target and headers, of its trailers, or of one chunk's extensions; more would be held in memory
for a client that never ends them."""

REFUSED_SECONDS: Final = 2.0
"""Time in which a client that is still sending can read why its head was refused. A connection that is closed over
unread bytes is reset, and the response is lost."""

_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_OF_UPGRADE: Final = frozenset((b"connection", b"upgrade", b"http2-settings"))


class Protocol(HttpToolsProtocol):
    """Closes connections whose headers are late or endless, and offers the extensions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # uvicorn's
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._begun = False
        self._progress = False
        self._head_bytes = 0
        self._upgrade = False
        self._websocket = False
        self._refused = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's narrowing
        super().connection_made(transport)
        self._expect_headers()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._progress = False
        self._feed(data)
        self._head_bytes = 0 if self._progress else self._head_bytes + len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        # Data has ended uvicorn's own wait between two requests. There is no cycle before the first.
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # so uvicorn declares it
            self._expect_headers()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = self._progress = True

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._begun:  # else it is a trailer, which nobody reads
            super().on_header(name, value)

    @override
    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._progress = True
        if not self._upgrade:
            super().on_message_complete()

    @override
    def on_headers_complete(self) -> None:
        self._headers_came()
        self._progress = True
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrade = True  # the parser skips the body: `_feed` gives the request to another
            return
        super().on_headers_complete()
        # The application's task begins after this.
        self.scope["extensions"] = extensions(self.cycle, websocket=self._websocket)
        self._websocket = False

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # uvicorn has types of its own
        if cycle.scope["http_version"] == "1.0":
            app = unframed(cycle, app)
        super()._start_asgi_task(cycle, app)

    def _feed(self, data: bytes) -> None:
        """Parse `data`. A request to upgrade is served on HTTP/1.1, body and all, as RFC 9110 7.8 permits."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._upgrade:
                self.send_400_response("CONNECT is not supported.")
                return
            self._upgrade = False
            head = self._head_without_upgrade()
            self._websocket = (b"upgrade", b"websocket") in ((name, value.lower()) for name, value in self.headers)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._feed(head + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] not in _OF_UPGRADE]
        if not self.parser.should_keep_alive() or any(
            name == b"connection" and b"close" in value.lower() for name, value in self.headers
        ):
            lines.append(b"connection: close")
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, response: bytes) -> None:
        """Close the connection, after `response` unless it would follow a part of another one."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn declares that there always is one
        if cycle is None or (cycle.response_complete if self._begun else not cycle.response_started):
            self.transport.write(response)
        self._refused = True
        self.loop.call_later(REFUSED_SECONDS, self.transport.close)

    def _expect_headers(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEADERS_SECONDS, self._too_slow)

    def _headers_came(self) -> None:
        self._begun = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        """Close the connection, after a 408 if a request has begun."""
        if self._begun:
            self.transport.write(_TOO_SLOW)
        self.transport.close()
