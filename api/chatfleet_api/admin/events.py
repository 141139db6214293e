"""`GET /admin/events`: what happens, as it happens: server-sent events, of all pods."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from chatfleet_api.admin.services import AdminServices
from chatfleet_api.domain.dispatch import EventKind, Listener, Notice
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.runs.fleet.events import FLEET_KINDS
from chatfleet_api.web.sse import HEARTBEAT, json_text

MOST_TAPS: Final = 4
"""Open at a time in one pod."""
HEARTBEAT_SECONDS: Final = 15.0
BATCH_EVENTS: Final = 100
LISTENER: Final = "tap"
"""Label of the metric of what a tap was too slow for."""

_Name = Annotated[str | None, Query(max_length=256)]


class Wanted(NamedTuple):
    """Which events a tap has: those that meet each condition that is set."""

    kinds: frozenset[EventKind]
    tenant: str | None
    facts: dict[str, str]

    def has(self, notice: Notice) -> bool:
        """Return whether an event is wanted."""
        if notice.event not in self.kinds or self.tenant not in {None, notice.tenant}:
            return False
        return all(notice.facts.get(name) == value for name, value in self.facts.items())


def event_routes(admin: AdminServices) -> APIRouter:
    """Return the route."""
    router = APIRouter()
    taps = asyncio.BoundedSemaphore(MOST_TAPS)

    @router.get("/admin/events")
    async def events(
        events: Annotated[str, Query(max_length=256)] = "",
        tenant: _Name = None,
        model: _Name = None,
        conversation: _Name = None,
        run: _Name = None,
    ) -> StreamingResponse:
        """Stream the events of all pods; with `token_received` among `events`, those of this pod."""
        named = {"model": model, "conversation": conversation, "run": run}
        wanted = Wanted(_kinds(events), tenant, {name: value for name, value in named.items() if value is not None})
        if taps.locked():
            raise ChatError(Code.LIMIT_EXCEEDED, f"This pod has {MOST_TAPS} taps already; close one of them.")
        frames = _frames(admin, wanted, taps)
        return StreamingResponse(frames, headers={"cache-control": "no-store"}, media_type="text/event-stream")

    return router


async def _frames(admin: AdminServices, wanted: Wanted, taps: asyncio.BoundedSemaphore) -> AsyncGenerator[bytes, None]:
    async with taps:
        yield HEARTBEAT
        silent = 0.0
        async with aclosing(_notices(admin, wanted)) as batches:
            async for seconds, batch in batches:
                chosen = [notice for notice in batch if wanted.has(notice)]
                silent = 0.0 if chosen else silent + seconds
                if chosen:
                    yield b"".join(map(_frame, chosen))
                elif silent >= HEARTBEAT_SECONDS:
                    silent = 0.0
                    yield HEARTBEAT


async def _notices(admin: AdminServices, wanted: Wanted) -> AsyncGenerator[tuple[float, list[Notice]], None]:
    """Yield events, and how many seconds have passed since the last ones."""
    time = asyncio.get_running_loop().time
    last = time()
    if admin.fleet_events is not None and wanted.kinds <= FLEET_KINDS:
        async with aclosing(admin.fleet_events.read()) as batches:
            async for batch in batches:
                last, before = time(), last
                yield last - before, batch
        return
    with admin.dispatcher.listening(LISTENER, wanted.kinds) as listener:
        while True:
            found = await _next(listener)
            last, before = time(), last
            yield last - before, found


async def _next(listener: Listener) -> list[Notice]:
    """Wait for events; return none when a heartbeat is due."""
    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            first = await listener.next()
    except TimeoutError:
        return []
    return [first, *listener.waiting(BATCH_EVENTS)]


def _kinds(text: str) -> frozenset[EventKind]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    try:
        return frozenset(map(EventKind, names)) or FLEET_KINDS
    except ValueError:
        message = f"Invalid value for 'events'. Supported values are: {', '.join(EventKind)}."
        raise ChatError(Code.INVALID_REQUEST, message, param="events") from None


def _frame(notice: Notice) -> bytes:
    shown = {"at": notice.at, "pod": notice.pod, "tenant": notice.tenant, **notice.facts}
    return b"event: " + notice.event.value.encode() + b"\ndata: " + json_text(shown) + b"\n\n"
