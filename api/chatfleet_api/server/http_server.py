"""uvicorn for the two ports: health has a thread and an event loop of its own; signals are not handled here."""

import asyncio
import errno
import gc
import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Thread
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from chatfleet_api.server.protocol import Protocol

BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle time of common load balancers (60 s), so that it is not we who close a connection they reuse."""
CLOSING_SECONDS: Final = 1
"""Time that requests of a side port have when it closes."""
ACCEPTS: Final = 8
"""Connections taken in one turn of the event loop. libuv takes one for each listener, which under load, when a turn
lasts 100 ms, would be ten a second in all."""


class AddressTakenError(OSError):
    """A port cannot be listened on; the message names it and the reason."""


def listen(host: str, port: int, *, setting: str | None = None) -> socket.socket:
    """Return a socket bound to `host` (empty: every address, IPv4 and IPv6) and `port` (0: any that is free).

    `setting` is the variable that sets the port, which the error for a port in use names.
    """
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE and setting is not None:
            reason = f"{os.strerror(error.errno)}. End what listens there, or set {setting} to another port"
        raise AddressTakenError(f"cannot listen on {host or '*'}:{port}: {reason}") from None


def listeners(serving: socket.socket) -> list[socket.socket]:
    """Return `serving` as often as connections are to be taken in one turn of the event loop."""
    return [serving, *(serving.dup() for _ in range(ACCEPTS - 1))]


class Server(uvicorn.Server):
    """uvicorn for the serving port. On its own it would end the process by the signal it got."""

    def __init__(
        self, app: ASGIApp, *, listening: Callable[[], None], closed: Callable[[], None] = lambda: None
    ) -> None:
        """`listening` is called when connections are accepted, `closed` when none is accepted any more."""
        super().__init__(_config(app, Protocol))
        self._listening = listening
        self._closed = closed

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return bool(self.server_state.connections)

    def close_within(self, seconds: float) -> None:
        """Close the listening sockets and the idle connections now, the others when `seconds` have passed."""
        self.config.timeout_graceful_shutdown = int(seconds)
        self.should_exit = True

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what exists by now exists to the end, and need not be traversed again
        self._listening()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn closes the sockets before it first waits, so that no client can connect when `closed` has effect.
        self._closed()
        await super().shutdown(sockets)

    @contextmanager
    @override
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class SideServer(uvicorn.Server):
    """uvicorn for a port beside the serving one, on the same event loop."""

    def __init__(self, app: ASGIApp) -> None:
        config = _config(app, Protocol)
        config.timeout_graceful_shutdown = CLOSING_SECONDS
        super().__init__(config)

    def close(self) -> None:
        """Accept no more connections, and end those that are open."""
        self.should_exit = True

    @contextmanager
    @override
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextmanager
def health_server(app: ASGIApp, listener: socket.socket) -> Generator[None, None, None]:
    """Serve probes from a thread with a loop of its own, which a busy main loop does not delay."""
    server = uvicorn.Server(_config(app, Protocol))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=1)


def _config(app: ASGIApp, protocol: type[asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
