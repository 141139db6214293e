"""Circuit breaker: stops requests to an upstream that fails too often.

Closed, it lets all requests through. Open, it rejects them for a pause; then it is half-open and lets one probe through
at a time, until one gets an answer. One for each provider, in each pod: what a pod cannot reach, others may. When it
opens, the other pods conclude from fewer failures of their own.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Provider, Stream

WINDOW: Final = 50
"""Newest attempts that are looked at."""
WINDOW_SECONDS: Final = 30.0
"""Age up to which they count."""
MIN_ATTEMPTS: Final = 10
"""Attempts without which nothing is concluded."""
SUSPECTED_MIN_ATTEMPTS: Final = 3
"""The same, while the circuit breaker of another pod has opened within `WINDOW_SECONDS`."""
FAILURE_RATIO: Final = 0.5
"""Share of failures among them that is too much."""
FIRST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 10.0
"""The pause doubles with each probe that fails."""


class CircuitBreaker:
    """The failures of one upstream, and whether requests to it are stopped."""

    def __init__(self, *, on_change: Callable[[bool], None], clock: Callable[[], float]) -> None:
        """Call `on_change` whenever the circuit opens (True) or closes."""
        self._on_change = on_change
        self._clock = clock
        self._attempts: deque[tuple[float, bool]] = deque(maxlen=WINDOW)
        self._pause = 0.0
        self._until = 0.0
        self._probing = False
        self._suspected_until = 0.0

    @property
    def open(self) -> bool:
        """Whether requests are stopped, but for probes."""
        return self._pause > 0

    @property
    def seconds_left(self) -> float:
        """Seconds until an attempt may be made, 0 when one may be made now."""
        return max(0.0, self._until - self._clock()) if self.open else 0.0

    def admit(self) -> bool:
        """Return whether this attempt is a probe, whose holder must call `release`.

        Raises:
            ChatError: UPSTREAM_CIRCUIT_OPEN, with the time to try again.
        """
        if not self.open:
            return False
        left = self._until - self._clock()
        if left > 0 or self._probing:
            raise ChatError(Code.UPSTREAM_CIRCUIT_OPEN, retry_after=max(left, 1.0))
        self._probing = True
        return True

    def release(self) -> None:
        """Let another probe be made."""
        self._probing = False

    def succeeded(self) -> None:
        """Count an answer that began, which closes the circuit."""
        if self.open:
            self._attempts.clear()
            self._pause = 0.0
            self._on_change(False)  # noqa: FBT003  # a callback of one argument
        self._attempts.append((self._clock(), True))

    def failed(self, *, probe: bool) -> None:
        """Count an attempt that failed; those that were under way before the pause do not prolong it."""
        now = self._clock()
        self._attempts.append((now, False))
        if self.open and not probe:
            return
        if probe or self._too_many(now):
            if not self.open:
                self._on_change(True)  # noqa: FBT003
            self._pause = min(2 * self._pause or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            self._until = now + self._pause

    def suspect(self) -> None:
        """Conclude from fewer attempts for a while, but never from none: another pod's circuit breaker has opened."""
        self._suspected_until = self._clock() + WINDOW_SECONDS

    def _too_many(self, now: float) -> bool:
        recent = [well for at, well in self._attempts if now - at <= WINDOW_SECONDS]
        enough = SUSPECTED_MIN_ATTEMPTS if now < self._suspected_until else MIN_ATTEMPTS
        return len(recent) >= enough and recent.count(False) >= FAILURE_RATIO * len(recent)


class CircuitBreaking:
    """A `Provider` that opens nothing while `breaker`, shared by the models of an upstream, is open."""

    def __init__(self, inner: Provider, breaker: CircuitBreaker) -> None:
        self._inner = inner
        self._breaker = breaker

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[Stream]:
        """Open, if that may be; a failure counts also when it comes after the first batch."""
        probe, begun = self._breaker.admit(), False
        try:
            async with self._inner.open(request) as stream:
                begun = True
                self._breaker.succeeded()
                yield stream
        except ChatError as error:
            if error.facts.trips_breaker:
                self._breaker.failed(probe=probe and not begun)
            raise
        finally:
            if probe:
                self._breaker.release()
