"""What a pod knows about its own state, and what its probes are told.

The main loop writes here, the thread that answers probes reads: plain values only, each replaced as a whole. Liveness
is the main loop's own heartbeat and readiness the pod's own affairs; neither depends on Redis or on an upstream, for
that would take all pods out at once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from chatfleet_api.errors import ChatError
from chatfleet_contract.report import Dependency, PodReport, State

BEAT_SECONDS: Final = 0.5
STUCK_SECONDS: Final = 10.0
"""Age of the last heartbeat at which the main loop counts as stuck."""
REDIS_SECONDS: Final = 3.0
"""Time between two looks at Redis."""
UPSTREAM_SECONDS: Final = 30.0
"""Time between two looks at the upstreams, give or take a fifth, so that the pods of a fleet do not ask in step."""
UPSTREAM_DOWN_SECONDS: Final = 5.0
"""The same while one of them is down."""


class Load(Protocol):
    """What a pod works on."""

    @property
    def active(self) -> int:
        """Streams that are open."""
        ...


class Served(Protocol):
    """The configuration that is being served."""

    digest: str
    error: str | None


class Health:
    """One pod's state."""

    def __init__(self, *, pod: str, version: str, served: Served, clock: Callable[[], float]) -> None:
        self.listening = False
        self.draining = False
        self.leaving = False
        self.active = 0
        self.capacity = 0
        self.tokens_per_second = 0.0
        self.redis: Dependency | None = None
        self.upstreams: Mapping[str, Dependency] = {}
        self._pod = pod
        self._version = version
        self._served = served
        self._clock = clock
        self._beat = clock()

    def beat(self, *, active: int, capacity: int) -> None:
        """Tell that the main loop runs, and how much it has to do."""
        self.active, self.capacity = active, capacity
        self._beat = self._clock()

    def not_live(self) -> str | None:
        """Return why this process should be restarted, None when it should not."""
        age = self._clock() - self._beat
        return f"the main loop has been stuck for {age:.0f} s" if age > STUCK_SECONDS else None

    def not_ready(self) -> str | None:
        """Return why this pod should get no new requests, None when it should get them."""
        if not self.listening:
            return "not listening yet"
        if self.draining:
            return "draining"
        if self.active >= self.capacity:
            return f"all {self.capacity} streams are taken"
        return None

    def not_started(self) -> str | None:
        """Return why this pod has not started yet, None when it has."""
        return None if self.listening else "not listening yet"

    def report(self) -> PodReport:
        """Return the pod's own account."""
        return PodReport(
            pod=self._pod,
            version=self._version,
            config=self._served.digest,
            config_error=self._served.error,
            draining=self.draining or self.leaving,
            active_streams=self.active,
            stream_capacity=self.capacity,
            tokens_per_second=round(self.tokens_per_second, 1),
            redis=self.redis,
            upstreams=dict(self.upstreams),
        )

    def leave(self) -> None:
        """Tell that this pod is about to end. It still takes requests, for as long as load balancers send it some."""
        self.leaving = True

    def redis_up(self) -> float:
        """Return 1 when Redis was last seen up, or is not used; else 0."""
        return float(self.redis is None or self.redis.state is State.UP)


async def keep_beating(health: Health, load: Load, capacity: Callable[[], int]) -> None:
    """Show that the main loop runs, until cancelled."""
    while True:
        health.beat(active=load.active, capacity=capacity())
        await asyncio.sleep(BEAT_SECONDS)


async def watch_redis(health: Health, ping: Callable[[], Awaitable[None]]) -> None:
    """Look at Redis every few seconds, until cancelled."""
    while True:
        try:
            await ping()
        except ChatError as error:
            health.redis = Dependency(state=State.DOWN, message=error.detail or error.message)
        else:
            health.redis = Dependency(state=State.UP)
        await asyncio.sleep(REDIS_SECONDS)


async def watch_upstreams(health: Health, check: Callable[[], Awaitable[Mapping[str, Dependency]]]) -> None:
    """Look at the upstreams now and then, sooner while one is down, until cancelled."""
    while True:
        health.upstreams = await check()
        down = any(seen.state is State.DOWN for seen in health.upstreams.values())
        pause = UPSTREAM_DOWN_SECONDS if down else UPSTREAM_SECONDS
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  # jitter, no secret
