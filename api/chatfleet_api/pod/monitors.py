"""What a pod observes of itself and its dependencies: its event loop, Redis, and the upstreams.

Each monitor runs on the main loop. The thread that answers probes reads it: plain values, each replaced as a whole.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.unexpected import UnexpectedErrors
from chatfleet_api.redis.client import RedisClient
from chatfleet_contract.report import CircuitState, Dependency, ModelOutcome, State, UpstreamTraffic

HEARTBEAT_SECONDS: Final = 0.5
STUCK_SECONDS: Final = 10.0
"""Age of the last heartbeat at which the main loop counts as stuck."""
REDIS_CHECK_SECONDS: Final = 3.0
"""Time between two checks of Redis."""
UPSTREAM_CHECK_SECONDS: Final = 30.0
"""Time between two checks of the upstreams, give or take a fifth, so that the pods of a fleet do not check in step."""
UPSTREAM_DOWN_CHECK_SECONDS: Final = 5.0
"""The same while one of them is down."""
RECHECK_SECONDS: Final = 1.0
"""Least time between two checks of the upstreams."""
UPSTREAM_JITTER: Final = 0.2

logger = logging.getLogger(__name__)

_CIRCUIT_OPEN: Final = Dependency(
    state=State.DOWN,
    message="the circuit breaker is open after too many failures; a probe request follows within seconds",
)


class Load(Protocol):
    @property
    def active(self) -> int:
        """Open streams."""
        ...


class Upstreams(Protocol):
    async def check(self) -> Mapping[str, Dependency]:
        """Check each upstream, by provider's name."""
        ...

    def check_subjects(self) -> Mapping[str, object]:
        """Return what a check of each upstream is about. Any thread may call this."""
        ...

    def outcomes(self) -> Mapping[str, ModelOutcome]:
        """Return what requests have shown of models, by name. Any thread may call this."""
        ...

    def traffic(self) -> Mapping[str, UpstreamTraffic]:
        """Return the state of each upstream's circuit breaker, limits and queue. Any thread may call this."""
        ...


class LoopHeartbeat:
    """Shows that the main loop runs, and how much it has to do."""

    def __init__(self, load: Load, *, clock: Callable[[], float]) -> None:
        self.active = 0
        """Streams that were open at the last heartbeat."""
        self.lag = 0.0
        """Seconds by which the last heartbeat was late."""
        self._load = load
        self._clock = clock
        self._last = clock()

    async def run(self) -> None:
        self.record()
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self.lag = max(0.0, self._clock() - self._last - HEARTBEAT_SECONDS)
            self.record()

    def record(self) -> None:
        self.active = self._load.active
        self._last = self._clock()

    def stuck(self) -> str | None:
        """Return why the process should be restarted, None when it should not."""
        age = self._clock() - self._last
        return f"the main loop has been stuck for {age:.0f} s" if age > STUCK_SECONDS else None


