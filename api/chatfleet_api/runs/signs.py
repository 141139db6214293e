"""Who lives and who is dead, as one pod sees it: pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

LEASE_SECONDS: Final = 1.75
"""A pod that has given no sign for so long is dead."""
NOBODY: Final = "nobody"
"""Owner of the runs that were handed over; as a pod, it is dead from the first look."""


class Signs:
    """What one pod has seen of the others' signs of life."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def forget(self) -> None:
        """Begin to observe anew, because we could not look."""
        self._seen.clear()

    def dead(self, signs: Iterable[tuple[str, int]]) -> Mapping[str, float]:
        """Take what is seen now of all pods, and return those that are dead, with the seconds since their last sign."""
        now = self._clock()
        before = self._seen
        self._seen = {pod: before[pod] if before.get(pod, (None, 0))[0] == sign else (sign, now) for pod, sign in signs}
        ages = {pod: now - since for pod, (_, since) in self._seen.items()}
        return {pod: age for pod, age in ages.items() if pod == NOBODY or age >= LEASE_SECONDS}
