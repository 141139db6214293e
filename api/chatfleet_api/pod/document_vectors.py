"""What a pod does for documents: it follows them, and has them embedded, shared and counted."""

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from chatfleet_api.chat.accounting import Used
from chatfleet_api.chat.services import ChatPorts
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.principal import ANONYMOUS
from chatfleet_api.domain.tasks import TaskKind
from chatfleet_api.knowledge.library import Library
from chatfleet_api.pod.fleet_tasks import Lasting
from chatfleet_api.pod.stores import Stores
from chatfleet_api.usage.attempts import Attempt
from chatfleet_api.usage.record import UNKNOWN_CONSUMER

if TYPE_CHECKING:
    from chatfleet_api.knowledge.embedding import ChunkVectors


def of_knowledge(library: Library, stores: Stores, ports: ChatPorts) -> list[Lasting]:
    """Return the tasks that follow documents, and have them embedded."""
    embedding = partial(library.embed_forever, partial(_vectors, stores, ports))
    return [(TaskKind.KNOWLEDGE, library.run), (TaskKind.KNOWLEDGE, embedding)]


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
