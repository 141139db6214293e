"""How a base finds chunks by meaning: the vectors of a version, and that of each question.

What fails here leaves a base that finds by words. A question waits for its vector for `QUESTION_SECONDS` at most.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.knowledge.contents import Contents, Nearest
from chatfleet_api.knowledge.embedding import ChunkVectors, digest_of, embedded
from chatfleet_api.knowledge.library import EmbeddingModels
from chatfleet_api.knowledge.query import text_of
from chatfleet_api.knowledge.vector_index import VectorIndex
from chatfleet_api.knowledge.vector_store import VECTOR_SECONDS
from chatfleet_api.providers.vectors import EmbeddingModel

QUESTION_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 5.0
"""In which no question waits for a model that has just failed."""
REPORTED_SECONDS: Final = 60.0
"""How long a failed question is a problem of the base, if none has succeeded since."""
RETRY_SECONDS: Final = 15.0
KEEP_SECONDS: Final = VECTOR_SECONDS / 7
MAX_CHUNKS: Final = 50_000

logger = logging.getLogger(__name__)


class _Made(NamedTuple):
    contents: Contents
    vectors: VectorIndex


class Semantic:
    """The vectors of one base, by the model `name`."""

    def __init__(self, name: str, models: EmbeddingModels, clock: Callable[[], float]) -> None:
        self._name = name
        self._models = models
        self._clock = clock
        self._made: _Made | None = None
        self._retry_at = self._failed_at = self._kept_at = float("-inf")
        self._vectors_problem = ""
        self._question_problem = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """Return why chunks are found by words alone. Any thread may call this."""
        recent = self._clock() - self._failed_at < REPORTED_SECONDS
        return tuple(filter(None, (self._vectors_problem or (self._question_problem if recent else ""),)))

    async def nearest(self, contents: Contents, questions: Sequence[str], executor: Executor) -> Nearest | None:
        """Return the ranking of `contents` for the last of `questions`; None: words alone have to do."""
        made, text = self._made, text_of(questions)
        if made is None or made.contents is not contents or self._clock() - self._failed_at < PAUSE_SECONDS:
            return None
        try:
            model = self._models(self._name)
            if model.space != made.vectors.space:
                return None
            async with asyncio.timeout(QUESTION_SECONDS):
                (vector,) = await embedded(model, self._name, [text], executor)
            _require_length(vector, made.vectors.dimensions)
        except (ChatError, TimeoutError) as error:
            self._failed_at = self._clock()
            why = _why(error) if isinstance(error, ChatError) else f"no answer within {QUESTION_SECONDS:.0f} s"
            self._question_problem = self._problem("a question", why)
            return None
        self._question_problem = ""
        return made.vectors.nearest_to(vector)

    async def follow(self, contents: Contents, vectors: ChunkVectors, executor: Executor) -> None:
        """Have the vectors of `contents`, made if need be; what fails is tried again some calls later."""
        if self._clock() < self._retry_at:
            return
        try:
            model, made = self._models(self._name), self._made
            if made is None or made.contents is not contents or made.vectors.space != model.space:
                await self._make(model, contents, vectors, executor)
            elif self._clock() - self._kept_at >= KEEP_SECONDS:
                await vectors.store.keep(made.vectors.space, made.vectors.digests)
                self._kept_at = self._clock()
        except ChatError as error:
            self._retry_at = self._clock() + RETRY_SECONDS
            self._vectors_problem = self._problem("documents", _why(error))
        else:
            self._vectors_problem = ""

    async def _make(self, model: EmbeddingModel, contents: Contents, vectors: ChunkVectors, executor: Executor) -> None:
        loop, former = asyncio.get_running_loop(), self._made
        if not 0 < contents.size <= MAX_CHUNKS:
            self._made = None
            if contents.size:
                detail = f"they have {contents.size} chunks, {MAX_CHUNKS} at most; divide them among models"
                raise ChatError(Code.KNOWLEDGE_UNAVAILABLE, detail=detail)
            return
        digests, texts = await loop.run_in_executor(executor, _digested, contents)
        known = former.vectors if former and former.vectors.space == model.space else None
        found = {digest: vector for digest in texts if known and (vector := known.known(digest))}
        await vectors.complete(model, self._name, found, texts=texts)
        for vector in found.values():
            _require_length(vector, len(found[digests[0]]))
        index = await loop.run_in_executor(executor, VectorIndex, model.space, digests, found)
        self._made, self._kept_at = _Made(contents, index), self._clock()
        logger.info("Embedded %d chunks by model %s", contents.size, self._name)

    def _problem(self, what: str, why: str) -> str:
        return (
            f"the embedding model {self._name} has no vectors of {what}: {why.rstrip('.')}; answers are found by words"
            " alone until it does"
        )


def _digested(contents: Contents) -> tuple[list[bytes], dict[bytes, str]]:
    texts = contents.texts()
    digests = [digest_of(text) for text in texts]
    return digests, dict(zip(digests, texts, strict=True))


def _require_length(vector: bytes, dimensions: int) -> None:
    if len(vector) != dimensions:
        detail = f"its vectors have {dimensions} and {len(vector)} numbers; give its new version another name"
        raise ChatError(Code.UPSTREAM_MALFORMED, detail=detail)


def _why(error: ChatError) -> str:
    return error.detail or error.message
