"""Measures every attempt at an upstream: its result, its time to first token, its tokens.

Output tokens are counted while they come, an item for a token, since autoscaling uses their rate; the rest of the usage
that the provider reports at the end is added then. What was counted too much stays: a counter does not go back.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.provider import Finish, GeneratorOpening, ItemBatch, Opening, Provider
from chatfleet_api.usage.attempts import Attempt, ended
from chatfleet_api.usage.attempts import begun as begin_attempt

STEP: Final = 16
"""Items that are counted together while they come."""


class Meter(Protocol):
    """Takes measurements. `provider` and `model` are names of the catalogue."""

    def attempted(self, provider: str, model: str, code: Code | None) -> None:
        """Count an attempt that ended; `code` is None when the answer was whole."""
        ...

    def retried(self, provider: str, model: str, code: Code) -> None:
        """Count a retry, with the reason for it."""
        ...

    def first_token(self, provider: str, model: str, seconds: float) -> None:
        """Note the time from the request to the first item of the answer."""
        ...

    def used(self, provider: str, model: str, usage: Usage) -> None:
        """Count tokens of an attempt, part by part, estimated when it was cut off in mid-answer."""
        ...

    def paused(self, provider: str, model: str) -> None:
        """Count a pause that an upstream demands; `model` is the provider's own name."""
        ...

    def circuit_open(self, provider: str, is_open: bool) -> None:  # noqa: FBT001  # a gauge's value
        """Note whether the circuit breaker of a provider is open."""
        ...


class ModelLabels(NamedTuple):
    """Names of a model: its provider and itself in the catalogue, and the provider's own name of it."""

    provider: str
    model: str
    upstream_model: str


class Instrumented:
    """A `Provider` whose attempts are measured. Put it next to the upstream, so that no waiting of ours is counted."""

    def __init__(self, inner: Provider, labels: ModelLabels, *, meter: Meter, clock: Callable[[], float]) -> None:
        self._inner = inner
        self._upstream_model = labels.upstream_model
        self._labels = (labels.provider, labels.model)
        self._meter = meter
        self._clock = clock

    def open(self, request: ChatRequest) -> Opening:
        return GeneratorOpening(self._measured(request))

    async def _measured(self, request: ChatRequest) -> AsyncGenerator[ItemBatch, None]:
        begun, count, counted = self._clock(), 0, 0
        code: Code | None = Code.CANCELLED
        usage: Usage | None = None
        under_way = begin_attempt((*self._labels, self._upstream_model), request)
        try:
            async with self._inner.open(request) as stream:
                self._meter.first_token(*self._labels, self._clock() - begun)
                async for items in stream:
                    under_way.items = count = count + len(items)
                    if count - counted >= STEP:
                        self._meter.used(*self._labels, Usage(output_tokens=count - counted, estimated=True))
                        counted = count
                    last = items[-1]
                    if type(last) is Finish:
                        code, usage = None, last.usage
                        yield (*items[:-1], self._signed(last))
                    else:
                        yield items
        except ChatError as error:
            code = error.code
            raise
        finally:
            self._meter.attempted(*self._labels, code)
            whole = usage or usage_estimate(request, count)
            if count:
                rest = max(0, whole.output_tokens - counted)
                self._meter.used(*self._labels, replace(whole, output_tokens=rest))
            ended(Attempt(*self._labels, self._upstream_model, whole, wasted=not count))

    def _signed(self, finish: Finish) -> Finish:
        return replace(finish, provider=self._labels[0], upstream_model=self._upstream_model)
