"""Listings across Redis and PostgreSQL: one order, no conversation twice, and cursors that hold for both.

A page that Redis fills with conversations that cannot have expired is Redis's. Any other is merged with what PostgreSQL
has after the same position. While PostgreSQL is down, a page has what Redis has, and its cursor does not claim that
this is all.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from chatfleet_api.archive.expired import Expired
from chatfleet_api.archive.marks import Marks
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.keys import conversation_keys
from chatfleet_api.sessions.listing import SCANNED, Position, Wanted, position, read_cursor
from chatfleet_api.sessions.store import ArchiveUnavailableError, Conversation, Page
from chatfleet_contract.spec import Conversations

FIRST: Final = Position(10**16 - 1, "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before all conversations."""


class Rows(NamedTuple):
    """A part of the archive's listing."""

    wanted: Sequence[Conversation]
    """Those of it that a page may show."""
    next: Position | None
    """Where it ends; None: there is nothing after it."""


class ArchiveListing:
    """Completes the pages of a listing of Redis."""

    def __init__(
        self,
        redis: RedisClient,
        marks: Marks,
        expired: Expired,
        conversations: Live[Conversations],
        now: Callable[[], datetime],
    ) -> None:
        self._redis, self._marks, self._expired = redis, marks, expired
        self._conversations, self._now = conversations, now

    async def complete(self, tenant: str, wanted: Wanted, found: Page, *, limit: int, cursor: str | None) -> Page:
        """Return a page of Redis with what belongs to it from PostgreSQL.

        Raises `ArchiveUnavailableError` when it would have nothing, and is not the first.
        """
        if found.next is not None and self._is_recent(read_cursor(found.next)):
            return found
        try:
            rows = await self._rows(tenant, wanted, read_cursor(cursor) if cursor else FIRST, limit)
        except ArchiveUnavailableError:
            if cursor and not found.items:
                raise
            last = position_of(found.items[-1]) if found.items else FIRST
            return Page(found.items, found.next or last.cursor())
        return merged(found, rows, limit)

    def _is_recent(self, place: Position) -> bool:
        """Return whether no conversation that was changed since can have expired."""
        oldest = self._now().timestamp() - self._conversations().ttl_seconds
        return place.changed > oldest * 1_000_000

    async def _rows(self, tenant: str, wanted: Wanted, start: Position, limit: int) -> Rows:
        size = SCANNED if wanted.reads else limit + 1
        found = await self._expired.page(tenant, wanted, start, size)
        ids = [each.id for each in found]
        deleted, changed = await self._marks.deleted(tenant, ids), await self._changed(tenant, ids)
        here = {each.id: updated for each, updated in zip(found, changed, strict=True) if updated is not None}
        # The rows and the mark of a deleted one may have gone since the page was read.
        expired = await self._expired.known(tenant, [each for each in ids if each not in here and each not in deleted])
        shown = [
            each
            for each in found
            if (here[each.id] == each.updated_at if each.id in here else each.id in expired)  # else Redis lists it
            and wanted.has(each.title, each.metadata)
        ]
        return Rows(shown, position_of(found[-1]) if len(found) == size else None)

    async def _changed(self, tenant: str, ids: Sequence[str]) -> Sequence[str | None]:
        """Return when each was last changed, as Redis has it; None: it is not there."""
        if not ids:
            return []
        keys = [conversation_keys(self._redis, tenant, each)[0] for each in ids]
        found = await self._redis.call_all([("HGET", key, "updated") for key in keys])
        return [None if updated is None else updated.decode() for updated in found]


def position_of(conversation: Conversation) -> Position:
    return position(conversation.updated_at, conversation.id)


def merged(found: Page, rows: Rows, limit: int) -> Page:
    """Return one page of two parts, up to the position which both have reached; Redis's record of one goes first."""
    known = {each.id: each for each in (*rows.wanted, *found.items)}
    ends = [end for end in (found.next and read_cursor(found.next), rows.next) if end]
    end = max(ends, default=None)
    order = sorted(known.values(), key=position_of, reverse=True)
    reached = [each for each in order if end is None or position_of(each) >= end]
    if len(reached) > limit:
        return Page(tuple(reached[:limit]), position_of(reached[limit - 1]).cursor())
    return Page(tuple(reached), end and end.cursor())
