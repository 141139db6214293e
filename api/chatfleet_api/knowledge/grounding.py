"""A provider that answers from documents: retrieves, then opens the one behind it, and adds what it has cited."""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from msgspec.structs import replace

from chatfleet_api.domain.events import Citation, Retrieval
from chatfleet_api.domain.request import ChatRequest, forget_sent
from chatfleet_api.knowledge.base import KnowledgeBase
from chatfleet_api.knowledge.contents import Passages
from chatfleet_api.knowledge.prompt import grounded, questions_of
from chatfleet_api.providers.provider import (
    DeferredOpening,
    EnteredStream,
    Finish,
    ItemBatch,
    Opening,
    Provider,
    Stream,
    enter,
)

FOUND: Final = "found"
NOTHING: Final = "nothing"
UNAVAILABLE: Final = "unavailable"
BY_WORDS: Final = "by_words"
"""Found, though not by meaning: the embedding model did not respond, or the documents have no vectors yet."""


class RetrievalMeter(Protocol):
    """Counts retrievals."""

    def retrieved(self, model: str, result: str, seconds: float) -> None:
        """Count one that took `seconds`; `result` is `found`, `by_words`, `nothing` or `unavailable`."""
        ...


class Grounded:
    """A `Provider` whose every request goes with what was retrieved for it, an answer that is continued too."""

    def __init__(
        self, inner: Provider, base: KnowledgeBase, model: str, *, meter: RetrievalMeter, clock: Callable[[], float]
    ) -> None:
        self.inner = inner
        self._base = base
        self._model = model
        self._meter = meter
        self._clock = clock

    def open(self, request: ChatRequest) -> Opening:
        return DeferredOpening(partial(self._open, request))

    async def _open(self, request: ChatRequest) -> EnteredStream:
        passages = await self._retrieve(request)
        asked = grounded(request, passages)
        opening, stream = await enter(self.inner.open(asked))
        forget_sent(asked)
        citations = tuple(Citation(each.source, each.chunk, each.score) for each in passages.cited)
        return opening, _Cited(stream, citations, "by_words" if passages.by_words else "")

    async def _retrieve(self, request: ChatRequest) -> Passages:
        began, result = self._clock(), UNAVAILABLE
        try:
            passages = await self._base.passages(questions_of(request))
            found = BY_WORDS if passages.by_words else FOUND
            result = found if passages.cited else NOTHING
        finally:
            self._meter.retrieved(self._model, result, self._clock() - began)
        return passages


class _Cited:
    """A stream whose finish has the citations."""

    __slots__ = ("_citations", "_retrieval", "_stream")

    def __init__(self, stream: Stream, citations: tuple[Citation, ...], retrieval: Retrieval) -> None:
        self._stream = stream
        self._citations = citations
        self._retrieval = retrieval

    def __aiter__(self) -> "_Cited":
        return self

    async def __anext__(self) -> ItemBatch:
        batch = await anext(self._stream)
        last = batch[-1]
        if not isinstance(last, Finish):
            return batch
        return [*batch[:-1], replace(last, citations=self._citations, retrieval=self._retrieval)]
