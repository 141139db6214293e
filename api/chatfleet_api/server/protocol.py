"""uvicorn's HTTP/1.1 protocol with timeouts for slow clients, and the ASGI extensions of `web/extensions.py`.

No request of a quick client is lost: the end of a response and that of its connection arrive together.
"""

import asyncio
import socket
import struct
from functools import partial
from typing import Any, Final

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chatfleet_api.web.extensions import ABORT, LAST, WRITE

HEADERS_SECONDS: Final = 10.0
"""Time in which a client must have sent the headers of a request, from the connection or the request's first byte."""

HEAD_BYTES: Final = 64 * 1024
"""Bytes of a request's target and headers; more would be held in memory for a client that never ends them."""

_CORK: Final = getattr(socket, "TCP_CORK", socket.TCP_NODELAY)
"""Linux only; elsewhere nothing is held back."""
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_OF_UPGRADE: Final = frozenset((b"connection", b"upgrade", b"http2-settings"))


class Protocol(HttpToolsProtocol):
    """Closes connections whose headers are late, and offers the extensions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # uvicorn's
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._begun = False
        self._head_bytes = 0
        self._upgrade = False

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
        begun = self._begun
        self._feed(data)
        self._head_bytes = self._head_bytes + len(data) if begun and self._begun else 0
        if self._head_bytes > HEAD_BYTES:
            self._refuse_head()
        # Data has ended uvicorn's own wait between two requests. There is no cycle before the first.
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # so uvicorn declares it
            self._expect_headers()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._begun:  # else it is a trailer, which nobody reads
            super().on_header(name, value)

    @override
    def on_message_complete(self) -> None:
        if not self._upgrade:
            super().on_message_complete()

    @override
    def on_headers_complete(self) -> None:
        self._headers_came()
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrade = True  # the parser skips the body: `_feed` gives the request to another
            return
        super().on_headers_complete()
        self.scope["extensions"] = {  # the application's task begins after this
            ABORT: {"call": self._drop},
            LAST: {"call": partial(self._last, self.cycle)},
            WRITE: {"call": partial(self._write, self.cycle)},
        }

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

    def _refuse_head(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.transport.close()

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

    def _write(self, cycle: RequestResponseCycle, body: bytes) -> bool:
        """Write a piece of a chunked body, not its last, unless the client is slow, gone, or without a head."""
        if self.flow.write_paused or cycle.disconnected or cycle.response_complete or not cycle.chunked_encoding:
            return False
        if body:  # an empty piece would be the last
            self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def _last(self, cycle: RequestResponseCycle, close: bool) -> None:  # noqa: FBT001  # an extension's
        """Hold back the last piece, so that it is sent together with the end of the connection that follows at once.

        A client whose response began before this pod was about to end does not expect the connection to close. If it
        saw one after the other, it would send its next request in between, and lose it.
        """
        cycle.keep_alive = cycle.keep_alive and not close
        if not cycle.keep_alive and not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _CORK, 1)

    def _drop(self) -> None:
        """Reset the connection: after a close, the kernel would keep megabytes for a client that reads none."""
        reset = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        self.transport.abort()
