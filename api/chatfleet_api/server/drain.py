"""A pod's server: the API on the main loop, beside its health; at the end, no stream is cut."""

import asyncio
import logging
import signal
import socket
from typing import Final

from typing_extensions import override

from chatfleet_api.pod.probes import Hook
from chatfleet_api.pod.services import Services
from chatfleet_api.server.http_server import Server, health_server, listeners
from chatfleet_api.web.app import create_app, create_health_app

LAST_CALL_SECONDS: Final = 2.0
"""Time, after SIGTERM, in which every answer asks its client to use another connection, before all that are idle are
closed: a request that is on its way over one of these would be lost."""
FOLLOW_SECONDS: Final = 10
"""The part of `GRACE_SECONDS` in which clients are still sent what other pods produce; then they are told to come back
to one."""

logger = logging.getLogger(__name__)


async def serve(services: Services, serving: socket.socket, health: socket.socket, drain_token: str) -> None:
    """Serve until SIGTERM or SIGINT; then take no more connections, let every stream end, and return.

    Before that, who shows `drain_token` may tell of the end.

    SIGTERM is followed by a last call, in which requests are still taken. What has not ended after `maxStreamSeconds`
    (as it is now: a run that began when it was higher may need longer), or at a second SIGINT, is handed over to
    another pod; without one it is ended with an explicit error.
    """
    server = _Server(services)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.end_soon)
    loop.add_signal_handler(signal.SIGINT, server.end_or_hurry)
    configuration = services.configuration
    hook = Hook(drain_token, lambda: configuration.current.streaming.drain_seconds)
    health_app = create_health_app(services.health, services.meter, hook)
    with health_server(health_app, health):
        await server.serve(sockets=listeners(serving))
        await server.drained()


class _Server(Server):
    """Ends as a pod must; uvicorn alone would forget the runs that have no connection."""

    def __init__(self, services: Services) -> None:
        super().__init__(create_app(services), services.health)
        self._services = services
        self._drain: asyncio.Future[int] | None = None
        self._seconds = 0

    def end_soon(self) -> None:
        """Begin to end, after a last call if there are connections and `drainSeconds` leaves time for one."""
        self._services.health.draining = True
        seconds = min(LAST_CALL_SECONDS, self._services.configuration.current.streaming.drain_seconds)
        if self.server_state.connections and seconds:
            asyncio.get_running_loop().call_later(seconds, self.end)
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
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn closes the sockets before it first waits, so that the pool refuses nobody who could still connect.
        self._drain = asyncio.ensure_future(self._services.chat.pool.drain(self._seconds))
        asyncio.get_running_loop().call_later(self._seconds + FOLLOW_SECONDS, self._services.chat.log.leave)
        await super().shutdown(sockets)

    def _end_within(self, seconds: int) -> None:
        logger.info("ending: %d streams are open and get up to %d s", self._services.chat.pool.active, seconds)
        self._seconds = seconds
        self.end_within(seconds)
