"""From the runtime configuration to the catalogue: each model a provider behind the same policies, in the same order.

From the outside: documents, response cache, fallback, prefill, retry, quota, circuit breaker, concurrency limit, span,
measuring, defaults, upstream. A fallback is worth its price only when retries did not help; a back-off, and the pause
of a quota, hold no slot; waiting for a slot is not the upstream's failure.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.catalogue import Catalogue, SharedUpstream
from chatfleet_api.providers.embeddings import Embedder
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.fleet_news import FleetNews
from chatfleet_api.providers.policies.circuit_breaker import CircuitBreaker, CircuitBreaking
from chatfleet_api.providers.policies.concurrency import ConcurrencyLimited, Slots
from chatfleet_api.providers.policies.fallback import Fallback, Upstream
from chatfleet_api.providers.policies.instrumented import Instrumented, Meter, ModelLabels
from chatfleet_api.providers.policies.prefill import Prefill
from chatfleet_api.providers.policies.quota import QuotaChecked, QuotaKeeping, Scope, patience
from chatfleet_api.providers.policies.retry import Retrying
from chatfleet_api.providers.policies.retry_budget import RetryBudget
from chatfleet_api.providers.policies.traced import Traced, TracedModel
from chatfleet_api.providers.provider import Opening, Provider
from chatfleet_api.providers.quotas import Quotas
from chatfleet_api.providers.response_cache.cache import ResponseCache
from chatfleet_api.providers.response_cache.cached import Cached
from chatfleet_api.providers.response_cache.key import model_mark
from chatfleet_api.providers.shutdown_dates import SHUTDOWN_DATES
from chatfleet_api.providers.vendors.table import VENDORS
from chatfleet_api.redis.client import RedisClient
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.knowledge import Knowledge
from chatfleet_contract.spec.providers import Model

Ground: TypeAlias = Callable[[Provider, str, Knowledge, str], Provider]
"""Returns a provider as it answers from documents: those of `knowledge` of a model, by its name, below a folder."""


@contextmanager
def open_registry(
    meter: Meter,
    *,
    clock: Callable[[], float],
    rand: Callable[[], float],
    recheck: Callable[[], None],
    environ: Mapping[str, str],
) -> Iterator["Registry"]:
    """Yield a registry whose upstreams share their connections, and close these at the end."""
    with closing(ConnectionPool()) as connections:
        yield Registry(Environment(connections, meter, clock, rand, recheck, environ))


class Registry:
    """Makes catalogues. A provider whose settings did not change keeps its open requests and its circuit breaker."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._upstreams: dict[RuntimeProvider, SharedUpstream] = {}
        self._quotas = Quotas(environment.meter, environment.clock)
        self.cache: ResponseCache | None = None
        """Answers of all pods; None: this one has no Redis."""

    def join(self, redis: RedisClient, pod: str) -> FleetNews:
        """Share from now on with the other pods what answers show of upstreams; return what has to run for it."""
        clock = self._environment.clock
        self._quotas.fleet = news = FleetNews(redis, self._quotas, pod=pod, suspect=self._suspect, clock=clock)
        return news

    def _suspect(self, provider: str) -> None:
        for settings, upstream in self._upstreams.items():
            if settings.name == provider:
                upstream.breaker.suspect()

    def catalogue(
        self, config: RuntimeConfig, ground: Ground | None = None, kind: Callable[..., Catalogue] = Catalogue
    ) -> Catalogue:
        """Return the catalogue of `config`, of a `kind`; raise `ValueError` when parts of it do not fit together.

        Without `ground`, no model answers from documents.
        """
        egress = Egress.of(config.egress)
        upstreams = {
            provider: self._upstreams.get(provider) or self._connect(provider) for provider in config.providers
        }
        providers = {provider.name: provider for provider in config.providers}
        named_models = [(model, _named(providers, model)) for model in config.models]
        marks = {model.name: model_mark(model, provider) for model, provider in named_models}
        single, hurried = (
            {model.name: self._single(model, provider, upstreams, waits=waits) for model, provider in named_models}
            for waits in (True, False)
        )
        names = {model.name: (model.provider, model.model) for model in config.models}
        models = {
            model.name: ground(provider, model.name, model.knowledge, config.knowledge_folder)
            if model.knowledge and ground
            else provider
            for model in config.models
            for provider in [self._cached(model, marks[model.name], _with_fallbacks(model, single, hurried, names))]
        }
        self._upstreams = upstreams
        self._quotas.keep([Scope(*name) for name in names.values()])
        named = {provider.name: upstream for provider, upstream in upstreams.items()}
        if self._environment.connections.dialer.egress != egress:
            self._environment.connections.use(Dialer(egress))
        self._environment.recheck()
        embedding = {
            model.name: self._embedder(model, provider, upstreams[provider]) for model, provider in named_models
        }
        return kind(models, named, {model.name: model for model in config.models}, embedding)

    def _cached(self, model: Model, mark: bytes, provider: Provider) -> Provider:
        labels = ModelLabels(model.provider, model.name, model.model)
        return Cached(provider, labels, mark, lambda: self.cache)

    def _connect(self, provider: RuntimeProvider) -> SharedUpstream:
        clock = self._environment.clock
        return SharedUpstream(
            VENDORS[provider.type](provider, self._environment),
            Slots(provider.max_concurrent_requests),
            CircuitBreaker(on_change=partial(self._circuit_changed, provider.name), clock=clock),
            RetryBudget(clock),
            SHUTDOWN_DATES.get(provider.type, {}),
        )

    def _circuit_changed(self, provider: str, is_open: bool) -> None:  # noqa: FBT001  # a gauge's value
        self._environment.meter.circuit_open(provider, is_open)
        if is_open:
            self._quotas.fleet.circuit_opened(provider)

    def _embedder(self, model: Model, provider: RuntimeProvider, upstream: SharedUpstream) -> Embedder:
        labels = ModelLabels(provider.name, model.name, model.model)
        meter, rand = self._environment.meter, self._environment.rand
        quota = self._quotas.of(Scope(provider.name, model.model))
        return Embedder(upstream, provider, labels, meter, rand, _traced(provider, model), quota)

    def _single(
        self,
        model: Model,
        provider: RuntimeProvider,
        upstreams: Mapping[RuntimeProvider, SharedUpstream],
        *,
        waits: bool,
    ) -> Provider:
        """Return `model` as its own provider answers it, without fallbacks; it `waits` for quotas, or fails at once."""
        upstream, environment = upstreams[provider], self._environment
        meter = environment.meter
        labels = ModelLabels(provider.name, model.name, model.model)
        measured = Instrumented(WithDefaults(upstream.backend, model), labels, meter=meter, clock=environment.clock)
        traced = Traced(measured, _traced(provider, model), environment.clock)
        quota = self._quotas.of(Scope(provider.name, model.model))
        checked = QuotaChecked(traced, quota)
        limited = ConcurrencyLimited(checked, upstream.slots, timeout_seconds=provider.timeouts.first_token_seconds)
        retrying = Retrying(
            QuotaKeeping(
                CircuitBreaking(limited, upstream.breaker), quota, patience=patience(provider.retries) if waits else 0.0
            ),
            provider.retries,
            on_retry=partial(meter.retried, provider.name, model.name),
            budget=upstream.budget,
            rand=environment.rand,
        )
        return retrying if model.continuation == "none" else Prefill(retrying, model.continuation)


