"""Streams over pods, as clients and a Service would spread them. Pure: time and chance arrive as arguments."""

import math
from collections import Counter
from collections.abc import Collection
from heapq import heappop, heappush
from random import Random

from harness.clients.load import Profile


class Crowd:
    """Clients that keep as many streams open as a profile asks for."""

    def __init__(self, profile: Profile, *, cap: int, stream_seconds: float, chance: Random) -> None:
        """Let a pod take `cap` streams, each of about `stream_seconds`."""
        self._profile = profile
        self._cap = cap
        self._mean = stream_seconds
        self._chance = chance
        self._ends: list[tuple[float, str]] = []
        self.on: Counter[str] = Counter()
        """Open streams by pod, those of leaving pods included: no stream is cut."""
        self.wanted = 0
        self.refused = 0
        """Streams that find no room just now, and try again."""

    def step(self, now: float, ready: Collection[str]) -> None:
        """Let streams end whose time has come, and others begin on pods that are `ready`; never moves one."""
        while self._ends and self._ends[0][0] <= now:
            self.on[heappop(self._ends)[1]] -= 1
        self.on = +self.on
        self.wanted = self._profile(now)
        missing = self.wanted - len(self._ends)
        for _ in range(missing):
            room = [pod for pod in sorted(ready) if self.on[pod] < self._cap]
            if not room:
                break
            pod = self._chance.choice(room)
            self.on[pod] += 1
            heappush(self._ends, (now + self._mean * self._chance.uniform(0.5, 1.5), pod))
        self.refused = max(0, self.wanted - self.live)

    @property
    def live(self) -> int:
        """Return how many streams are open."""
        return len(self._ends)


def noisy(seed: int, *, seconds: float, peak: int = 500) -> Profile:
    """Return a day in `seconds`: from 60 % of `peak` streams to it and back, 20 % of noise, bursts of 30 % for 30 s.

    The noise is new every 10 s. The bursts come four minutes apart on average.
    """
    chance = Random(seed)  # noqa: S311  # the same noise each time
    noise = [chance.uniform(0.8, 1.2) for _ in range(math.ceil(seconds / 10) + 1)]
    bursts = [at for at in range(0, math.ceil(seconds), 30) if chance.random() < 30 / 240]

    def profile(now: float) -> int:
        day = peak * (0.6 + 0.4 * math.sin(math.pi * min(now, seconds) / seconds))
        burst = 1.3 if any(at <= now < at + 30 for at in bursts) else 1.0
        return round(day * noise[min(int(now // 10), len(noise) - 1)] * burst)

    return profile
