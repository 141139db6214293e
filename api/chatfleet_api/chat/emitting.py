"""What is done with each read of the upstream: guarded, remembered, published, made known to listeners."""

from collections.abc import Callable
from typing import Protocol

from chatfleet_api.chat import notices
from chatfleet_api.chat.reply import Reply
from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.providers.provider import ItemBatch
from chatfleet_api.runs.run import Run


class BatchGuard(Protocol):
    """Sees what is read before readers do."""

    def batch(self, pieces: ItemBatch) -> ItemBatch: ...


def emitter(
    guard: BatchGuard | None, dispatcher: Dispatcher | None, run: Run, reply: Reply
) -> Callable[[ItemBatch], None]:
    """Return what takes each read. It never waits."""
    take, publish = reply.take, run.publish
    listeners = () if dispatcher is None else dispatcher.listeners(EventKind.TOKEN_RECEIVED)

    def emit(pieces: ItemBatch) -> None:
        if events := take(pieces):
            publish(events)
            if listeners and dispatcher is not None:
                notices.received(dispatcher, run.tenant, run.id, events)

    return emit if guard is None else lambda pieces: emit(guard.batch(pieces))
