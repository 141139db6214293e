"""What is served: the models of one runtime configuration, and the upstreams behind them."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.model_names import unknown_model
from chatfleet_api.domain.request import ChatRequest, in_common_terms
from chatfleet_api.domain.tools import ToolUse
from chatfleet_api.domain.unexpected import UnexpectedErrors
from chatfleet_api.providers.policies.circuit_breaker import CircuitBreaker
from chatfleet_api.providers.policies.concurrency import Slots
from chatfleet_api.providers.policies.retry_budget import RetryBudget
from chatfleet_api.providers.provider import Backend, Provider
from chatfleet_api.providers.vectors import EmbeddingModel
from chatfleet_contract import report
from chatfleet_contract.report import MAX_REPORTED_MODELS, Dependency, ModelOutcome, State, UpstreamTraffic
from chatfleet_contract.spec.provider_types import Continuation
from chatfleet_contract.spec.providers import Model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedUpstream:
    """What the models of one provider share."""

    backend: Backend
    slots: Slots
    breaker: CircuitBreaker
    budget: RetryBudget
    shutdown_dates: Mapping[str, str] = field(default_factory=dict)
    """Days on which models shut down, as far as they are known, by the vendor's name of the model."""

    def traffic(self) -> UpstreamTraffic:
        """Return the state of the policies, also to another thread: nothing here waits or changes anything."""
        left = self.breaker.seconds_left
        open_state = report.CircuitState.OPEN if left else report.CircuitState.HALF_OPEN
        return UpstreamTraffic(
            circuit=open_state if self.breaker.open else report.CircuitState.CLOSED,
            circuit_open_seconds=left,
            retries_left=self.budget.left,
            active_requests=self.slots.taken,
            max_concurrent_requests=self.slots.limit,
            queued=self.slots.queued,
        )


class Catalogue:
    """The models of one runtime configuration. It holds nothing that must be closed: drop it for a newer one."""

    def __init__(
        self,
        models: Mapping[str, Provider],
        upstreams: Mapping[str, SharedUpstream],
        entries: Mapping[str, Model],
        embedding: Mapping[str, EmbeddingModel],
    ) -> None:
        self._embedding = embedding
        self._models = models
        self._upstreams = upstreams
        self._entries = entries
        self._unexpected = UnexpectedErrors(logger)

    def provider(self, model: str) -> Provider:
        """Return the provider of `model`; raise `ChatError(MODEL_NOT_FOUND)` when there is no such model."""
        try:
            return self._models[model]
        except KeyError:
            raise unknown_model(model) from None

    def embedding(self, model: str) -> EmbeddingModel:
        """Return what makes embeddings by `model`; raise `ChatError(MODEL_NOT_FOUND)` as `provider`."""
        self.provider(model)
        return self._embedding[model]

    def continuation(self, model: str) -> Continuation:
        """Return how `model` continues an answer that was cut; raise `ChatError(MODEL_NOT_FOUND)` as `provider`."""
        self.provider(model)
        return self._entries[model].continuation

    def max_tokens(self, model: str) -> int | None:
        """Return the default for the most output tokens of `model`, if it has one; raise as `provider`."""
        self.provider(model)
        return self._entries[model].parameters.max_tokens

    async def count_tokens(self, request: ChatRequest) -> int | None:
        """Return the tokens of `request` as its model's provider counts them; None: it has no count.

        Raises `ChatError(MODEL_NOT_FOUND)`, or what the provider fails with.
        """
        self.provider(request.model)
        model = self._entries[request.model]
        return await self._upstreams[model.provider].backend.count_tokens(replace(request, model=model.model))

    def require_supported(self, request: ChatRequest) -> None:
        """Raise `ChatError(INVALID_REQUEST)` for a part of `request` that the upstream it would go to does not have.

        Raises `ChatError(MODEL_NOT_FOUND)` as `provider`. No upstream is contacted.
        """
        self.provider(request.model)
        if self._entries[request.model].tools:
            request = in_common_terms(request)
        model = self._first(request)
        self._upstreams[model.provider].backend.require_supported(replace(request, model=model.model))

    def _first(self, request: ChatRequest) -> Model:
        """Return the model that a request goes to first: as `Fallback` orders them."""
        model, affinity = self._entries[request.model], request.affinity
        if affinity is None:
            return model
        chain = (model, *(self._entries[name] for name in model.fallbacks))
        return next(
            (each for each in chain if (each.provider, each.model) == (affinity.provider, affinity.model)), model
        )

    def tool_use(self, model: str) -> ToolUse | None:
        """Return which tools of tool servers `model` may use; None: none, or there is no such model."""
        entry = self._entries.get(model)
        return ToolUse(tuple(entry.tools), entry.max_steps) if entry is not None and entry.tools else None

    def models(self) -> tuple[str, ...]:
        """Return the names that a client may use, in the order of the configuration."""
        return tuple(self._models)

    def shutdown_date(self, model: str) -> str | None:
        """Return the day on which the vendor shuts `model` down, if it is known; raise as `provider`."""
        self.provider(model)
        entry = self._entries[model]
        return self._upstreams[entry.provider].shutdown_dates.get(entry.model)

    async def check(self) -> dict[str, Dependency]:
        """Check at once that every upstream is reachable, accepts the key and has its models; by provider's name."""
        names = self._model_names()
        return dict(zip(names, await asyncio.gather(*(self._check(name, names[name]) for name in names)), strict=True))

    def check_subjects(self) -> dict[str, object]:
        """Return what a check of each provider is about, its settings and its models, as a value to be compared."""
        return {name: (self._upstreams[name], frozenset(models)) for name, models in self._model_names().items()}

    def _model_names(self) -> dict[str, list[str]]:
        """Return the providers' own names of their models."""
        names: dict[str, list[str]] = {provider: [] for provider in self._upstreams}
        for model in self._entries.values():
            names[model.provider].append(model.model)
        return names

    async def _check(self, name: str, models: Collection[str]) -> Dependency:
        part = f"The check of provider {name}"
        try:
            seen = Dependency(state=State.UP, message=await self._upstreams[name].backend.check(models))
        except ChatError as error:
            seen = Dependency(state=State.DOWN, message=error.detail or error.message)
        except Exception as error:  # noqa: BLE001  # one provider must not hide the state of the others
            self._unexpected.failed(part, error)
            return Dependency(state=State.DOWN, message=f"the check failed: {type(error).__name__}")
        self._unexpected.succeeded(part)
        return seen

    def outcomes(self) -> dict[str, ModelOutcome]:
        """Return what is known of the models, by name; unavailable ones first, and no more than a report may have."""
        seen = {
            name: outcome.model_copy(update={"provider": model.provider})
            for name, model in self._entries.items()
            if (outcome := self._upstreams[model.provider].backend.outcome(model.model))
        }
        order = sorted(seen.items(), key=lambda entry: entry[1].state is not State.DOWN)
        return dict(order[:MAX_REPORTED_MODELS])

    def traffic(self) -> dict[str, UpstreamTraffic]:
        """Return the state of the policies of every upstream, by provider's name."""
        return {name: upstream.traffic() for name, upstream in self._upstreams.items()}
