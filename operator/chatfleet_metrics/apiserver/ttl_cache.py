"""A cache whose entries expire: answers of the API server that hold for several requests."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRIES: Final = 10_000
"""More than there are users times metrics; beyond it, the oldest entry is evicted."""


class TTLCache(Generic[K, V]):
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        """Return the value of `key`; None when there is none or it has expired."""
        until, value = self._entries.get(key, (0.0, None))
        return value if self._clock() < until else None

    def put(self, key: K, value: V, seconds: float) -> V:
        """Hold `value` for `seconds`, and return it."""
        self._entries.pop(key, None)
        if len(self._entries) >= ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (self._clock() + seconds, value)
        return value
