"""Limits the retries of one pod at one upstream to a share of its requests, so that they cannot multiply a failure."""

from collections.abc import Callable
from typing import Final

SHARE: Final = 0.2
"""Retries that each request earns: a fifth of the requests may be retries."""
FLOOR: Final = 10.0
"""Retries that are there from the start, so that a pod with few requests can try again at all."""
FLOOR_SECONDS: Final = 10.0
"""Time in which the floor comes back."""
MOST: Final = 100.0
"""Retries that can be saved up."""


class RetryBudget:
    """An account of retries."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._saved = FLOOR
        self._at = clock()

    def earn(self) -> None:
        """Take note of a request."""
        self._saved = min(MOST, self._saved + SHARE)

    @property
    def left(self) -> float:
        """Retries that may be made now."""
        return self._saved if self._saved >= FLOOR else min(FLOOR, self._saved + self._grown())

    def spend(self) -> bool:
        """Return whether one more retry may be made, and if so, take it off."""
        self._saved = self.left
        self._at = self._clock()
        if self._saved < 1:
            return False
        self._saved -= 1
        return True

    def _grown(self) -> float:
        return (self._clock() - self._at) * FLOOR / FLOOR_SECONDS
