"""A pod's life in phases, and THE page on its graceful shutdown: what becomes of an open stream at SIGTERM.

STARTING          until connections are accepted; the startup probe fails
SERVING           until the pod's end
ENDPOINT_REMOVAL  from the preStop hook (`GET /drain`) on, for `drainSeconds` and at most `SIGNAL_SECONDS` more: load
                  balancers remove the pod; it is ready and accepts requests
LAST_CALL         from SIGTERM on, for `LAST_CALL_SECONDS`: it is not ready, and accepts requests on open connections
DRAINING          after that, or from SIGINT on, for at most `maxStreamSeconds`, until the deadline: no new connections
                  and runs; open streams go on until their runs end
HANDING_OVER      from the deadline (a second SIGINT makes it now) until successor pods have the runs that are left;
                  runs without a successor are interrupted
FOLLOWERS_ONLY    when no run is left here, until `FOLLOW_SECONDS` after the deadline: streams of runs of other pods
GONE              when the last response has ended: the process exits

While a pod is `terminating`, its report has `draining: true`, and each response closes its connection, so that clients
open their next one to another pod. A stream that is open at SIGTERM goes on until its run ends. At the deadline its run
is handed over to a successor pod, and the stream follows the run there; at the end of `FOLLOW_SECONDS` the stream ends
with a request to reconnect. Without a successor, or without Redis, the run ends as `interrupted`. `GRACE_SECONDS` after
the deadline the server cancels what is still connected. The kubelet kills the process after the Pod's
`terminationGracePeriodSeconds`: `drainSeconds`, `maxStreamSeconds` and the operator's `EXIT_SECONDS`.

Who reads it: the probes and the report (`health`), the middleware that closes connections (`request_id`),
and `Termination`, which drives the HTTP server, the runs (`RunPool`) and their readers (`RunLog.close_readers`).
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from enum import IntEnum, auto
from typing import Final, Protocol

from chatfleet_api.domain.live import Live
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_contract.spec import Streaming

SIGNAL_SECONDS: Final = 5.0
"""Time after `drainSeconds` in which SIGTERM must come. Otherwise the hook was not the kubelet's: back to SERVING."""
LAST_CALL_SECONDS: Final = 2.0
"""Time in which every response has `Connection: close`, before all idle ones are closed: a request
that is on its way over one of these would be lost."""
FOLLOW_SECONDS: Final = 10
"""Part of `GRACE_SECONDS` in which clients are still sent what other pods produce; then they have to reconnect."""
SETTLE_SECONDS: Final = 5.0
"""Time in which runs that are interrupted store what they have."""
GRACE_SECONDS: Final = 15
"""Time after the deadline at which the server cancels what is still connected."""

logger = logging.getLogger(__name__)


class Phase(IntEnum):
    STARTING = auto()
    SERVING = auto()
    ENDPOINT_REMOVAL = auto()
    LAST_CALL = auto()
    DRAINING = auto()
    HANDING_OVER = auto()
    FOLLOWERS_ONLY = auto()
    GONE = auto()


class Lifecycle:
    """The phase that a pod is in. Any thread may read it; the hook is served by the thread of the probes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._phase = Phase.STARTING
        self._endpoint_removal_until = clock()

    @property
    def phase(self) -> Phase:
        if self._phase is Phase.SERVING and self._clock() < self._endpoint_removal_until:
            return Phase.ENDPOINT_REMOVAL
        return self._phase

    @property
    def terminating(self) -> bool:
        """Whether clients should use other pods. Requests may still be accepted."""
        return self._phase > Phase.SERVING or self._clock() < self._endpoint_removal_until

    def enter(self, phase: Phase) -> None:
        """Go forward to `phase`; no effect for one that has passed."""
        self._phase = max(self._phase, phase)

    def remove_endpoint(self, seconds: float) -> None:
        """Be `terminating` while load balancers take `seconds` to remove the pod, and until SIGTERM is overdue."""
        self._endpoint_removal_until = self._clock() + seconds + SIGNAL_SECONDS

    def not_started(self) -> str | None:
        """Return why the pod has not started, None when it has."""
        return "not listening yet" if self._phase is Phase.STARTING else None

    def not_ready(self) -> str | None:
        """Return why the pod should get no requests, None when it should get them."""
        return "draining" if self._phase > Phase.SERVING else self.not_started()


class Server(Protocol):
    """The HTTP server. It calls `Termination.listening` and `Termination.closed`."""

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        ...

    def close_within(self, seconds: float) -> None:
        """Close the listening sockets and the idle connections now, the others when `seconds` have passed."""
        ...

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until everything is closed."""
        ...


