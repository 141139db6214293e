"""Spares an upstream that fails too often: for a while nobody asks it, then one at a time, until one gets an answer.

One breaker for each provider, in each pod: what a pod cannot reach, others may.
"""

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Piece, Provider

WINDOW: Final = 50
"""Newest attempts that are looked at."""
WINDOW_SECONDS: Final = 30.0
"""Age up to which they count."""
LEAST: Final = 10
"""Attempts without which nothing is concluded."""
RATIO: Final = 0.5
"""Share of failures among them that is too much."""
FIRST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 10.0
"""The pause doubles with each probe that fails."""


class Breaker:
    """What is known of one upstream's failures."""

    def __init__(self, *, tell: Callable[[bool], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Call `tell` whenever the upstream begins or ceases to be spared."""
        self._tell = tell
        self._clock = clock
        self._attempts: deque[tuple[float, bool]] = deque(maxlen=WINDOW)
        self._pause = 0.0
        self._until = 0.0
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether the upstream is spared."""
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
        """Take note of an answer that began."""
        if self.open:
            self._attempts.clear()
            self._pause = 0.0
            self._tell(False)  # noqa: FBT003  # a verb of one argument
        self._attempts.append((self._clock(), True))

    def failed(self, *, probe: bool) -> None:
        """Take note of an attempt that failed; those that were under way before the pause do not prolong it."""
        now = self._clock()
        self._attempts.append((now, False))
        if self.open and not probe:
            return
        if probe or self._too_many(now):
            if not self.open:
                self._tell(True)  # noqa: FBT003
            self._pause = min(2 * self._pause or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            self._until = now + self._pause

    def _too_many(self, now: float) -> bool:
        recent = [well for at, well in self._attempts if now - at <= WINDOW_SECONDS]
        return len(recent) >= LEAST and recent.count(False) >= RATIO * len(recent)


class Spared:
    """A `Provider` that is not asked while its breaker is open."""

    def __init__(self, inner: Provider, breaker: Breaker) -> None:
        """Share `breaker` with the other models of the same upstream."""
        self._inner = inner
        self._breaker = breaker

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Ask, if that may be, and yield the answer as it comes."""
        probe, begun = self._breaker.admit(), False
        try:
            async with aclosing(self._inner.stream(request)) as batches:
                async for pieces in batches:
                    if not begun:
                        begun = True
                        self._breaker.succeeded()
                    yield pieces
        except ChatError as error:
            if error.facts.trips_breaker:
                self._breaker.failed(probe=probe and not begun)
            raise
        finally:
            if probe:
                self._breaker.release()

    async def check(self) -> None:
        """Check the upstream; that it is spared is told by `Breaker.open`, at once."""
        await self._inner.check()
