"""Answers of the API server that hold for a short while, so that it is not asked the same thing for each request."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRIES: Final = 10_000
"""More than there are callers and metrics; beyond, the oldest is forgotten."""


class Recent(Generic[K, V]):
    """Values by key, each until its time has come."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        """Return the value of `key`; None: there is none any more."""
        until, value = self._known.get(key, (0.0, None))
        return value if self._clock() < until else None

    def put(self, key: K, value: V, seconds: float) -> V:
        """Keep `value` for `seconds`, and return it."""
        self._known.pop(key, None)
        if len(self._known) >= ENTRIES:
            del self._known[next(iter(self._known))]
        self._known[key] = (self._clock() + seconds, value)
        return value
