"""Loopback: small servers for the harness, ports, and the ways to end a connection."""

import asyncio
import fcntl
import functools
import os
import socket
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import choice
from typing import Final

from aiohttp import web

from chatfleet_contract.runtime import RuntimeEgress

LOOPBACK: Final = "127.0.0.1"
LOOPBACK_EGRESS: Final = RuntimeEgress(allow=(LOOPBACK, "localhost"))
"""Of pods whose upstreams are on this machine."""
BACKLOG: Final = 4_096
"""Connections that may wait to be accepted: all that a scenario begins at once."""
_PORTS: Final = range(11_000, 30_000)
"""Below those that Linux gives to outgoing connections (ip(7)): of these a harness makes thousands, and one of them
would get the port before its server does. Nor those of Kubernetes' components and NodePorts."""
_given: Final[set[int]] = set()
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 s: closing sends RST instead of FIN."""


def free_port() -> int:
    """Return a port that nobody listens on, at any address, and that no running process was given by this function.

    That holds among the processes of one user with one folder for temporary files.
    """
    for _ in range(len(_PORTS)):
        port = choice(_PORTS)
        if port not in _given and _lock(port) and _is_free(port):
            _given.add(port)
            return port
    raise RuntimeError(f"no port of {_PORTS} is free; end what holds them")


def _lock(port: int) -> bool:
    """Lock a port's byte of a file, until this process ends, against workers of this and of other runs of tests."""
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):
        return False
    return True


@functools.cache
def _locks() -> int:
    """Open the file; closing it once would end all locks of this process (fcntl(2)), so nobody else opens it."""
    path = Path(tempfile.gettempdir(), f"chatfleet-ports-{os.geteuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("", port)).close()
    except OSError:
        return False
    return True


def is_open(port: int) -> bool:
    """Return whether something listens on a port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


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
        await web.TCPSite(runner, LOOPBACK, port, backlog=BACKLOG).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
