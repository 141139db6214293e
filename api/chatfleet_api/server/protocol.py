"""uvicorn's HTTP/1.1 protocol with timeouts for slow clients, and the ASGI extensions of `web/extensions.py`.

No request of a quick client is lost: the end of a response and that of its connection arrive together.
"""

import asyncio
import socket
import struct
from functools import partial
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chatfleet_api.web.extensions import ABORT, LAST, WRITE

HEADERS_SECONDS: Final = 10.0
"""Time in which a client must have sent the headers of a request, from the connection or the request's first byte."""

_CORK: Final = getattr(socket, "TCP_CORK", socket.TCP_NODELAY)
"""Linux only; elsewhere nothing is held back."""
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """Closes connections whose headers are late, and offers the extensions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # uvicorn's
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._begun = False

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
        super().data_received(data)
        # Data has ended uvicorn's own wait between two requests. There is no cycle before the first.
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # so uvicorn declares it
            self._expect_headers()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True

    @override
    def on_headers_complete(self) -> None:
        self._headers_came()
        super().on_headers_complete()
        self.scope["extensions"] = {  # the application's task begins after this
            ABORT: {"call": self._drop},
            LAST: {"call": partial(self._last, self.cycle)},
            WRITE: {"call": partial(self._write, self.cycle)},
        }

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
