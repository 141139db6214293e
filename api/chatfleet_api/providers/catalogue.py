"""From the runtime configuration to the catalogue: each model a provider, wrapped in the same order.

From the outside: fallback, continuing, retrying, spared, limited, measured, entry, upstream. A fallback is worth its
price only when retrying did not help; a pause between attempts holds no slot; waiting for a slot is not the upstream's
failure.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.credentials import FileCredential
from chatfleet_api.providers.policies.circuit_breaker import CircuitBreaker, CircuitBreaking
from chatfleet_api.providers.policies.concurrency import ConcurrencyLimited, Slots
from chatfleet_api.providers.policies.fallback import Fallback
from chatfleet_api.providers.policies.instrumented import Instrumented, Meter, ModelLabels
from chatfleet_api.providers.policies.prefill import Prefill
from chatfleet_api.providers.policies.retry import Retrying
from chatfleet_api.providers.policies.retry_budget import RetryBudget
from chatfleet_api.providers.provider import Opening, Provider
from chatfleet_api.providers.upstream import Dialect, Upstream
from chatfleet_api.providers.vendors.anthropic import vendor as anthropic
from chatfleet_api.providers.vendors.openai import request as openai
from chatfleet_api.providers.vendors.scripted.provider import Scripted
from chatfleet_contract import report
from chatfleet_contract.provider_types import Continuation, ProviderType
from chatfleet_contract.providers import Model
from chatfleet_contract.report import Dependency, State, Traffic
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider

LONGEST_NAME: Final = 128
"""What an error repeats of a model's name: as much as a name of the catalogue may have."""


class Catalogue:
    """The models of one runtime configuration. It holds nothing that must be closed: drop it for a newer one."""

    def __init__(
        self,
        models: Mapping[str, Provider],
        shared: "Mapping[str, _Shared]",
        continuations: Mapping[str, Continuation],
    ) -> None:
        """Answer by `models`, which use what is `shared`, named as the configuration names its providers."""
        self._models = models
        self._shared = shared
        self._continuations = continuations

    def provider(self, model: str) -> Provider:
        """Return who answers as `model`; raise `ChatError(MODEL_NOT_FOUND)` when there is no such model."""
        try:
            return self._models[model]
        except KeyError:
            asked = f"The model {model[:LONGEST_NAME]!r} does not exist here."
            raise ChatError(Code.MODEL_NOT_FOUND, asked, param="model") from None

    def continuation(self, model: str) -> Continuation:
        """Return how `model` goes on with an answer that was cut; raise `ChatError(MODEL_NOT_FOUND)` as `provider`."""
        self.provider(model)
        return self._continuations[model]

    def models(self) -> tuple[str, ...]:
        """Return the names that a client may ask for, in the order of the configuration."""
        return tuple(self._models)

    async def check(self) -> dict[str, Dependency]:
        """Ask every upstream at once whether it is there and takes our key; by provider's name."""
        seen = await asyncio.gather(*(_checked(shared.upstream) for shared in self._shared.values()))
        return dict(zip(self._shared, seen, strict=True))

    def traffic(self) -> dict[str, Traffic]:
        """Return how every upstream is dealt with just now, by provider's name."""
        return {name: shared.traffic() for name, shared in self._shared.items()}


@dataclass(frozen=True)
class _Shared:
    """What the models of one provider share."""

    upstream: Upstream | Scripted
    slots: Slots
    breaker: CircuitBreaker
    budget: RetryBudget

    def traffic(self) -> Traffic:
        """Return what is going on, also to another thread: nothing here waits or changes anything."""
        left = self.breaker.seconds_left
        open_state = report.Breaker.OPEN if left else report.Breaker.HALF_OPEN
        return Traffic(
            breaker=open_state if self.breaker.open else report.Breaker.CLOSED,
            circuit_open_seconds=left,
            retries_left=self.budget.left,
            calls=self.slots.taken,
            calls_limit=self.slots.limit,
            queued=self.slots.queued,
        )


class Environment(NamedTuple):
    """What all upstreams of a pod share."""

    connections: ConnectionPool
    meter: Meter
    clock: Callable[[], float]
    """Monotonic seconds."""
    rand: Callable[[], float]
    """Returns a number from 0 to 1."""


