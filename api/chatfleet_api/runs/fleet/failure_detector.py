"""Who lives and who is dead, as one pod sees it: pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

LEASE_SECONDS: Final = 1.75
"""A pod that has given no sign for so long is dead."""
UNOWNED: Final = "nobody"
"""Owner of the runs that were handed over; as a pod, it is dead from the first look."""


class FailureDetector:
    """What one pod has seen of the others' signs of life: each is the server's time, in ms, at which it was given."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._looked = clock()
        self._seen: dict[str, tuple[int, float]] = {}
        """Of each pod its newest sign, and when, by our clock, it was given."""

    def forget(self) -> None:
        """Begin to observe anew, because we could not look."""
        self._seen.clear()

    def dead(self, signs: Iterable[tuple[str, int]], *, at: int) -> Mapping[str, float]:
        """Take what is seen now of all pods, and return those that are dead, with the seconds since their last sign.

        `at` is the server's time, in ms: how old a new sign is. It is never older than our last look, so that a clock
        which jumps kills nobody.
        """
        now, before, looked = self._clock(), self._seen, self._looked
        self._looked = now

        def given(pod: str, sign: int) -> float:
            if pod not in before:
                return now
            known, since = before[pod]
            return since if known == sign else min(now, max(looked, now - (at - abs(sign)) / 1000))

        self._seen = {pod: (sign, given(pod, sign)) for pod, sign in signs}
        ages = {pod: now - since for pod, (_, since) in self._seen.items()}
        return {pod: age for pod, age in ages.items() if pod == UNOWNED or age >= LEASE_SECONDS}

    def due(self) -> float:
        """Return in how many seconds the next pod is dead, should it go on being silent."""
        now = self._clock()
        left = (LEASE_SECONDS - (now - since) for _, since in self._seen.values())
        return min((seconds for seconds in left if seconds > 0), default=LEASE_SECONDS)
