"""How fast tokens flow through this pod, as people and the operator's status want to know it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from chatfleet_api.pod.health import Health

SAMPLE_SECONDS: Final = 1.0
SAMPLES: Final = 15
"""The rate is that of the last so many seconds: steady enough to read, quick enough to show an end."""


async def keep_rate(health: Health, total: Callable[[], float], clock: Callable[[], float]) -> None:
    """Note the tokens a second in `health`, until cancelled; `total` is how many there were since the start."""
    samples = deque([(clock(), total())], maxlen=SAMPLES + 1)
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        samples.append((clock(), total()))
        (began, before), (now, after) = samples[0], samples[-1]
        health.tokens_per_second = (after - before) / (now - began)
