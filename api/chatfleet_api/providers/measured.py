"""Measures every attempt at an upstream: how it ended, how soon its first token came, how many tokens it took."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from chatfleet_api.chat.events import Usage
from chatfleet_api.chat.request import ChatRequest
from chatfleet_api.errors import ChatError, Code
from chatfleet_api.providers.estimate import estimated
from chatfleet_api.providers.port import Finish, Piece, Provider


class Meter(Protocol):
    """Takes measurements. `provider` and `model` are names of the catalogue."""

    def attempted(self, provider: str, model: str, code: Code | None) -> None:
        """Count an attempt that ended; `code` is None when the answer was whole."""
        ...

    def retried(self, provider: str, model: str, code: Code) -> None:
        """Count a retry, with the reason for it."""
        ...

    def first_token(self, provider: str, model: str, seconds: float) -> None:
        """Note the time from the request to the first piece of the answer."""
        ...

    def used(self, provider: str, model: str, usage: Usage) -> None:
        """Count the tokens of an attempt, estimated when it was cut off in mid-answer."""
        ...

    def suspended(self, provider: str, spared: bool) -> None:  # noqa: FBT001  # as one says it
        """Note whether a provider is left alone because it failed too often."""
        ...


class Measured:
    """A `Provider` whose attempts are measured. Put it next to the upstream, so that no waiting of ours is counted."""

    def __init__(
        self, inner: Provider, provider: str, model: str, *, meter: Meter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Tell `meter` about `inner` as `model` of `provider`."""
        self._inner = inner
        self._labels = (provider, model)
        self._meter = meter
        self._clock = clock

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Ask, and yield the answer as it comes."""
        begun, count = self._clock(), 0
        code: Code | None = Code.CANCELLED
        usage: Usage | None = None
        try:
            async with aclosing(self._inner.stream(request)) as batches:
                async for pieces in batches:
                    if not count:
                        self._meter.first_token(*self._labels, self._clock() - begun)
                    count += len(pieces)
                    last = pieces[-1]
                    if isinstance(last, Finish):
                        code, usage = None, last.usage
                    yield pieces
        except ChatError as error:
            code = error.code
            raise
        finally:
            self._meter.attempted(*self._labels, code)
            if count:
                self._meter.used(*self._labels, usage or estimated(request, count))

    async def check(self) -> None:
        """Check the upstream."""
        await self._inner.check()
