"""What a pod knows about its own state, and what its probes are told.

The main loop writes here, the thread that answers probes reads: plain values only, each replaced as a whole. Liveness
is the main loop's own heartbeat and readiness the pod's own affairs; neither depends on Redis or on an upstream, for
that would take all pods out at once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from chatfleet_api.domain.errors import ChatError
from chatfleet_contract.report import (
    Breaker,
    Dependency,
    FleetDetails,
    PodDetails,
    PodReport,
    RunDetails,
    State,
    Traffic,
    UpstreamDetails,
)

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


class Moves(Protocol):
    """Runs that changed their pod."""

    taken_over: int
    handed_over: int


class Served(Protocol):
    """The configuration that is being served."""

    digest: str
    error: str | None


class Health:
    """One pod's state."""

    def __init__(self, *, pod: str, version: str, served: Served, clock: Callable[[], float]) -> None:
        self.listening = False
        self.draining = False
        self.active = 0
        self.capacity = 0
        self.tokens_per_second = 0.0
        self.redis: Dependency | None = None
        self.traffic: Callable[[], Mapping[str, Traffic]] = dict
        """How upstreams are dealt with just now. This and the two below may be called by another thread."""
        self.fleet: Callable[[], FleetDetails | None] = lambda: None
        self.moves: Moves | None = None
        self._upstreams: Mapping[str, Dependency] = MappingProxyType({})
        self._checked: float | None = None
        self._pod = pod
        self._version = version
        self._served = served
        self._clock = clock
        self._beat = self._leaving_until = clock()

    @property
    def leaving(self) -> bool:
        """Whether clients should go to other pods: this one ends, or is about to. It may still take requests."""
        return self.draining or self._clock() < self._leaving_until

    def leave(self, seconds: float) -> None:
        """Be `leaving` for some time. Should the end not come, this pod goes on as if nothing had been said."""
        self._leaving_until = self._clock() + seconds

    @property
    def upstreams(self) -> Mapping[str, Dependency]:
        """How the upstreams are: as last checked, or down while they are spared, of which the breaker tells at once."""
        traffic = self.traffic()
        return {name: _spared(traffic.get(name)) or seen for name, seen in self._upstreams.items()}

    def checked(self, upstreams: Mapping[str, Dependency]) -> None:
        """Take note of a look at the upstreams."""
        self._upstreams, self._checked = upstreams, self._clock()

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
            draining=self.leaving,
            active_streams=self.active,
            max_streams=self.capacity,
            tokens_per_second=round(self.tokens_per_second, 1),
            redis=self.redis,
            upstreams=dict(self.upstreams),
        )

    def details(self) -> PodDetails:
        """Return all that there is to tell."""
        traffic, checked = self.traffic(), self._checked
        ago = None if checked is None else self._clock() - checked
        upstreams = {
            name: UpstreamDetails(seen=seen, checked_seconds_ago=ago, traffic=traffic.get(name))
            for name, seen in self.upstreams.items()
        }
        runs = RunDetails(
            active=self.active,
            capacity=self.capacity,
            taken_over=self.moves.taken_over if self.moves else 0,
            handed_over=self.moves.handed_over if self.moves else 0,
        )
        return PodDetails(report=self.report(), upstreams=upstreams, runs=runs, fleet=self.fleet())

    def redis_up(self) -> float:
        """Return 1 when Redis was last seen up, or is not used; else 0."""
        return float(self.redis is None or self.redis.state is State.UP)


def _spared(traffic: Traffic | None) -> Dependency | None:
    if traffic is None or traffic.breaker is Breaker.CLOSED:
        return None
    return Dependency(state=State.DOWN, message="too many requests have failed; it is tried again soon")


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
        health.checked(await check())
        down = any(seen.state is State.DOWN for seen in health.upstreams.values())
        pause = UPSTREAM_DOWN_SECONDS if down else UPSTREAM_SECONDS
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  # jitter, no secret
