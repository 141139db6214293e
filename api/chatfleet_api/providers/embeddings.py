"""Embeddings: one POST to the upstream, behind the same quota, slots, circuit breaker and retry budget as answers.

There is no fallback: the vectors of another model mean something else.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.catalogue import SharedUpstream
from chatfleet_api.providers.policies.instrumented import Meter, ModelLabels
from chatfleet_api.providers.policies.quota import Quota, StillPaused, patience
from chatfleet_api.providers.policies.retry import backoff, is_transient
from chatfleet_api.providers.policies.traced import TracedModel, embeddings_span
from chatfleet_api.providers.vectors import EmbeddingRequest, Vectors, vectors
from chatfleet_api.usage.attempts import Attempt, ended
from chatfleet_contract.runtime import RuntimeProvider


@dataclass(frozen=True)
class Embedder:
    """One model."""

    upstream: SharedUpstream
    provider: RuntimeProvider
    labels: ModelLabels
    meter: Meter
    rand: Callable[[], float]
    traced: TracedModel
    quota: Quota

    @property
    def space(self) -> str:
        """The upstream, and its own name of the model."""
        made_by = (self.provider.type, self.provider.base_url or "", self.labels.upstream_model)
        return hashlib.sha256("\0".join(made_by).encode()).hexdigest()[:16]

    async def create(self, request: EmbeddingRequest) -> bytes:
        """Return the answer for the client; raise `ChatError` as a `Provider` does."""
        body, budget, retries = request.body(self.labels.upstream_model), self.upstream.budget, self.provider.retries
        budget.deposit()
        attempt = 1
        while True:
            try:
                found = await self.quota.attempt(patience(retries), partial(self._attempt, body, request))
            except ChatError as error:
                if not is_transient(error) or attempt > retries.max or not budget.withdraw():
                    raise
                self.meter.retried(self.labels.provider, self.labels.model, error.code)
                await asyncio.sleep(backoff(retries, attempt, error, self.rand()))
                attempt += 1
            else:
                self.meter.used(self.labels.provider, self.labels.model, found.usage)
                ended(Attempt(*self.labels, found.usage))
                return found.body

    async def _attempt(self, body: bytes, request: EmbeddingRequest) -> Vectors:
        breaker = self.upstream.breaker
        code: Code | None = Code.CANCELLED
        probe = breaker.admit()
        asked = True
        try:
            async with self.upstream.slots.held(self.provider.timeouts.first_token_seconds):
                self.quota.require_resumed()
                with embeddings_span(self.traced):
                    answer = await self.upstream.backend.embed(self.labels.upstream_model, body)
            found = vectors(answer, model=request.model, encoding=request.encoding)
        except StillPaused:
            asked = False
            raise
        except ChatError as error:
            code = error.code
            if error.facts.trips_breaker:
                breaker.failed(probe=probe)
            raise
        else:
            code = None
            breaker.succeeded()
            return found
        finally:
            if asked:
                self.meter.attempted(self.labels.provider, self.labels.model, code)
            if probe:
                breaker.release()
