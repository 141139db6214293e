"""The port of the catalogue, as the application services need it."""

from typing import Protocol

from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Provider
from chatfleet_api.providers.vectors import EmbeddingModel
from chatfleet_contract.spec.provider_types import Continuation


class Models(Protocol):
    """The models of the current configuration. A run keeps the provider that it began with."""

    def provider(self, model: str) -> Provider:
        """Return the provider of `model`; raises `ChatError(MODEL_NOT_FOUND)`."""
        ...

    def continuation(self, model: str) -> Continuation:
        """Return how `model` can continue an answer that was cut; raises `ChatError(MODEL_NOT_FOUND)`."""
        ...

    def max_tokens(self, model: str) -> int | None:
        """Return the default for the most output tokens of `model`, if it has one; raises as `provider`."""
        ...

    async def count_tokens(self, request: ChatRequest) -> int | None:
        """Return the tokens of `request` as its model's provider counts them; None: it has no count.

        Raises `ChatError(MODEL_NOT_FOUND)`, or what the provider fails with.
        """
        ...

    def require_supported(self, request: ChatRequest) -> None:
        """Raise `ChatError(INVALID_REQUEST)` for a part of `request` that the upstream it would go to does not have.

        Raises `ChatError(MODEL_NOT_FOUND)`. No upstream is contacted.
        """
        ...

    def shutdown_date(self, model: str) -> str | None:
        """Return the day on which the vendor shuts `model` down, if known; raises `ChatError(MODEL_NOT_FOUND)`."""
        ...

    def models(self) -> tuple[str, ...]:
        """Return the names of all models; the first is the one for requests that name none."""
        ...


def allowed(principal: Principal, models: Models) -> tuple[str, ...]:
    """Return the names of the models that a caller may use; the first is the one for requests that name none."""
    names = models.models()
    return names if principal.models is None else tuple(name for name in names if name in principal.models)


class EmbeddingModels(Protocol):
    """The same models, as makers of embeddings."""

    def embedding(self, model: str) -> EmbeddingModel:
        """Return what makes embeddings by `model`; raises `ChatError(MODEL_NOT_FOUND)`."""
        ...
