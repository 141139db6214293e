"""Events inside of a pod, and who listens to them: nothing that is streamed ever waits for a listener, or fails by one.

A listener is a bounded queue. What does not fit is dropped and counted. It has the events of a pod in their order.
Nothing is made for events that no one listens to.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

QUEUE_EVENTS: Final = 1000
"""Events that a listener may be behind."""


class EventKind(StrEnum):
    """What happens."""

    STREAM_START = "stream_start"
    AGENT = "agent"
    TOKEN_RECEIVED = "token_received"  # a name, not a secret
    TOOL_CALL = "tool_call"
    STREAM_COMPLETE = "stream_complete"
    USER_INACTIVE = "user_inactive"
    FEEDBACK = "feedback"
    BUDGET_WARNING = "budget_warning"


class Notice(msgspec.Struct, frozen=True):
    """One event. `facts` never has content: ids, names, numbers."""

    event: EventKind
    at: datetime
    pod: str
    tenant: str
    """Empty: it is about no single one."""
    facts: dict[str, Any]


class Listener:
    """The events of some kinds that one has yet to take."""

    def __init__(self, size: int, on_drop: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[Notice] = asyncio.Queue(size)
        self._on_drop = on_drop

    def offer(self, notice: Notice) -> None:
        """Add an event, or drop it. Never waits."""
        try:
            self._queue.put_nowait(notice)
        except asyncio.QueueFull:
            self._on_drop()

    async def next(self) -> Notice:
        """Wait for the next event."""
        return await self._queue.get()

    def waiting(self, most: int) -> list[Notice]:
        """Return what is there, up to `most` events, without waiting."""
        return [self._queue.get_nowait() for _ in range(min(most, self._queue.qsize()))]


class Dispatcher:
    """Passes events to the listeners of a pod."""

    def __init__(self, pod: str, *, now: Callable[[], datetime], dropped: Callable[[str], None]) -> None:
        """Call `dropped` with the name of the listener that an event was dropped for."""
        self._pod = pod
        self._now = now
        self._dropped = dropped
        self._listeners: dict[EventKind, list[Listener]] = {kind: [] for kind in EventKind}

    def listeners(self, kind: EventKind) -> list[Listener]:
        """Return those of a kind: a list that changes with them, and is empty as long as there are none."""
        return self._listeners[kind]

    def emit(self, kind: EventKind, tenant: str, **facts: Any) -> None:  # noqa: ANN401  # JSON
        """Pass an event on, if someone listens. Never waits, and never fails by a listener."""
        if listeners := self._listeners[kind]:
            notice = Notice(kind, self._now(), self._pod, tenant, facts)
            for listener in listeners:
                listener.offer(notice)

    @contextmanager
    def listening(
        self, name: str, kinds: Iterable[EventKind], *, size: int = QUEUE_EVENTS
    ) -> Generator[Listener, None, None]:
        """Listen while the block lasts. `name` is a label of a metric: of a kind of listeners, not of one."""
        listener, wanted = Listener(size, lambda: self._dropped(name)), set(kinds)
        for kind in wanted:
            self._listeners[kind].append(listener)
        try:
            yield listener
        finally:
            for kind in wanted:
                self._listeners[kind].remove(listener)