async def drain_runs(pool: RunPool, deadline_seconds: float, enter: Callable[[Phase], None] = lambda _: None) -> int:
    """Let the runs of a pod end until the deadline, hand over those that are left, and interrupt the rest.

    Returns the number of interrupted runs. `enter` is called with each phase.
    """
    pool.admission.begin_draining()
    await pool.idle(deadline_seconds)
    enter(Phase.HANDING_OVER)
    await pool.hand_over()
    interrupted = await pool.interrupt(SETTLE_SECONDS)
    enter(Phase.FOLLOWERS_ONLY)
    return interrupted


class Termination:
    """Takes a pod through the phases of its end."""

    def __init__(self, lifecycle: Lifecycle, *, pool: RunPool, log: RunLog, streaming: Live[Streaming]) -> None:
        self._lifecycle = lifecycle
        self._pool = pool
        self._log = log
        self._streaming = streaming
        self._deadline_seconds = 0
        self._drain: asyncio.Future[int] | None = None

    async def serve(self, server: Server, sockets: list[socket.socket]) -> None:
        """Serve until SIGTERM or SIGINT, and return when every stream and every run has ended.

        The deadline is `maxStreamSeconds` as it is at the signal: a run that began when it was higher may need longer.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.on_sigterm, server)
        loop.add_signal_handler(signal.SIGINT, self.on_sigint, server)
        await server.serve(sockets)
        if interrupted := await self._drained():
            logger.warning("%d streams were interrupted", interrupted)
        self._lifecycle.enter(Phase.GONE)

    def listening(self) -> None:
        """Begin to serve: connections are accepted."""
        self._lifecycle.enter(Phase.SERVING)

    def closed(self) -> None:
        """Begin to drain the runs: no client can connect any more, so none that connects is refused."""
        self._drain_within(self._deadline_seconds)

    def on_sigterm(self, server: Server) -> None:
        """Drain, after a last call if there are connections and `drainSeconds` leaves time for one."""
        self._lifecycle.enter(Phase.LAST_CALL)
        seconds = min(LAST_CALL_SECONDS, self._streaming().drain_seconds)
        if server.connected and seconds:
            asyncio.get_running_loop().call_later(seconds, self._close, server)
        else:
            self._close(server)

    def on_sigint(self, server: Server) -> None:
        """Drain at once; a second one moves the deadline to now."""
        if self._lifecycle.phase < Phase.DRAINING:
            self._close(server)
            return
        self._close_within(server, 0)
        if self._drain is not None:
            self._drain.cancel()
            self._drain_within(0)

    def _close(self, server: Server) -> None:
        """Accept no more connections; open streams may go on for as long as a stream may last."""
        if self._lifecycle.phase < Phase.DRAINING:
            self._close_within(server, self._streaming().max_stream_seconds)

    def _close_within(self, server: Server, seconds: int) -> None:
        logger.info("Draining: %d streams are open and have up to %d s", self._pool.admission.active, seconds)
        self._lifecycle.enter(Phase.DRAINING)
        self._deadline_seconds = seconds
        server.close_within(seconds + GRACE_SECONDS)

    async def _drained(self) -> int:
        """Wait for the end of the runs, also if a second SIGINT moves the deadline meanwhile."""
        while (drain := self._drain) is not None:
            await asyncio.wait((drain,))
            if drain is self._drain:
                return drain.result()
        return 0

    def _drain_within(self, seconds: int) -> None:
        """Let runs end until the deadline, then hand over those that are left; follow other pods' runs for longer."""
        self._drain = asyncio.ensure_future(drain_runs(self._pool, seconds, self._lifecycle.enter))
        asyncio.get_running_loop().call_later(seconds + FOLLOW_SECONDS, self._log.close_readers)
