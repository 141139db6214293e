"""The collections of ChromaDB that models of a pod answer from, checked every few seconds."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.knowledge.chroma import ChromaCollection
from chatfleet_api.knowledge.collection import CollectionBase
from chatfleet_api.knowledge.library import EmbeddingModels
from chatfleet_contract.report import ComponentHealth, ComponentState
from chatfleet_contract.runtime import RuntimeEgress
from chatfleet_contract.spec.knowledge import Chroma, Knowledge

GOOD: Final = (ComponentState.UNKNOWN, ComponentState.UP)


class Collections:
    """Keeps a base for each, as long as a provider has it; all share their connections."""

    def __init__(
        self,
        models: EmbeddingModels,
        egress: Callable[[], RuntimeEgress],
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._models = models
        self._egress = egress
        self._clock = clock
        self._now = now
        self._pool = ConnectionPool()
        self._followed: RuntimeEgress | None = None
        self._bases: WeakValueDictionary[tuple[str, str], CollectionBase] = WeakValueDictionary()

    def base(self, knowledge: Knowledge, collection: Chroma, folder: Path) -> CollectionBase:
        """Return what has the documents of `collection`; its token is below `folder`."""
        key = (str(folder), knowledge.model_dump_json(exclude={"on_unavailable"}))
        base = self._bases.get(key)
        if base is None:
            opened = ChromaCollection(collection, folder, self._connections)
            base = CollectionBase(knowledge, opened, self._models, clock=self._clock, now=self._now)
            self._bases[key] = base
        return base

    @property
    def problems(self) -> tuple[str, ...]:
        """Return why questions fail, although the collections respond. Any thread may call this."""
        return tuple(problem for base in tuple(self._bases.values()) for problem in base.problems)

    @property
    def health(self) -> tuple[ComponentHealth, ...]:
        """Return the state of each collection, by name; the worst one that was seen. Any thread may call this."""
        seen = sorted((base.health for base in tuple(self._bases.values())), key=lambda each: each.state in GOOD)
        first = {each.component: each for each in reversed(seen)}
        return tuple(first[name] for name in sorted(first))

    async def check(self) -> None:
        """See once whether they can be used. No base is held after it, so that one without a model is freed."""
        await asyncio.gather(*(base.check() for base in tuple(self._bases.values())))

    def close(self) -> None:
        """Close all idle connections."""
        self._pool.close()

    def _connections(self) -> ConnectionPool:
        """Return the connections, as the newest `egress` allows them."""
        egress = self._egress()
        if egress != self._followed:
            self._pool.use(Dialer(Egress.of(egress)))
            self._followed = egress
        return self._pool
