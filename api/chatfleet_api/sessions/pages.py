"""The pages of a listing in Redis: places from the index, then their records, in a bounded number of round trips."""

from collections.abc import Sequence
from typing import Final

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.index import ConversationIndex
from chatfleet_api.sessions.keys import conversation_keys
from chatfleet_api.sessions.listing import SCANNED, Position, Wanted, read_cursor
from chatfleet_api.sessions.store import Conversation, Page

BATCH: Final = 200
"""Records that are read at a time where they decide what the listing shows."""
FIELDS: Final = ("record", "version", "updated")
"""What `read_record` takes, of the hash of a conversation."""

_conversation: Final = msgspec.json.Decoder(Conversation)


class ConversationPages:
    """Reads the pages of listings."""

    def __init__(self, redis: RedisClient, index: ConversationIndex) -> None:
        self._redis = redis
        self._index = index

    async def read(self, tenant: str, wanted: Wanted, *, limit: int, cursor: str | None) -> Page:
        """Return a page of up to `limit` conversations, among the next `SCANNED`.

        What the index has too much, because it is gone, is removed from it.
        """
        key = self._index.key(tenant, wanted.user_id)
        walk = _Walk(self._index, key, wanted, read_cursor(cursor) if cursor else None)
        size = BATCH if wanted.reads else limit + 1
        found: list[tuple[Position, Conversation]] = []
        gone: list[str] = []
        while walk.goes_on and walk.seen < SCANNED and len(found) <= limit:
            places = await walk.next(min(size, SCANNED - walk.seen))
            for place, known in zip(places, await self._records(tenant, places), strict=True):
                if known is None:
                    gone.append(place.conversation)
                elif wanted.has(known.title, known.metadata):
                    found.append((place, known))
        if gone:
            await self._index.remove([key], gone)
        last = found[limit - 1][0] if len(found) > limit else walk.last if walk.goes_on else None
        return Page(tuple(known for _, known in found[:limit]), last and last.cursor())

    async def _records(self, tenant: str, places: Sequence[Position]) -> Sequence[Conversation | None]:
        if not places:
            return []
        keys = [conversation_keys(self._redis, tenant, place.conversation)[0] for place in places]
        replies = await self._redis.call_all([("HMGET", key, *FIELDS) for key in keys])
        return [read_record(reply) for reply in replies]


class _Walk:
    """Goes through the places of a listing in order, each once, although conversations move to the front meanwhile."""

    def __init__(self, index: ConversationIndex, key: str, wanted: Wanted, start: Position | None) -> None:
        self._index = index
        self._key = key
        self._oldest = wanted.oldest
        self._offset = 0
        """Places seen that changed at the same time as the last."""
        self.last = start
        """The place before the next."""
        self.seen = 0
        self.goes_on = True

    async def next(self, size: int) -> Sequence[Position]:
        """Return up to `size` places more: from the change of the last on, after those of its equals that were seen."""
        again = self.last is not None and not self._offset  # the place of the cursor comes again
        places = await self._index.positions(self._key, (self.last, self._oldest), self._offset, size + again)
        self.goes_on = len(places) == size + again
        new = [place for place in places if self.last is None or place < self.last]
        if places:
            newest, oldest = places[0].changed, places[-1].changed
            same = self.last is not None and newest == oldest == self.last.changed
            self._offset = (self._offset if same else 0) + sum(place.changed == oldest for place in places)
        self.last = new[-1] if new else self.last
        self.seen += len(new)
        return new


def read_record(reply: Sequence[bytes | None]) -> Conversation | None:
    """Return the conversation of a reply with `FIELDS`; None when it is gone."""
    record, version, updated = reply
    if record is None or version is None or updated is None:
        return None
    return msgspec.structs.replace(_conversation.decode(record), version=int(version), updated_at=updated.decode())
