"""The failure detector: which pods live and which are dead, as one pod sees it. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

LEASE_SECONDS: Final = 1.75
"""A pod whose heartbeat has not changed for so long is dead."""
UNOWNED: Final = "unowned"
"""Owner of the runs that were handed over; as a pod, it is dead from the first observation."""


class FailureDetector:
    """What one pod has seen of the others' heartbeats: each is the server's time, in ms, at which it was sent.

    The sign of a heartbeat is the pod's state: negative while it drains, and takes nothing over.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._observed = clock()
        self._seen: dict[str, tuple[int, float]] = {}
        """Of each pod its newest heartbeat, and when, by our clock, it was sent."""

    def reset(self) -> None:
        """Begin to observe anew, because the heartbeats could not be read."""
        self._seen.clear()

    def observe(self, heartbeats: Iterable[tuple[str, int]], *, at: int) -> Mapping[str, float]:
        """Take the newest heartbeats of all pods; return the dead ones, with the seconds since their last heartbeat.

        `at` is the server's time, in ms: it gives the age of a new heartbeat, which is never older than our last
        observation, so that no pod is dead because a clock jumps.
        """
        now, before, observed = self._clock(), self._seen, self._observed
        self._observed = now

        def sent(pod: str, heartbeat: int) -> float:
            if pod not in before:
                return now
            known, since = before[pod]
            return since if known == heartbeat else min(now, max(observed, now - (at - abs(heartbeat)) / 1000))

        self._seen = {pod: (heartbeat, sent(pod, heartbeat)) for pod, heartbeat in heartbeats}
        ages = {pod: now - since for pod, (_, since) in self._seen.items()}
        return {pod: age for pod, age in ages.items() if pod == UNOWNED or age >= LEASE_SECONDS}

    def next_expiry(self) -> float:
        """Return in how many seconds the next lease runs out, unless its pod sends a heartbeat."""
        now = self._clock()
        left = (LEASE_SECONDS - (now - since) for _, since in self._seen.values())
        return min((seconds for seconds in left if seconds > 0), default=LEASE_SECONDS)
