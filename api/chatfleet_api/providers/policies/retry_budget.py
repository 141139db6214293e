"""Limits the retries of one pod at one upstream to a share of its requests, so that they cannot multiply a failure."""

from collections.abc import Callable
from typing import Final

RATIO: Final = 0.2
"""Retries that each request adds to the budget: a fifth of the requests may be retries."""
MIN_RETRIES: Final = 10.0
"""Retries that are there from the start, so that a pod with few requests can try again at all."""
REFILL_SECONDS: Final = 10.0
"""Time in which an empty budget grows to `MIN_RETRIES` without requests."""
MAX_RETRIES: Final = 100.0
"""Largest budget."""


class RetryBudget:
    """The retries that may be made: requests add to it, retries are taken from it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._retries = MIN_RETRIES
        self._at = clock()

    def deposit(self) -> None:
        """Add what one request allows."""
        self._retries = min(MAX_RETRIES, self._retries + RATIO)

    @property
    def left(self) -> float:
        """Retries that may be made now."""
        return self._retries if self._retries >= MIN_RETRIES else min(MIN_RETRIES, self._retries + self._grown())

    def withdraw(self) -> bool:
        """Take one retry from the budget; return whether there was one."""
        self._retries = self.left
        self._at = self._clock()
        if self._retries < 1:
            return False
        self._retries -= 1
        return True

    def _grown(self) -> float:
        return (self._clock() - self._at) * MIN_RETRIES / REFILL_SECONDS
