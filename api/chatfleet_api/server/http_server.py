"""uvicorn as we run it: health on a thread and loop of its own, signals left to whoever serves, no stream cut."""

import asyncio
import gc
import socket
from collections.abc import Generator
from contextlib import contextmanager
from threading import Thread
from typing import Final
from typing import Protocol as Port

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatfleet_api.server.protocol import Protocol

BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle time of common load balancers (60 s), so that it is not we who close a connection they reuse."""
ACCEPTS: Final = 8
"""Connections taken in one turn of the event loop. libuv takes one for each listener, which under load, when a turn
lasts 100 ms, would be ten a second in all."""
GRACE_SECONDS: Final = 15
"""Time beyond the longest stream after which what is still connected is cut off."""


class AddressTakenError(OSError):
    """A port cannot be listened on; the message says which, and why."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host` (empty: every address, IPv4 and IPv6) and `port` (0: any that is free)."""
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise AddressTakenError(f"cannot listen on {host or '*'}:{port}: {error.strerror or error}") from None


def listeners(serving: socket.socket) -> list[socket.socket]:
    """Return `serving` as often as connections are to be taken in one turn of the event loop."""
    return [serving, *(serving.dup() for _ in range(ACCEPTS - 1))]


class State(Port):
    """Where a server tells how far it is."""

    listening: bool
    draining: bool


class Server(uvicorn.Server):
    """Tells the probes when it listens and when it ends. uvicorn alone would end the process by the signal it got."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        super().__init__(_config(app, Protocol))
        self._state = state

    def end_within(self, seconds: float) -> None:
        """Take no more connections, and let what is open go on for `seconds`."""
        self._state.draining = True
        self.config.timeout_graceful_shutdown = int(seconds) + GRACE_SECONDS
        self.should_exit = True

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what lives by now lives to the end, and need not be looked at again
        self._state.listening = True

    @contextmanager
    @override
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextmanager
def health_server(app: ASGIApp, listener: socket.socket) -> Generator[None, None, None]:
    """Answer probes from a thread with a loop of its own, so that a busy main loop is reported and not suffered."""
    server = uvicorn.Server(_config(app, HttpToolsProtocol))
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
