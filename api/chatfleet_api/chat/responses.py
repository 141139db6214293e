"""Responses: turns that are retrieved, resumed, cancelled, continued and deleted by their id, on any pod.

A stored response is a turn of a conversation: of the one that it names or, when it names none, of a *thread*, which is
a conversation that no listing shows. A response that continues another one goes on in its thread; if that has had later
turns (or the other one is in a conversation), it begins a thread of its own with a copy of the messages before.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from chatfleet_api.chat.compaction import summary_request
from chatfleet_api.chat.completions import Completions
from chatfleet_api.chat.decisions import passed
from chatfleet_api.chat.history import continued
from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.ownership import require_visible
from chatfleet_api.chat.placing import Place, Turn
from chatfleet_api.chat.queueing import BUSY_RETRY_SECONDS
from chatfleet_api.chat.relayed import events_of, extra_of, output_of
from chatfleet_api.chat.reply import pieces_of, steps_of
from chatfleet_api.chat.room import NONE, Adding
from chatfleet_api.chat.sending import MessageSender
from chatfleet_api.chat.takeover import remainder
from chatfleet_api.chat.window import asked
from chatfleet_api.domain.errors import (
    ChatError,
    Code,
    ConversationChangedError,
    ConversationNotFoundError,
    NotFoundError,
)
from chatfleet_api.domain.events import Event, Piece, Start, Token
from chatfleet_api.domain.logprobs import FIELD, with_logprobs
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run
from chatfleet_api.runs.tail import Batch
from chatfleet_api.sessions.store import Conversation, IdempotencyRecord, SessionStore, StoredMessage
from chatfleet_api.sessions.tree import path_to

Messages: TypeAlias = tuple[StoredMessage, ...]

ATTEMPTS: Final = 3
"""How often a response looks for the place where it goes on while others continue the same one."""


class ResponseKey(NamedTuple):
    """Where a response is stored: its conversation or thread, and its run."""

    conversation: str
    run: str


class Keyed(NamedTuple):
    """The idempotency key of a response."""

    thread: str
    """The thread that it makes, if it makes one."""
    record: IdempotencyRecord


class NewResponse(NamedTuple):
    """A response to be made. It names at most one of `previous` and `conversation`."""

    request: ChatRequest
    """Without messages."""
    items: tuple[NewItem, ...]
    instructions: tuple[Message, ...] = ()
    echo: str = ""
    store: bool = True
    background: bool = False
    """Whether the response is written to its end although its client disconnects."""
    previous: ResponseKey | None = None
    conversation: str | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the items are to a model."""
        return tuple(item.message for item in self.items if item.message is not None)


class StoredResponse(NamedTuple):
    """A response as it is stored."""

    key: ResponseKey
    questions: tuple[StoredMessage, ...]
    answer: StoredMessage

    def batch(self) -> Batch:
        """Return its run as far as it is known: its beginning or, when it has ended, all of it in few events."""
        answer = self.answer
        created = int(datetime.fromisoformat(answer.created_at).timestamp())
        start = Start(self.key.run, answer.model or "", created, self.key.conversation, answer.id, answer.echo)
        if answer.status == "pending":
            return Batch(1, (start,))
        pieces = pieces_of(answer)
        output = output_of(answer)
        steps: Sequence[Event] = steps_of(answer) if answer.server_tools else _with_logprobs(pieces, answer)
        shown = steps if output is None else events_of(output, pieces)
        before: tuple[Event, ...] = (start, *shown)
        return Batch(1, (*before, *remainder(before, answer)))