class Registry:
    """Makes catalogues. A provider whose settings did not change goes on counting its open requests."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._shared: dict[RuntimeProvider, _Shared] = {}

    def catalogue(self, config: RuntimeConfig) -> Catalogue:
        """Return the catalogue of `config`; raise `ValueError` when parts of it do not fit together."""
        shared = {provider: self._shared.get(provider) or self._share(provider) for provider in config.providers}
        providers = {provider.name: provider for provider in config.providers}
        single = {model.name: self._single(model, _named(providers, model), shared) for model in config.models}
        models = {model.name: _with_fallbacks(model, single) for model in config.models}
        self._shared = shared
        named = {provider.name: part for provider, part in shared.items()}
        return Catalogue(models, named, {model.name: model.continuation for model in config.models})

    def _share(self, provider: RuntimeProvider) -> _Shared:
        clock, meter = self._environment.clock, self._environment.meter
        breaker = CircuitBreaker(on_change=partial(meter.circuit_open, provider.name), clock=clock)
        slots = Slots(provider.max_concurrent_requests)
        return _Shared(self._upstream(provider), slots, breaker, RetryBudget(clock))

    def _upstream(self, provider: RuntimeProvider) -> Upstream | Scripted:
        if provider.type is ProviderType.SCRIPTED:
            return Scripted(clock=self._environment.clock, sleep=asyncio.sleep)
        key = FileCredential(provider.api_key_file)
        return Upstream(self._environment.connections, _dialect(provider), key=key, timeouts=provider.timeouts)

    def _single(self, model: Model, provider: RuntimeProvider, shared: Mapping[RuntimeProvider, _Shared]) -> Provider:
        """Return `model` as its own provider answers it, without fallbacks."""
        part, labels = shared[provider], (provider.name, model.name)
        _, meter, clock, rand = self._environment
        named = ModelLabels(*labels, model.model)
        measured = Instrumented(_Entry(part.upstream, model), named, meter=meter, clock=clock)
        limited = ConcurrencyLimited(measured, part.slots, timeout_seconds=provider.timeouts.first_token_seconds)
        retrying = Retrying(
            CircuitBreaking(limited, part.breaker),
            provider.retries,
            on_retry=partial(meter.retried, *labels),
            budget=part.budget,
            rand=rand,
        )
        return retrying if model.continuation == "none" else Prefill(retrying, model.continuation)


class _Entry:
    """A `Provider` that asks for a model by its provider's name of it, with the defaults that the catalogue has."""

    def __init__(self, inner: Provider, model: Model) -> None:
        self._inner = inner
        self._defaults = Defaults(model)

    def open(self, request: ChatRequest) -> Opening:
        return self._inner.open(self._defaults.under(request))


@contextmanager
def open_registry(meter: Meter, *, clock: Callable[[], float], rand: Callable[[], float]) -> Iterator[Registry]:
    """Yield a registry whose upstreams share their connections, and close these at the end."""
    connections = ConnectionPool()
    try:
        yield Registry(Environment(connections, meter, clock, rand))
    finally:
        connections.close()


class Defaults:
    """What the catalogue says of a model, looked up once and not for every request."""

    def __init__(self, model: Model) -> None:
        self._name = model.model
        self._parameters = model.parameters.model_dump(exclude_none=True)

    def under(self, request: ChatRequest) -> ChatRequest:
        """Return `request` in the provider's name of the model, with its parameters where it has none of its own."""
        missing = {name: value for name, value in self._parameters.items() if getattr(request, name) is None}
        return msgspec.structs.replace(request, model=self._name, **missing)


def _dialect(provider: RuntimeProvider) -> Dialect:
    base_url = (provider.base_url or "").rstrip("/")
    match provider.type:
        case ProviderType.OPENAI:
            return openai.OpenAI(base_url or openai.BASE_URL)
        case ProviderType.ANTHROPIC:
            return anthropic.Anthropic(base_url or anthropic.BASE_URL)
        case ProviderType.OPENAI_COMPATIBLE if base_url:
            return openai.Compatible(base_url)
        case ProviderType.AZURE_OPENAI if base_url and provider.azure_api_version:
            return openai.AzureOpenAI(base_url, provider.azure_api_version)
    raise ValueError(
        f"provider {provider.name}: type {provider.type} needs baseURL, and azureOpenAI also azureApiVersion"
    )


def _named(providers: Mapping[str, RuntimeProvider], model: Model) -> RuntimeProvider:
    if model.provider not in providers:
        raise ValueError(f"model {model.name}: provider {model.provider} is not among providers; add it or correct it")
    return providers[model.provider]


def _with_fallbacks(model: Model, single: Mapping[str, Provider]) -> Provider:
    if unknown := [name for name in model.fallbacks if name not in single]:
        raise ValueError(f"model {model.name}: fallbacks {unknown} are not among models; add them or correct them")
    chain = [single[name] for name in (model.name, *model.fallbacks)]
    return Fallback(chain) if len(chain) > 1 else chain[0]


async def _checked(upstream: Upstream | Scripted) -> Dependency:
    if isinstance(upstream, Scripted):
        return Dependency(state=State.UP)
    try:
        await upstream.check()
    except ChatError as error:
        return Dependency(state=State.DOWN, message=error.detail or error.message)
    return Dependency(state=State.UP)
