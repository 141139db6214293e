"""uvicorn as we run it: the API on the main loop, health on a thread and loop of its own, no stream cut at the end."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from threading import Thread
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatfleet_api.app import create_app, create_health_app
from chatfleet_api.protocol import Protocol
from chatfleet_api.services import Services

BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle time of common load balancers (60 s), so that it is not we who close a connection they reuse."""
ACCEPTS: Final = 8
"""Connections taken in one turn of the event loop. libuv takes one for each listener, which under load, when a turn
lasts 100 ms, would be ten a second in all."""
LAST_CALL_SECONDS: Final = 2.0
"""Time, after SIGTERM, in which every answer asks its client to use another connection, before all that are idle are
closed: a request that is on its way over one of these would be lost."""
GRACE_SECONDS: Final = 15
"""Time beyond the longest stream after which what is still connected is cut off."""
FOLLOW_SECONDS: Final = 10
"""The part of it in which clients are still sent what other pods produce; then they are told to come back to one."""

logger = logging.getLogger(__name__)


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


async def serve(services: Services, serving: socket.socket, health: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; then take no more connections, let every stream end, and return.

    SIGTERM is followed by a last call, in which requests are still taken. What has not ended after `maxStreamSeconds`,
    or at a second SIGINT, is ended with an explicit error.
    """
    server = _Server(services)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.end_soon)
    loop.add_signal_handler(signal.SIGINT, server.end_or_hurry)
    with _health_server(create_health_app(services.health, services.meter), health):
        await server.serve(sockets=listeners(serving))
        await server.drained()


class _Server(uvicorn.Server):
    """Tells the probes when it listens, and ends as a pod must.

    uvicorn alone would end the process by the signal that it got, and forget the runs that have no connection.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(_config(create_app(services), Protocol))
        self._services = services
        self._drain: asyncio.Future[int] | None = None
        self._seconds = 0

    def end_soon(self) -> None:
        """Begin to end, after a last call if there are connections."""
        self._services.health.draining = True
        if self.server_state.connections:
            asyncio.get_running_loop().call_later(LAST_CALL_SECONDS, self.end)
        else:
            self.end()

    def end(self) -> None:
        """Begin to end: what is open may go on for as long as a stream may last."""
        if not self.should_exit:
            self._end_within(self._services.configuration.current.streaming.max_stream_seconds)

    def end_or_hurry(self) -> None:
        """Begin to end; asked a second time, end at once."""
        if not self.should_exit:
            self.end()
            return
        self._end_within(0)
        if self._drain is not None:
            self._drain.cancel()
            self._drain = asyncio.ensure_future(self._services.chat.pool.drain(0))
            asyncio.get_running_loop().call_later(FOLLOW_SECONDS, self._services.chat.log.leave)

    async def drained(self) -> None:
        """Return when every run has ended."""
        if self._drain is not None and (cut := await self._drain):
            logger.warning("%d streams were interrupted", cut)

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what lives by now lives to the end, and need not be looked at again
        self._services.health.listening = True

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn closes the sockets before it first waits, so that the pool refuses nobody who could still connect.
        self._drain = asyncio.ensure_future(self._services.chat.pool.drain(self._seconds))
        asyncio.get_running_loop().call_later(self._seconds + FOLLOW_SECONDS, self._services.chat.log.leave)
        await super().shutdown(sockets)

    @contextmanager
    @override
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def _end_within(self, seconds: int) -> None:
        logger.info("ending: %d streams are open and get up to %d s", self._services.chat.pool.active, seconds)
        self._services.health.draining = True
        self._seconds = seconds
        self.config.timeout_graceful_shutdown = seconds + GRACE_SECONDS
        self.should_exit = True


@contextmanager
def _health_server(app: ASGIApp, listener: socket.socket) -> Generator[None, None, None]:
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
