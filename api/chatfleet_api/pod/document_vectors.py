"""What a pod does for documents: it opens and follows them, and has them embedded, shared and counted."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypedDict

from chatfleet_api.chat.accounting import Used
from chatfleet_api.chat.services import ChatPorts
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.principal import ANONYMOUS
from chatfleet_api.domain.tasks import TaskKind, Tasks
from chatfleet_api.knowledge.library import Library
from chatfleet_api.pod.configuration import Configuration
from chatfleet_api.pod.fleet_tasks import Lasting
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.stores import Stores
from chatfleet_api.providers.vectors import EmbeddingModel
from chatfleet_api.usage.attempts import Attempt
from chatfleet_api.usage.record import UNKNOWN_CONSUMER
from chatfleet_contract.report import ComponentHealth

if TYPE_CHECKING:
    from chatfleet_api.knowledge.embedding import ChunkVectors


class _Reported(TypedDict):
    knowledge: Callable[[], tuple[str, ...]]
    collections: Callable[[], tuple[ComponentHealth, ...]]


@contextmanager
def open_library(meter: Meter, tasks: Tasks, configuration: Callable[[], Configuration]) -> Iterator[Library]:
    """Yield the documents of a pod; `configuration` is called when one of its models needs some."""

    def embedding(name: str) -> EmbeddingModel:
        return configuration().live_catalogue().embedding(name)

    with closing(
        Library(meter, time.monotonic, embedding, tasks, egress=lambda: configuration().live().egress)
    ) as library:
        yield library


def of_library(library: Library) -> _Reported:
    """Return what the health of a pod reads from its documents."""
    return {"knowledge": lambda: library.problems, "collections": lambda: library.collections}


def of_knowledge(library: Library, stores: Stores, ports: ChatPorts) -> list[Lasting]:
    """Return the tasks that follow documents, have them embedded, and check collections of ChromaDB."""
    embedding = partial(library.embed_forever, partial(_vectors, stores, ports))
    looking: list[Lasting] = [(TaskKind.KNOWLEDGE, library.run), (TaskKind.KNOWLEDGE, embedding)]
    return [*looking, (TaskKind.MONITORING, library.check_forever)]


def _vectors(stores: Stores, ports: ChatPorts) -> "ChunkVectors":
    from chatfleet_api.knowledge.base import READS  # noqa: PLC0415  # only with vectors
    from chatfleet_api.knowledge.embedding import ChunkVectors  # noqa: PLC0415
    from chatfleet_api.knowledge.vector_store import NoStore, RedisVectors  # noqa: PLC0415

    redis = stores.redis
    store = NoStore() if redis is None else RedisVectors(redis, stores.process, clock=time.monotonic)
    return ChunkVectors(store, partial(_charge, ports), READS)


def _charge(ports: ChatPorts, model: str, attempts: Sequence[Attempt]) -> None:
    """Count what documents have used; they are those of all tenants, and so of the one that callers have by default."""
    if ports.seams.accounting is not None and attempts:
        start = Start(ports.new_id(), model, 0)
        ports.seams.accounting.add(ANONYMOUS.tenant, Used(start, UNKNOWN_CONSUMER, attempts))
