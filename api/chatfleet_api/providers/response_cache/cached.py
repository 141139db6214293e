"""The policy: an equal request of the same tenant is answered as before, and its upstream does not get it.

Around all other policies, so that a hit waits for no slot and no quota; below what answers from documents, so that the
key has what was retrieved. A request without `CacheUse` passes through.
"""

from collections.abc import AsyncGenerator, Callable

from chatfleet_api.domain import cache_use
from chatfleet_api.domain.cache_use import CacheUse
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.policies.instrumented import ModelLabels
from chatfleet_api.providers.provider import GeneratorOpening, ItemBatch, Opening, Provider
from chatfleet_api.providers.response_cache.answer import Recorder
from chatfleet_api.providers.response_cache.cache import ResponseCache
from chatfleet_api.providers.response_cache.key import cache_key
from chatfleet_api.providers.response_cache.store import Place
from chatfleet_api.usage.attempts import Attempt, ended


class Cached:
    """A `Provider` whose answers are kept."""

    def __init__(
        self, inner: Provider, labels: ModelLabels, mark: bytes, cache: Callable[[], ResponseCache | None]
    ) -> None:
        """`mark` stands for the model and its upstream (`model_mark`); without a `cache`, nothing is kept."""
        self._inner = inner
        self._labels = labels
        self._mark = mark
        self._cache = cache

    def open(self, request: ChatRequest) -> Opening:
        use = cache_use.current()
        if use is None:
            return self._inner.open(request)
        cache = self._cache()
        # The key is a hash of all that is sent, which may be megabytes: it is made last.
        key = cache_key(use.tenant, self._mark, request) if cache is not None and use.claim() else None
        if cache is None or key is None:
            use.decide(None)
            return self._inner.open(request)
        return GeneratorOpening(self._answered(request, cache, Place(use.tenant, self._labels.model, key), use))

    async def _answered(
        self, request: ChatRequest, cache: ResponseCache, place: Place, use: CacheUse
    ) -> AsyncGenerator[ItemBatch, None]:
        found = await cache.find(place, max_age_seconds=use.max_age_seconds) if use.reads else None
        if found is not None:
            answer, age = found
            use.decide("hit", age)
            ended(Attempt(*self._labels, answer.usage))
            yield answer.replayed()
            return
        use.decide("miss")
        recorder = Recorder()
        async with self._inner.open(request) as stream:
            async for batch in stream:
                recorder.take(batch)
                yield batch
        kept = recorder.kept(self._labels.provider, self._labels.upstream_model) if use.writes else None
        if kept is not None:
            cache.keep(place, kept)