class WithDefaults:
    """A `Provider` that sends the provider's own name of a model, and the model's parameters where they are not set."""

    def __init__(self, inner: Provider, model: Model) -> None:
        self._inner = inner
        self._name = model.model
        self._parameters = model.parameters.model_dump(exclude_none=True)

    def open(self, request: ChatRequest) -> Opening:
        missing = {name: value for name, value in self._parameters.items() if getattr(request, name) is None}
        return self._inner.open(msgspec.structs.replace(request, model=self._name, **missing))


def _traced(provider: RuntimeProvider, model: Model) -> TracedModel:
    server = urlsplit(provider.base_url).hostname if provider.base_url else None
    return TracedModel(provider.name, model.model, provider.type, server)


def _named(providers: Mapping[str, RuntimeProvider], model: Model) -> RuntimeProvider:
    if model.provider not in providers:
        raise ValueError(f"model {model.name}: provider {model.provider} is not in providers; add it or correct it")
    return providers[model.provider]


def _with_fallbacks(
    model: Model, single: Mapping[str, Provider], hurried: Mapping[str, Provider], names: Mapping[str, Upstream]
) -> Provider:
    if unknown := [name for name in model.fallbacks if name not in single]:
        raise ValueError(f"model {model.name}: fallbacks {unknown} are not in models; add them or correct them")
    chain = (model.name, *model.fallbacks)
    return (
        Fallback([hurried[name] for name in chain], [names[name] for name in chain], [single[name] for name in chain])
        if len(chain) > 1
        else single[model.name]
    )
