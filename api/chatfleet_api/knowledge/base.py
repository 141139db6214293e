"""One base of documents in a pod: read again when a file changes, indexed in a thread, published when it is whole."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.tasks import TaskKind, Tasks
from chatfleet_api.knowledge.contents import Contents, Passages
from chatfleet_api.knowledge.documents import Reading, UnreadableError
from chatfleet_api.knowledge.sources import Signature, Sources
from chatfleet_contract.spec.knowledge import Knowledge

if TYPE_CHECKING:
    from chatfleet_api.knowledge.embedding import ChunkVectors
    from chatfleet_api.knowledge.semantic import Semantic

SEARCHES: Final = ThreadPoolExecutor(1, "search")
"""One: SQLite takes a whole core while it searches, and a pod has one."""
READS: Final = ThreadPoolExecutor(1, "index")
RETRY_SECONDS: Final = 60.0
"""After which documents are read again that were left out for a cause that may pass."""

logger = logging.getLogger(__name__)


class KnowledgeBase:
    """The newest version of a base."""

    def __init__(
        self,
        knowledge: Knowledge,
        folder: Path,
        tasks: Tasks | None = None,
        semantic: "Semantic | None" = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """ConfigMaps and volumes are mounted below `folder`, by their names; `tasks` shows when an index is made.

        Without `semantic`, words alone are looked for.
        """
        self._tasks = tasks
        self._semantic = semantic
        self._knowledge = knowledge
        self._sources = Sources(knowledge, folder)
        self._contents: Contents | None = None
        self._seen: Signature | None = None
        self._digest = ""
        self._refreshing = asyncio.Lock()
        self._problems: tuple[str, ...] = ()
        self._failure = ""
        self._clock = clock
        self._retry_at = math.inf

    @property
    def is_semantic(self) -> bool:
        """Whether chunks are to be found by meaning, too."""
        return self._semantic is not None

    @property
    def problems(self) -> tuple[str, ...]:
        """Which documents are missing, or why they are not used as they should; with names. Any thread may call it."""
        failure = self._failure
        return (*([failure] if failure else []), *self._problems, *(self._semantic.problems if self._semantic else ()))

    async def passages(self, questions: Sequence[str]) -> Passages:
        """Return what goes to a model with the last of `questions`, of one version of the documents.

        Raises `ChatError(KNOWLEDGE_UNAVAILABLE)`.
        """
        if self._contents is None:
            await self.refresh()
        contents = self._contents
        if contents is None or (self._failure and not contents.size):  # the files went before their folder did
            raise ChatError(Code.KNOWLEDGE_UNAVAILABLE, detail=self._failure)
        if contents.problem:
            raise ChatError(Code.KNOWLEDGE_UNAVAILABLE, detail=contents.problem)
        nearest = await self._semantic.nearest(contents, questions, SEARCHES) if self._semantic and questions else None
        loop = asyncio.get_running_loop()
        passages = await loop.run_in_executor(SEARCHES, contents.passages, questions, nearest)
        return passages._replace(by_words=self._semantic is not None and nearest is None)

    async def refresh(self) -> None:
        """Publish what the files hold, if that has changed. Requests get the version before until then.

        What fails is a problem, and the next call tries it again.
        """
        async with self._refreshing:
            await asyncio.get_running_loop().run_in_executor(READS, self._refresh)

    async def embed(self, vectors: "ChunkVectors") -> None:
        """Have the vectors of the documents, if they are to be found by meaning, too."""
        if self._semantic is not None and self._contents is not None and not self._contents.problem:
            await self._semantic.follow(self._contents, vectors, READS)

    def _refresh(self) -> None:
        try:
            self._follow()
            self._failure = ""
        except UnreadableError as unreadable:
            self._failed(unreadable, str(unreadable))
        except Exception as error:  # noqa: BLE001  # a defect, which must not end the following of other bases
            why = type(error).__name__
            self._failed(error, f"the documents of {self._sources.names} cannot be indexed ({why}); see the log")

    def _failed(self, error: Exception, failure: str) -> None:
        """Go on with the version before, and read again at the next look."""
        self._seen = None
        if failure != self._failure:
            logger.error("Documents not indexed: %s", failure, exc_info=error)
        self._failure = failure

    def _follow(self) -> None:
        signature = self._sources.signature()
        if signature == self._seen and self._clock() < self._retry_at:
            return
        reading = self._sources.read()
        digest = reading.digest()
        if self._contents is None or digest != self._digest:
            contents = self._index(reading)
            logger.info("Indexed %d chunks of %d documents", contents.size, len(reading.documents))
            self._contents, self._digest = contents, digest
        problem = self._contents.problem
        self._problems = (*reading.problems, *([problem] if problem else []))
        self._retry_at = self._clock() + RETRY_SECONDS if reading.transient else math.inf
        self._seen = None if reading.unfinished else signature  # the last step: what changes meanwhile is read again

    def _index(self, reading: Reading) -> Contents:
        if self._tasks is None:
            return Contents(self._knowledge, reading)
        with self._tasks.running(TaskKind.INDEXING, {"sources": self._sources.names}) as task:
            contents = Contents(self._knowledge, reading)
            if contents.problem:
                task.failed(contents.problem)
            else:
                task.result = f"{contents.size} chunks of {len(reading.documents)} documents"
        return contents
