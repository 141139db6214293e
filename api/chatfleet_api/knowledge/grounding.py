"""A provider that answers from documents: retrieves, then opens the one behind it, and adds what it has cited."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Citation, Retrieval
from chatfleet_api.domain.request import ChatRequest, forget_sent
from chatfleet_api.knowledge.contents import Passages
from chatfleet_api.knowledge.prompt import grounded, questions_of, ungrounded
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
from chatfleet_contract.spec.knowledge import OnUnavailable

FOUND: Final = "found"
NOTHING: Final = "nothing"
UNAVAILABLE: Final = "unavailable"
BY_WORDS: Final = "by_words"
"""Found, though not by meaning: the embedding model did not respond, or the documents have no vectors yet."""


class Base(Protocol):
    """What has the documents of a model."""

    async def passages(self, questions: Sequence[str]) -> Passages:
        """Return what goes to a model with the last of `questions`; raises `ChatError(KNOWLEDGE_UNAVAILABLE)`."""
        ...


class RetrievalMeter(Protocol):
    """Counts retrievals."""

    def retrieved(self, model: str, result: str, seconds: float) -> None:
        """Count one that took `seconds`; `result` is `found`, `by_words`, `nothing` or `unavailable`."""
        ...


class Grounded:
    """A `Provider` whose every request goes with what was retrieved for it, an answer that is continued too."""

    def __init__(  # noqa: PLR0913  # its own, and what it counts with
        self,
        inner: Provider,
        base: Base,
        model: str,
        *,
        meter: RetrievalMeter,
        clock: Callable[[], float],
        on_unavailable: OnUnavailable = "fail",
    ) -> None:
        self.inner = inner
        self._base = base
        self._model = model
        self._meter = meter
        self._clock = clock
        self._answers_without = on_unavailable == "answer"

    def open(self, request: ChatRequest) -> Opening:
        return DeferredOpening(partial(self._open, request))

    async def _open(self, request: ChatRequest) -> EnteredStream:
        try:
            passages = await self._retrieve(request)
        except ChatError as error:
            if error.code is not Code.KNOWLEDGE_UNAVAILABLE or not self._answers_without:
                raise
            return await self._entered(ungrounded(request), (), "unavailable")
        citations = tuple(Citation(each.source, each.chunk, each.score) for each in passages.cited)
        return await self._entered(grounded(request, passages), citations, "by_words" if passages.by_words else "")

    async def _entered(
        self, asked: ChatRequest, citations: tuple[Citation, ...], retrieval: Retrieval
    ) -> EnteredStream:
        opening, stream = await enter(self.inner.open(asked))
        forget_sent(asked)
        return opening, _Cited(stream, citations, retrieval)

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
