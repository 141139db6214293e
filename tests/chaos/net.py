"""Loopback: small servers for the harness, ports, and the ways to end a connection."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

LOOPBACK: Final = "127.0.0.1"
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 s: closing sends RST instead of FIN."""


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection by RST, at once."""
    connection: socket.socket = transport.get_extra_info("socket")
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


@asynccontextmanager
async def serving(app: web.Application, *, port: int = 0) -> AsyncIterator[int]:
    """Serve an application while the block runs, with handlers cancelled when their client leaves; yields the port."""
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
