"""A model's documents in a collection of ChromaDB: each question is embedded, and what is nearest to it is retrieved.

A collection that does not respond opens a circuit breaker; the check every few seconds closes it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.knowledge.base import SEARCHES
from chatfleet_api.knowledge.chroma import ChromaCollection, ChromaError, RefusedError, retrieved_of
from chatfleet_api.knowledge.contents import Passages, fitting
from chatfleet_api.knowledge.embedding import embedded_question
from chatfleet_api.knowledge.index import Retrieved
from chatfleet_api.knowledge.library import EmbeddingModels
from chatfleet_api.knowledge.query import text_of
from chatfleet_api.providers.policies.circuit_breaker import CircuitBreaker
from chatfleet_contract.report import ComponentHealth, ComponentState
from chatfleet_contract.spec.knowledge import Knowledge

EMBEDDING_SECONDS: Final = 2.0
"""For the vector of a question."""
REPORTED_SECONDS: Final = 60.0
"""How long a question that failed is a problem, if none has succeeded since."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class CollectionBase:
    """The documents of one collection, for models with equal `knowledge`."""

    def __init__(
        self,
        knowledge: Knowledge,
        collection: ChromaCollection,
        models: EmbeddingModels,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """`clock` counts monotonic seconds; `now` is the time of day, with a zone."""
        self.health = ComponentHealth(component=collection.name, state=ComponentState.UNKNOWN)
        """Any thread may read it: it is replaced as a whole."""
        self._knowledge = knowledge
        self._collection = collection
        self._models = models
        self._clock = clock
        self._now = now
        self._breaker = CircuitBreaker(on_change=self._circuit_changed, clock=clock)
        self._problem = ""
        self._failed_at = float("-inf")

    @property
    def problems(self) -> tuple[str, ...]:
        """Return why questions fail, although the collection responds. Any thread may call this."""
        recent = self._clock() - self._failed_at < REPORTED_SECONDS
        return (self._problem,) if self._problem and recent else ()

    async def passages(self, questions: Sequence[str]) -> Passages:
        """Return the chunks that are nearest to the last of `questions`; raises `ChatError(KNOWLEDGE_UNAVAILABLE)`."""
        text = text_of(questions)
        if not text.strip():
            return Passages("", (), ())
        vector = await self._embedded(text)
        try:
            probe = self._breaker.admit()
        except ChatError as error:
            raise _unavailable(f"{self._name}: the circuit breaker is open: {self.health.message}") from error
        try:
            found = await self._found(vector, probe=probe)
        finally:
            if probe:
                self._breaker.release()
        self._problem = ""
        return Passages("", found, found)

    async def check(self) -> None:
        """See whether the collection can be used."""
        began = self._clock()
        try:
            await self._attempt(self._collection.check)
        except RefusedError as error:
            self._saw(ComponentState.DOWN, str(error), began)
        except ChromaError:
            self._breaker.suspect()

    @property
    def _name(self) -> str:
        return f"collection {self._collection.name} of ChromaDB"

    async def _embedded(self, text: str) -> list[float]:
        name = self._knowledge.embedding.model if self._knowledge.embedding else ""
        try:
            async with asyncio.timeout(EMBEDDING_SECONDS):
                return await embedded_question(self._models(name), name, text)
        except (ChatError, TimeoutError) as error:
            late = f"no answer within {EMBEDDING_SECONDS:.0f} s"
            why = (error.detail or error.message) if isinstance(error, ChatError) else late
            problem = f"the embedding model {name} has no vector of a question: {why.rstrip('.')}; see its upstream"
            raise self._failed(problem) from error

    async def _found(self, vector: list[float], *, probe: bool) -> tuple[Retrieved, ...]:
        limit = self._knowledge.top_k
        try:
            answer = await self._attempt(lambda: self._collection.find(vector, limit), probe=probe)
            return await asyncio.get_running_loop().run_in_executor(SEARCHES, self._fitting, answer)
        except RefusedError as error:
            if self.health.state is not ComponentState.UP:
                raise _unavailable(f"{self._name}: {error}") from error
            raise self._failed(f"{self._name} refuses a question: {error}") from error
        except ChromaError as error:
            raise _unavailable(f"{self._name}: {error}") from error

    def _fitting(self, answer: bytes) -> tuple[Retrieved, ...]:
        found = retrieved_of(answer, self._knowledge.collection.collection if self._knowledge.collection else "")
        return fitting(found, self._knowledge.context_tokens)

    async def _attempt(self, call: Callable[[], Awaitable[T]], *, probe: bool = False) -> T:
        """Return what `call` does, and let the health and the circuit breaker follow from it."""
        began = self._clock()
        try:
            found = await call()
        except RefusedError:
            raise
        except ChromaError as error:
            self._breaker.failed(probe=probe)
            self._saw(ComponentState.DOWN, str(error), began)
            raise
        self._breaker.succeeded()
        self._saw(ComponentState.UP, None, began)
        return found

    def _saw(self, state: ComponentState, message: str | None, began: float) -> None:
        before = self.health
        if state is not before.state:
            if state is ComponentState.DOWN:
                logger.warning("%s cannot be used: %s", self._name.capitalize(), message)
            elif before.state is ComponentState.DOWN:
                logger.warning("%s can be used again", self._name.capitalize())
        same = state is before.state and before.since
        self.health = ComponentHealth(
            component=before.component,
            state=state,
            message=message,
            latency_milliseconds=round((self._clock() - began) * 1000, 1),
            since=before.since if same else self._now().isoformat(timespec="milliseconds"),
        )

    def _circuit_changed(self, is_open: bool) -> None:  # noqa: FBT001  # a callback of one argument
        logger.info("The circuit breaker of %s is %s", self._name, "open" if is_open else "closed")

    def _failed(self, problem: str) -> ChatError:
        self._problem, self._failed_at = problem, self._clock()
        return _unavailable(problem)


def _unavailable(detail: str) -> ChatError:
    return ChatError(Code.KNOWLEDGE_UNAVAILABLE, detail=detail)
