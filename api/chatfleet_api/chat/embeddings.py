"""Embeddings, limited and counted as answers are."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from chatfleet_api.chat.accounting import Accounting, Used, consumer_of
from chatfleet_api.chat.limits import NO_TOKENS, Limits, held_for, share_of
from chatfleet_api.chat.models import EmbeddingModels
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.usage_estimate import BYTES_PER_TOKEN
from chatfleet_api.providers.vectors import EmbeddingRequest
from chatfleet_api.usage.attempts import noting


@dataclass(frozen=True)
class Embeddings:
    """Makes embeddings for callers."""

    models: Live[EmbeddingModels]
    accounting: Accounting | None
    limits: Limits | None
    new_id: Callable[[], str]

    async def create(self, principal: Principal, request: EmbeddingRequest) -> bytes:
        """Return the answer for the client; raises `ChatError` as `EmbeddingModel.create` and `reserved` do."""
        maker = self.models().embedding(request.model)
        held = await held_for(self.limits, principal, request.model, partial(_tokens, request))
        with share_of(self.limits, principal.tenant, held) as share, noting() as attempts:
            try:
                answer = await maker.create(request)
            except ChatError:
                await share.settle(NO_TOKENS)
                raise
            used = None
            if self.accounting is not None:
                start = Start(self.new_id(), request.model, 0)
                used = self.accounting.add(principal.tenant, Used(start, consumer_of(principal), attempts.ended))
            await share.settle(used or NO_TOKENS)
        return answer


def _tokens(request: EmbeddingRequest) -> int:
    """Return a guess at the tokens of a request."""
    return -(-len(msgspec.json.encode(request.fields.get("input"))) // BYTES_PER_TOKEN)
