"""Load on a Service: as many streams at a time as a profile says, each read to its end and checked word by word."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Final, NamedTuple

from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam

TICK_SECONDS: Final = 0.2
STARTS_PER_TICK: Final = 20
"""Most streams that begin in one tick: a hundred a second, for the load to be on the streams and not on the start."""

Profile = Callable[[float], int]
"""Seconds since the beginning to the number of streams that should be open."""


class Count(NamedTuple):
    """A scripted model that counts, and how far."""

    model: str
    words: int


@dataclass
class StreamCounts:
    """What became of the streams so far."""

    live: int = 0
    whole: int = 0
    cut: int = 0
    """Began, and did not end whole."""
    refused: int = 0
    """Did not begin."""
    why: Counter[str] = field(default_factory=Counter)
    """What the client received for those that were cut or refused."""

    @property
    def begun(self) -> int:
        """Streams that were requested."""
        return self.live + self.whole + self.cut + self.refused


class Load:
    """Streams from one client by the official SDK; without its retries, unless wanted, nothing is smoothed over."""

    def __init__(self, url: str, count: Count, profile: Profile, *, retries: int = 0) -> None:
        """Stream `count` from the Service at `url`."""
        self.counts = StreamCounts()
        self._sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=retries, timeout=120)
        self._count = count
        self._profile = profile
        self._stopped = False

    def stop(self) -> None:
        """Begin no more streams."""
        self._stopped = True

    async def run(self, seconds: float = inf) -> None:
        """Follow the profile for `seconds`, or until stopped, then wait for the end of what is open. Once only."""
        begun = monotonic()
        async with self._sdk, asyncio.TaskGroup() as streams:
            while (now := monotonic() - begun) < seconds and not self._stopped:
                missing = self._profile(now) - self.counts.live
                for _ in range(min(missing, STARTS_PER_TICK)):
                    self.counts.live += 1
                    streams.create_task(self._stream())
                await asyncio.sleep(TICK_SECONDS)

    async def _stream(self) -> None:
        received: list[str] = []
        reason = None
        problem = ""
        try:
            message = ChatCompletionUserMessageParam(role="user", content="count")
            async with await self._sdk.chat.completions.create(
                model=self._count.model, messages=[message], stream=True
            ) as chunks:
                async for chunk in chunks:
                    if chunk.choices:
                        received.append(chunk.choices[0].delta.content or "")
                        reason = chunk.choices[0].finish_reason or reason
        except APIStatusError as error:
            problem = f"status {error.status_code}"
        except APIConnectionError as error:
            problem = f"{type(error.__cause__ or error).__name__}"
        except APIError as error:
            problem = f"error {error.code}"
        self._note(received, reason, problem)

    def _note(self, received: list[str], reason: str | None, problem: str) -> None:
        counts = self.counts
        counts.live -= 1
        whole = "".join(received).split() == [str(number) for number in range(1, self._count.words + 1)]
        if whole and reason == "stop":
            counts.whole += 1
        elif problem and not received:
            counts.refused += 1
            counts.why[problem] += 1
        else:
            counts.cut += 1
            counts.why[problem or f"ended after {len(received)} pieces with {reason}"] += 1
