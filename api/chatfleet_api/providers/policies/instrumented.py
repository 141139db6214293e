"""Measures every attempt at an upstream: how it ended, how soon its first token came, how many tokens it took.

Output tokens are counted while they come, a piece for a token, for who scales by them; the rest of what the provider
tells at the end is added then. What was counted too much stays: a counter does not go back.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import estimated
from chatfleet_api.providers.provider import Finish, Piece, Provider

STEP: Final = 16
"""Pieces that are counted together while they come."""


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
        """Count tokens of an attempt, part by part, estimated when it was cut off in mid-answer."""
        ...

    def suspended(self, provider: str, spared: bool) -> None:  # noqa: FBT001  # as one says it
        """Note whether a provider is left alone because it failed too often."""
        ...


class Answerer(NamedTuple):
    """Who answers: provider and model as the catalogue names them, and the provider's own name of the model."""

    provider: str
    model: str
    upstream_model: str


class Measured:
    """A `Provider` whose attempts are measured. Put it next to the upstream, so that no waiting of ours is counted."""

    def __init__(
        self,
        inner: Provider,
        who: Answerer,
        *,
        meter: Meter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Tell `meter` about `inner`, by the names of `who`."""
        self._inner = inner
        self._upstream_model = who.upstream_model
        self._labels = (who.provider, who.model)
        self._meter = meter
        self._clock = clock

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Ask, and yield the answer as it comes."""
        begun, count, counted = self._clock(), 0, 0
        code: Code | None = Code.CANCELLED
        usage: Usage | None = None
        try:
            async with aclosing(self._inner.stream(request)) as batches:
                async for pieces in batches:
                    if not count:
                        self._meter.first_token(*self._labels, self._clock() - begun)
                    count += len(pieces)
                    if count - counted >= STEP:
                        self._meter.used(*self._labels, Usage(output_tokens=count - counted, estimated=True))
                        counted = count
                    last = pieces[-1]
                    if isinstance(last, Finish):
                        code, usage = None, last.usage
                        yield (*pieces[:-1], self._signed(last))
                    else:
                        yield pieces
        except ChatError as error:
            code = error.code
            raise
        finally:
            self._meter.attempted(*self._labels, code)
            if count:
                whole = usage or estimated(request, count)
                rest = max(0, whole.output_tokens - counted)
                self._meter.used(*self._labels, replace(whole, output_tokens=rest))

    def _signed(self, finish: Finish) -> Finish:
        return replace(finish, provider=self._labels[0], upstream_model=self._upstream_model)

    async def check(self) -> None:
        """Check the upstream."""
        await self._inner.check()