class RedisMonitor:
    """Checks Redis every few seconds, and the URL that the next start of this pod would use."""

    def __init__(
        self,
        check: Callable[[], Awaitable[str | None]],
        url_problem: Callable[[], str | None] = lambda: None,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """`check` returns what it could not check, and raises `ChatError` when Redis cannot be used.

        `clock` counts monotonic seconds; `now` is the time of day, with a zone.
        """
        self.state = Dependency(state=State.UNKNOWN)
        self.latency: float | None = None
        """Seconds that the last check took. None: there was none."""
        self.since: datetime | None = None
        """When Redis got into its state."""
        self._clock = clock
        self._now = now
        self.url_error: str | None = None
        self._check = check
        self._url_problem = url_problem
        self._unexpected = UnexpectedErrors(logger)

    async def run(self) -> None:
        while True:
            self.url_error = self._url_problem()
            began, before = self._clock(), self.state.state
            found = await self._checked()
            self.latency = self._clock() - began
            if self.since is None or found.state is not before:
                self.since = self._now()
            self.state = found
            await asyncio.sleep(REDIS_CHECK_SECONDS)

    async def _checked(self) -> Dependency:
        part = "The check of Redis"
        try:
            state = Dependency(state=State.UP, message=await self._check())
        except ChatError as error:
            state = Dependency(state=State.DOWN, message=error.detail or error.message)
        except Exception as error:  # noqa: BLE001  # the state must not stay what it was before
            self._unexpected.failed(part, error)
            return Dependency(state=State.DOWN, message=f"the check failed: {type(error).__name__}")
        self._unexpected.succeeded(part)
        return state


class _Check(NamedTuple):
    states: Mapping[str, Dependency]
    subjects: Mapping[str, object]
    at: float


class UpstreamMonitor:
    """Checks the upstreams of the current configuration: sooner while one or a model is down, at once when woken."""

    def __init__(
        self,
        upstreams: Live[Upstreams],
        *,
        clock: Callable[[], float],
        rand: Callable[[float, float], float],
        recheck: asyncio.Event,
    ) -> None:
        """Setting `recheck` lets the next check begin, if the last one was `RECHECK_SECONDS` ago."""
        self._upstreams = upstreams
        self._clock = clock
        self._rand = rand
        self._recheck = recheck
        self._last: _Check | None = None

    async def run(self) -> None:
        while True:
            self._recheck.clear()
            upstreams = self._upstreams()
            subjects = upstreams.check_subjects()
            self._last = _Check(await upstreams.check(), subjects, self._clock())
            states = [seen.state for seen in self.states().values()]
            down = State.DOWN in states or any(seen.state is State.DOWN for seen in self.outcomes().values())
            pause = UPSTREAM_DOWN_CHECK_SECONDS if down else UPSTREAM_CHECK_SECONDS
            until = self._clock() + pause * self._rand(1 - UPSTREAM_JITTER, 1 + UPSTREAM_JITTER)
            await asyncio.sleep(RECHECK_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._recheck.wait(), max(0.0, until - self._clock()))

    def states(self) -> Mapping[str, Dependency]:
        """Return each upstream as last checked, or down while its circuit breaker is open, which is known at once.

        What was checked with other settings or models proves nothing: such an upstream is left out until its check.
        """
        last = self._last or _Check(MappingProxyType({}), MappingProxyType({}), 0.0)
        traffic, subjects = self.traffic(), self._upstreams().check_subjects()
        current = {name: seen for name, seen in last.states.items() if subjects.get(name) == last.subjects.get(name)}
        failing = {one.provider: one.message for one in self.outcomes().values() if one.state is State.DOWN}
        return {
            name: _circuit_open(seen, failing.get(name)) if _is_open(traffic.get(name)) else seen
            for name, seen in current.items()
        }

    def outcomes(self) -> Mapping[str, ModelOutcome]:
        return self._upstreams().outcomes()

    def traffic(self) -> Mapping[str, UpstreamTraffic]:
        return self._upstreams().traffic()

    def seconds_since_check(self) -> float | None:
        return None if self._last is None else self._clock() - self._last.at


def _is_open(traffic: UpstreamTraffic | None) -> bool:
    return traffic is not None and traffic.circuit is not CircuitState.CLOSED


def _circuit_open(seen: Dependency, failing: str | None) -> Dependency:
    """Return that the circuit breaker is open, and why: what the check has found, or else requests."""
    cause = seen.message if seen.state is State.DOWN and seen.message else failing
    return Dependency(state=State.DOWN, message=f"{cause}; the circuit breaker is open") if cause else _CIRCUIT_OPEN


def monitor_of(redis: RedisClient | None) -> RedisMonitor | None:
    """Return the monitor of Redis; None: there is none."""
    if redis is None:
        return None
    return RedisMonitor(redis.check, redis.url_problem, clock=time.monotonic, now=lambda: datetime.now(UTC))
