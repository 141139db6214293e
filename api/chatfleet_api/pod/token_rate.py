"""Tokens per second through this pod, as its report shows them."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

SAMPLE_SECONDS: Final = 1.0
SAMPLES: Final = 15
"""The rate is that of the last so many seconds: steady enough to read, quick enough to show an end."""


class TokenRate:
    """Samples `total`, the number of tokens since the start."""

    def __init__(self, total: Callable[[], float], *, clock: Callable[[], float]) -> None:
        self.per_second = 0.0
        self._total = total
        self._clock = clock

    async def run(self) -> None:
        samples = deque([(self._clock(), self._total())], maxlen=SAMPLES + 1)
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            samples.append((self._clock(), self._total()))
            (began, before), (now, after) = samples[0], samples[-1]
            self.per_second = (after - before) / (now - began)
