"""Embeddings, counted as answers are."""

from collections.abc import Callable
from dataclasses import dataclass

from chatfleet_api.chat.accounting import Accounting, Used, consumer_of
from chatfleet_api.chat.models import EmbeddingModels
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.providers.vectors import EmbeddingRequest
from chatfleet_api.usage.attempts import noting


@dataclass(frozen=True)
class Embeddings:
    """Makes embeddings for callers."""

    models: Live[EmbeddingModels]
    accounting: Accounting | None
    new_id: Callable[[], str]

    async def create(self, principal: Principal, request: EmbeddingRequest) -> bytes:
        """Return the answer for the client; raises `ChatError` as `EmbeddingModel.create` does."""
        maker = self.models().embedding(request.model)
        with noting() as attempts:
            answer = await maker.create(request)
        if self.accounting is not None:
            start = Start(self.new_id(), request.model, 0)
            self.accounting.add(principal.tenant, Used(start, consumer_of(principal), attempts.ended))
        return answer
