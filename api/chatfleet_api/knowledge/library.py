"""The bases of a pod. Without `knowledge` in the configuration, nothing of an index is imported."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import WeakValueDictionary

from chatfleet_api.domain.tasks import Tasks
from chatfleet_api.providers.provider import Provider
from chatfleet_api.providers.vectors import EmbeddingModel
from chatfleet_contract.report import ComponentHealth
from chatfleet_contract.runtime import RuntimeEgress
from chatfleet_contract.spec.knowledge import Knowledge

if TYPE_CHECKING:
    from chatfleet_api.knowledge.base import KnowledgeBase
    from chatfleet_api.knowledge.collections import Collections
    from chatfleet_api.knowledge.embedding import ChunkVectors
    from chatfleet_api.knowledge.grounding import Base, RetrievalMeter
    from chatfleet_api.knowledge.semantic import Semantic

EmbeddingModels: TypeAlias = Callable[[str], EmbeddingModel]
"""Returns a model of the catalogue by its name; raises `ChatError(MODEL_NOT_FOUND)`."""

REFRESH_SECONDS: Final = 2.0
"""Time between two looks at the files."""
CHECK_SECONDS: Final = 5.0
"""Time between two checks of collections."""


class Library:
    """Keeps the bases: models with equal `knowledge` share one, and a new configuration goes on with it."""

    def __init__(
        self,
        meter: "RetrievalMeter",
        clock: Callable[[], float],
        models: EmbeddingModels,
        tasks: Tasks | None = None,
        egress: Callable[[], RuntimeEgress] = RuntimeEgress,
    ) -> None:
        """`models` and `egress` are called when they are needed, for those of the newest configuration."""
        self._tasks = tasks
        self._meter = meter
        self._clock = clock
        self._models = models
        self._egress = egress
        self._collections: Collections | None = None
        self._bases: WeakValueDictionary[tuple[str, str], KnowledgeBase] = WeakValueDictionary()
        """A base lives as long as a provider has it, and so as long as the last run of an older configuration."""

    def grounded(self, provider: Provider, name: str, knowledge: Knowledge, folder: str) -> Provider:
        """Return `provider` as it answers from documents below `folder`; `name` is that of the model.

        One that answers from other documents answers from these instead.
        """
        from chatfleet_api.knowledge.grounding import Grounded  # noqa: PLC0415  # only with knowledge

        inner = provider.inner if isinstance(provider, Grounded) else provider
        base, without = self._base(knowledge, folder), knowledge.on_unavailable
        return Grounded(inner, base, name, meter=self._meter, clock=self._clock, on_unavailable=without)

    @property
    def problems(self) -> tuple[str, ...]:
        """Which documents are missing, or cannot be used, and why; each once. Any thread may call this."""
        found = [problem for base in tuple(self._bases.values()) for problem in base.problems]
        return tuple(dict.fromkeys((*found, *(self._collections.problems if self._collections else ()))))

    @property
    def collections(self) -> tuple[ComponentHealth, ...]:
        """The state of each collection of ChromaDB. Any thread may call this."""
        return self._collections.health if self._collections else ()

    async def check_forever(self) -> None:
        """See whether collections of ChromaDB can be used, until cancelled."""
        while True:
            if self._collections is not None:
                await self._collections.check()
            await asyncio.sleep(CHECK_SECONDS)

    def close(self) -> None:
        """Close all connections."""
        if self._collections is not None:
            self._collections.close()

    async def run(self) -> None:
        """Follow the files, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Look at the files once. No base is held after it, so that one that has no model any more is freed."""
        for base in tuple(self._bases.values()):
            await base.refresh()

    async def embed_forever(self, open_vectors: "Callable[[], ChunkVectors]") -> None:
        """Have the vectors of the bases that are to have some, one base after the other, until cancelled.

        `open_vectors` is called for the first of them.
        """
        vectors: ChunkVectors | None = None
        while True:
            if any(base.is_semantic for base in tuple(self._bases.values())):
                vectors = vectors or open_vectors()
                await self.embed(vectors)
            await asyncio.sleep(REFRESH_SECONDS)

    async def embed(self, vectors: "ChunkVectors") -> None:
        """Look once for vectors that are missing."""
        for base in tuple(self._bases.values()):
            await base.embed(vectors)

    def _semantic(self, knowledge: Knowledge) -> "Semantic | None":
        if knowledge.embedding is None:
            return None
        from chatfleet_api.knowledge.semantic import Semantic  # noqa: PLC0415  # only with vectors

        return Semantic(knowledge.embedding.model, self._models, self._clock)

    def _base(self, knowledge: Knowledge, folder: str) -> "Base":
        if collection := knowledge.collection:
            return self._opened_collections().base(knowledge, collection, Path(folder))
        from chatfleet_api.knowledge.base import KnowledgeBase  # noqa: PLC0415  # only with knowledge

        key = (folder, knowledge.model_dump_json())
        base = self._bases.get(key)
        if base is None:
            semantic = self._semantic(knowledge)
            base = KnowledgeBase(knowledge, Path(folder), self._tasks, semantic, clock=self._clock)
            self._bases[key] = base
        return base

    def _opened_collections(self) -> "Collections":
        if self._collections is None:
            from chatfleet_api.knowledge.collections import Collections  # noqa: PLC0415  # only with ChromaDB

            now = partial(datetime.now, UTC)
            self._collections = Collections(self._models, self._egress, clock=self._clock, now=now)
        return self._collections
