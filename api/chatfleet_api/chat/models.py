"""The catalogue of models, as runs need it."""

from typing import Protocol

from chatfleet_api.providers.provider import Provider
from chatfleet_contract.providers import Continuation


class Models(Protocol):
    def provider(self, model: str) -> Provider:
        """Return who answers for `model`; raises `ChatError(MODEL_NOT_FOUND)`."""
        ...

    def continuation(self, model: str) -> Continuation:
        """Return how `model` can continue an answer that was cut; raises `ChatError(MODEL_NOT_FOUND)`."""
        ...

    def models(self) -> tuple[str, ...]:
        """Return the names of all models; the first is the one for requests that name none."""
        ...
