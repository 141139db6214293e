"""Conversations that Redis has let expire, as PostgreSQL has them. Who finds one in Redis never comes here."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from chatfleet_api.archive.documents import Archived, read_ids, read_record, read_records, read_whole
from chatfleet_api.archive.loading import Loading
from chatfleet_api.archive.marks import Marks
from chatfleet_api.archive.statements import KNOWN, LIST, LIST_OF_USER, READ, RECORD
from chatfleet_api.domain.errors import ChatError, Code, ConversationNotFoundError
from chatfleet_api.domain.ids import is_id
from chatfleet_api.sessions.listing import Position, Wanted
from chatfleet_api.sessions.store import ArchiveUnavailableError, Conversation

if TYPE_CHECKING:
    from chatfleet_api.archive.postgres import PostgresArchive

T = TypeVar("T")
RETRY_SECONDS: Final = 5.0
"""Retry-After of a request that fails because PostgreSQL cannot be used."""
ATTEMPTS: Final = 3
"""How often a conversation is read that others load or delete meanwhile."""
LARGE: Final = 256 << 10
"""Characters of a document, beyond which it is decoded in a thread: no other request waits for it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Expired:
    """Reads them, and loads those into Redis that are to be changed.

    Every method raises `ArchiveUnavailableError`, and those that read, change or load one raise
    `ChatError(CONVERSATION_NOT_FOUND)` for one that was deleted, although its rows may still be there.
    """

    def __init__(
        self,
        available: "Callable[[], Awaitable[PostgresArchive | None]]",
        marks: Marks,
        loading: Loading,
        new_token: Callable[[], str],
    ) -> None:
        """`available` returns the archive, None while it is known to be down."""
        self._available, self._marks, self._loading, self._new_token = available, marks, loading, new_token

    async def find(self, tenant: str, conversation: str) -> Archived:
        """Return a conversation with its messages and feedback."""
        document = await self._found(tenant, READ, conversation)
        return await asyncio.to_thread(read_whole, document) if len(document) > LARGE else read_whole(document)

    async def record(self, tenant: str, conversation: str) -> Conversation:
        """Return a conversation alone."""
        return read_record(await self._found(tenant, RECORD, conversation))

    async def loaded(self, tenant: str, conversation: str, use: Callable[[], Awaitable[T]]) -> T:
        """Use a conversation in Redis, and if it has expired, after it was brought back."""
        try:
            return await use()
        except ConversationNotFoundError:
            await self.load(tenant, conversation)
        return await use()

    async def changed(self, tenant: str, conversation: str, change: Callable[[], Awaitable[T]], flag: str = "") -> T:
        """Do the same with a change, before which the conversation is marked: each time, for loading takes a while."""

        async def marked() -> T:
            await self._marks.add(tenant, conversation, flag)
            return await change()

        return await self.loaded(tenant, conversation, marked)

    async def load(self, tenant: str, conversation: str) -> None:
        """Bring a conversation back into Redis; whoever does at the same time, it is stored once."""
        for _ in range(ATTEMPTS):
            token = await self._loading.begin(tenant, conversation, self._new_token())
            if await self._loading.finish(tenant, await self.find(tenant, conversation), token):
                return
        raise ChatError(Code.CONVERSATION_CHANGED)

    async def keep(self, tenant: str, conversation: str, given: str, seconds: int) -> None:
        """Keep one that has not expired for at least `seconds` from now, for the feedback that is `given`."""
        await self._loading.keep(tenant, conversation, given, seconds)

    async def forget(self, tenant: str, conversation: str) -> None:
        """Let nothing be loaded that was read before; the conversation has the mark that it is deleted."""
        await self._loading.stop(tenant, conversation)

    async def may_exist(self, tenant: str, conversation: str) -> bool:
        """Return whether PostgreSQL has rows of a conversation, deleted or not; True when that cannot be known now."""
        try:
            return is_id(conversation) and bool(await self.known(tenant, [conversation]))
        except ArchiveUnavailableError:
            return True

    async def known(self, tenant: str, conversations: Sequence[str]) -> frozenset[str]:
        """Return which of the conversations have rows in PostgreSQL now, deleted or not."""
        if not conversations:
            return frozenset()
        return read_ids(await self._read(tenant, KNOWN, {"ids": list(conversations)}) or "[]")

    async def page(self, tenant: str, wanted: Wanted, start: Position, limit: int) -> Sequence[Conversation]:
        """Return up to `limit` conversations after a position, by user and time of change alone, deleted ones too."""
        values: dict[str, object] = {
            "changed": _EPOCH + timedelta(microseconds=start.changed),
            "before": start.conversation,
            "since": wanted.since or _EPOCH,
            "user": wanted.user_id,
            "limit": limit,
        }
        document = await self._read(tenant, LIST if wanted.user_id is None else LIST_OF_USER, values)
        return read_records(document or "[]")

    async def _found(self, tenant: str, statement: str, conversation: str) -> str:
        """Return the document of a conversation that was not deleted."""
        if not is_id(conversation) or await self._marks.deleted(tenant, [conversation]):
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        document = await self._read(tenant, statement, {"id": conversation})
        if document is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return document

    async def _read(self, tenant: str, statement: str, values: Mapping[str, object]) -> str | None:
        archive = await self._available()
        if archive is None:
            raise _unavailable("the archive is down")
        from chatfleet_api.archive.postgres import UnavailableError  # noqa: PLC0415  # only with an archive

        try:
            return await archive.read(tenant, statement, values)
        except UnavailableError as error:
            raise _unavailable(str(error)) from error


def _unavailable(reason: str) -> ArchiveUnavailableError:
    message = "What is no longer in Redis cannot be read: the archive is unavailable."
    return ArchiveUnavailableError(Code.STORAGE_UNAVAILABLE, message, retry_after=RETRY_SECONDS, detail=reason)
