"""Responses under an idempotency key: one for each key, however often and on whichever pod the request comes.

The record of the key is stored in the same step as the response. In a conversation, or in the thread of the response
that is continued, it is the store's (`IdempotencyRecord`). A new thread has its id from the key, and the record itself:
two requests would make the same one, and only the first can.
"""

import hashlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple
from uuid import UUID

import msgspec

from chatfleet_api.chat.ownership import require_visible
from chatfleet_api.chat.responses import Keyed, NewResponse, ResponseKey, Responses, StoredResponse, unknown_response
from chatfleet_api.domain.errors import (
    ChatError,
    Code,
    ConversationConflictError,
    ConversationNotFoundError,
    RejectedError,
)
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.run import Run
from chatfleet_api.runs.tail import Batch
from chatfleet_api.sessions.store import IdempotencyRecord


class RequestKey(NamedTuple):
    """The key of a request, and the digest of its body."""

    key: str
    digest: str

    @classmethod
    def of(cls, key: str, body: bytes) -> "RequestKey":
        """Return the key with the digest of `body`."""
        return cls(key, hashlib.sha256(body).hexdigest())

    def thread(self, principal: Principal) -> str:
        """Return the id of the thread that the request makes: another one for each tenant, and each user."""
        owner = (principal.tenant,) if principal.user is None else (principal.tenant, principal.user)
        digest = hashlib.sha256(msgspec.json.encode((*owner, self.key))).digest()
        return str(UUID(bytes=digest[:16], version=5))


@dataclass(frozen=True)
class ResponseReplay:
    """A response that an earlier request has made; read like a `Run`."""

    responses: Responses
    principal: Principal
    found: StoredResponse
    quota: ClassVar[None] = None
    """It takes nothing of the limits."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.found.key.run

    def cancel(self) -> None:
        """Do nothing: only its id can cancel a response that has a key."""

    def read(self, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield the events beyond `after` as `Run.read` does."""
        return self.responses.read(self.principal, self.found, after)


@dataclass(frozen=True)
class Once:
    """Makes responses once."""

    responses: Responses

    async def create(self, principal: Principal, new: NewResponse, key: RequestKey) -> Run | ResponseReplay:
        """Start the run of a stored response, or return the one that an earlier request with the key has made.

        Raises as `Responses.create` does, and `ChatError(IDEMPOTENCY_MISMATCH)` for a key of another request.
        """
        if replay := await self.replay(principal, new, key):
            return replay
        record = IdempotencyRecord(key.key, key.digest, self.responses.sender.new_id())
        try:
            return await self.responses.create(principal, new, Keyed(key.thread(principal), record))
        except (ConversationConflictError, RejectedError):
            if replay := await self.replay(principal, new, key):
                return replay
            raise

    async def replay(self, principal: Principal, new: NewResponse, key: RequestKey) -> ResponseReplay | None:
        """Return the response to an earlier request with the key; raises `ChatError(IDEMPOTENCY_MISMATCH)`."""
        tenant, sessions = principal.tenant, self.responses.sessions
        for conversation in _places(principal, new, key):
            try:
                await require_visible(sessions, principal, conversation)
                record = await sessions.idempotency_record(tenant, conversation, key.key)
                if record is None and conversation == key.thread(principal):
                    record = (await sessions.get(tenant, conversation)).made_by
                if record is None:
                    continue
                messages = await sessions.outline(tenant, conversation)
            except ConversationNotFoundError:
                continue
            if record.digest != key.digest:
                raise ChatError(Code.IDEMPOTENCY_MISMATCH)
            run = next((message.run for message in messages if message.id == record.answer), None)
            if run is None:
                raise unknown_response()
            found = await self.responses.find(principal, ResponseKey(conversation, run))
            return ResponseReplay(self.responses, principal, found)
        return None


def _places(principal: Principal, new: NewResponse, key: RequestKey) -> Iterator[str]:
    """Yield where the response may be."""
    if new.conversation is not None:
        yield new.conversation
        return
    if new.previous is not None:
        yield new.previous.conversation
    yield key.thread(principal)