@dataclass(frozen=True, kw_only=True)
class Responses:
    """What callers do with responses; every method raises `ChatError(STORAGE_UNAVAILABLE)`."""

    completions: Completions
    sender: MessageSender
    sessions: SessionStore
    pool: RunPool

    async def create(self, principal: Principal, new: NewResponse, keyed: Keyed | None = None) -> Run:
        """Start a run. One that is not stored cannot be retrieved, and its events are not kept.

        With a key that a response has already, it raises CONVERSATION_CHANGED or CONVERSATION_BUSY.

        Raises:
            ChatError: MODEL_NOT_FOUND, INVALID_REQUEST, AT_CAPACITY, DRAINING, PREVIOUS_RESPONSE_NOT_FOUND,
                CONVERSATION_NOT_FOUND, CONVERSATION_BUSY, CONVERSATION_CHANGED, CONVERSATION_FULL.
        """
        if not new.store:
            return await self.completions.start(principal, await self.request(principal, new), echo=new.echo)
        turn = self._turn(new)
        principal.require_model(turn.request.model)
        self.sender.catalogue().provider(turn.request.model)  # raises when there is none
        with self.pool.admit() as start:
            for _ in range(ATTEMPTS):
                place = await self._place(principal, new, keyed, adding=turn.adding)
                try:
                    return await self.sender.begin(
                        start, principal, place, turn, idempotency=None if keyed is None else keyed.record
                    )
                except ConversationChangedError:
                    if new.previous is None or place.create is not None:
                        raise
            raise ChatError(Code.CONVERSATION_BUSY, retry_after=BUSY_RETRY_SECONDS)

    async def request(self, principal: Principal, new: NewResponse) -> ChatRequest:
        """Return what the model would get; raises as `create` does for what `new` names."""
        before, own = (await self._place(principal, new)).before, replace(new.request, messages=new.messages)
        may_trim = own.truncates
        return asked(self.sender.window(), before, own, new.instructions, may_trim=may_trim).request

    async def compact(self, principal: Principal, new: NewResponse) -> tuple[Run, Messages]:
        """Start a run that summarizes what `new` would get, and return it with the messages of that.

        Nothing is stored. Raises as `create` does, and `ChatError(INVALID_REQUEST)` for what no model can get.
        """
        before = (await self._place(principal, new)).before
        request = continued(before, replace(new.request, messages=new.messages), new.instructions)
        run = await self.completions.start(principal, summary_request(request))
        return run, (*before, *self._turn(new).questions)

    async def find(self, principal: Principal, key: ResponseKey) -> StoredResponse:
        """Return a response as it is now; raises `ChatError(NOT_FOUND)` when it is not stored, or no longer."""
        found = await self._stored(principal, key)
        if found is None:
            raise unknown_response()
        return found

    async def message(self, principal: Principal, conversation: str, message: str) -> StoredMessage | None:
        """Return a message of a conversation or thread; None when it is not stored, or not ended yet."""
        try:
            await require_visible(self.sessions, principal, conversation)
            messages = await self.sessions.messages(principal.tenant, conversation)
        except ConversationNotFoundError:
            return None
        return next((each for each in messages if each.id == message and each.status != "pending"), None)

    async def read(self, principal: Principal, found: StoredResponse, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield a run's events beyond `after` until its end, wherever it is produced; few of them from the store."""
        try:
            async with aclosing(self.pool.read(principal.tenant, found.key.run, after)) as batches:
                async for batch in batches:
                    yield batch
                    after = batch.last
        except NotFoundError:  # the log is gone
            if after or found.answer.status == "pending":
                raise
            yield found.batch()

    async def cancel(self, principal: Principal, key: ResponseKey) -> bool:
        """Stop a run, on whichever pod, within half a second; returns whether it was in progress."""
        return await self.pool.cancel(principal.tenant, key.run)

    async def delete(self, principal: Principal, key: ResponseKey) -> None:
        """Delete a response, and cancel its run; raises `ChatError(NOT_FOUND)` when it is not stored.

        Its items stay in the conversation that it names. Those of a thread are deleted with its last response.
        """
        try:
            await require_visible(self.sessions, principal, key.conversation)
            known = await self.sessions.forget_response(principal.tenant, *key)
        except ConversationNotFoundError:
            known = False
        if not known:
            raise unknown_response()
        await self.cancel(principal, key)

    def _turn(self, new: NewResponse) -> Turn:
        now, new_id = self.sender.stamp(), self.sender.new_id
        questions = tuple(item.stored(new_id(), now) for item in new.items)
        request = replace(new.request, messages=new.messages)
        return Turn(questions, request, new.instructions, new.echo, new.background)

    async def _place(
        self, principal: Principal, new: NewResponse, keyed: Keyed | None = None, *, adding: Adding = NONE
    ) -> Place:
        tenant = principal.tenant
        if new.conversation is not None:
            await require_visible(self.sessions, principal, new.conversation)
            return await self.sender.place(tenant, new.conversation, adding=adding)
        if new.previous is not None:
            place = await self._continued(principal, new.previous, keyed)
            if keyed is not None and place.create is not None:  # what came later may be the response of this key
                used = await self.sessions.idempotency_record(tenant, new.previous.conversation, keyed.record.key)
                if used is not None:
                    raise ChatError(Code.CONVERSATION_CHANGED)
            return place
        return self._thread(principal, keyed)

    async def _continued(self, principal: Principal, previous: ResponseKey, keyed: Keyed | None) -> Place:
        """Return the end of the thread of `previous`, or a new thread when that does not end with it."""
        tenant = principal.tenant
        found = await self._stored(principal, previous)
        if found is None:
            raise ChatError(Code.PREVIOUS_RESPONSE_NOT_FOUND, param="previous_response_id")
        known = await self.sessions.get(tenant, previous.conversation)
        whole = await self.sessions.messages(tenant, previous.conversation)
        path = path_to(whole, found.answer.id)
        abandoned = await self.sender.abandoned(tenant, path[-1:])
        if known.listed or len(path) < len(whole):
            return self._thread(principal, keyed, path, abandoned)
        return Place(previous.conversation, known.version, path, abandoned, user=known.user_id, stored=whole)

    async def _stored(self, principal: Principal, key: ResponseKey) -> StoredResponse | None:
        """Return a response as it is now; None when it is not stored, or its answer was removed."""
        try:
            await require_visible(self.sessions, principal, key.conversation)
            *questions, answer = await self.sessions.response(principal.tenant, *key)
        except (ValueError, ConversationNotFoundError):
            return None
        return StoredResponse(key, tuple(questions), answer) if answer.run == key.run else None

    def _thread(
        self, principal: Principal, keyed: Keyed | None, before: Messages = (), abandoned: Messages = ()
    ) -> Place:
        """Return a new thread, with the messages before. One with a key must not be there yet."""
        now = self.sender.stamp()
        ident, made_by = (self.sender.new_id(), None) if keyed is None else keyed
        thread = Conversation(ident, principal.user, None, {}, now, now, listed=False, made_by=made_by)
        version = None if keyed is None else 0
        return Place(ident, version, before, (*passed(before), *abandoned), thread, stored=before)


def _with_logprobs(pieces: tuple[Piece, ...], answer: StoredMessage) -> tuple[Event, ...]:
    """Return the pieces of an answer, its text with the log probabilities that it came with."""
    logprobs = extra_of(answer).get(FIELD)
    if not isinstance(logprobs, list):
        return pieces
    return tuple(with_logprobs(piece, logprobs) if isinstance(piece, Token) else piece for piece in pieces)


def unknown_response() -> ChatError:
    """Return the error for an id that belongs to no response."""
    return ChatError(Code.NOT_FOUND, "This response does not exist or is no longer stored.")
