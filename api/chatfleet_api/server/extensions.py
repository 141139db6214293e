"""The ASGI extensions of `web/extensions.py`, for one request of uvicorn's protocol."""

import asyncio
import socket
import struct
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from chatfleet_api.web.extensions import ABORT, LAST, WEBSOCKET, WRITE

_CORK: Final = getattr(socket, "TCP_CORK", socket.TCP_NODELAY)
"""Linux only; elsewhere nothing is held back."""
_RESET: Final = struct.pack("ii", 1, 0)


def extensions(cycle: RequestResponseCycle, *, websocket: bool) -> dict[str, Any]:
    """Return the extensions of a request; `websocket`: whether its client requests an upgrade to WebSocket."""
    offered: dict[str, Any] = {
        ABORT: {"call": partial(_abort, cycle.transport)},
        LAST: {"call": partial(_last, cycle)},
        WRITE: {"call": partial(_write, cycle)},
    }
    if websocket:
        offered[WEBSOCKET] = {}
    return offered


def _write(cycle: RequestResponseCycle, body: bytes) -> bool:
    """Write a piece of a chunked body, not its last, unless the client is slow, gone, or without a head."""
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_complete or not cycle.chunked_encoding:
        return False
    if body:  # an empty piece would be the last
        cycle.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
    return True


def _last(cycle: RequestResponseCycle, close: bool) -> None:  # noqa: FBT001  # an extension's
    """Hold back the last piece, so that it is sent together with the end of the connection that follows at once.

    A client whose response began before this pod was about to end does not expect the connection to close. If it
    saw one after the other, it would send its next request in between, and lose it.
    """
    cycle.keep_alive = cycle.keep_alive and not close
    if not cycle.keep_alive and not cycle.transport.is_closing():
        cycle.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _CORK, 1)


def _abort(transport: asyncio.Transport) -> None:
    """Reset the connection: after a close, the kernel would keep megabytes for a client that reads none."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
