"""The application service: what routes call. Knows no HTTP, no Redis and no vendor."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat import history
from chatfleet_api.chat.events import Start
from chatfleet_api.chat.request import ChatRequest, Message
from chatfleet_api.chat.turn import Place, Turn, take_turn
from chatfleet_api.errors import ChatError, Code
from chatfleet_api.providers.port import Provider
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.port import RunLog
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.port import Conversation, SessionStore, StoredMessage

DEFAULT_TENANT = "default"
"""The one tenant, as long as nobody has to say who they are. Part of every key from the start."""
BUSY_RETRY_SECONDS = 1.0


class Models(Protocol):
    """The catalogue as a turn needs it."""

    def provider(self, model: str) -> Provider:
        """Return who answers for `model`; raises `ChatError(MODEL_NOT_FOUND)`."""
        ...

    def models(self) -> tuple[str, ...]:
        """Return the names of all models; the first is the one for requests that name none."""
        ...


class NewMessage(msgspec.Struct, frozen=True):
    """What a user says in a conversation, and how it shall be answered."""

    content: str
    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Chat:
    """Starts runs and keeps conversations."""

    catalogue: Callable[[], Models]
    """The current one. A run keeps the provider that it began with."""
    pool: RunPool
    log: RunLog
    sessions: SessionStore
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""

    async def complete(self, tenant: str, request: ChatRequest) -> Run:
        """Start a run that belongs to no conversation.

        Raises:
            ChatError: MODEL_NOT_FOUND, AT_CAPACITY, DRAINING.
        """
        provider = self.catalogue().provider(request.model)
        with self.pool.admit() as start:
            run_id = self.new_id()
            turn = Turn(Start(run_id, request.model, self._created()), request, provider, None, self.clock)
            return start(tenant, run_id, partial(take_turn, turn))

    async def create(
        self,
        tenant: str,
        *,
        user_id: str | None = None,
        title: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Conversation:
        """Begin a conversation."""
        now = self._now()
        conversation = Conversation(self.new_id(), user_id, title, metadata or {}, created_at=now, updated_at=now)
        await self.sessions.create(tenant, conversation)
        return conversation

    async def delete(self, tenant: str, conversation: str) -> None:
        """Forget a conversation, and stop the answer that this pod is writing in it."""
        writing = history.pending(await self.sessions.messages(tenant, conversation))
        await self.sessions.delete(tenant, conversation)
        if writing and writing.run and (run := self.pool.find(tenant, writing.run)):
            run.cancel()

    async def send(self, tenant: str, conversation: str, message: NewMessage) -> Run:
        """Say something in a conversation and start the run that answers.

        The user's message and the pending answer are stored, in one step, before anybody is asked: what the return of
        this method acknowledges is kept.

        Raises:
            ChatError: MODEL_NOT_FOUND, AT_CAPACITY, DRAINING, CONVERSATION_NOT_FOUND, CONVERSATION_BUSY,
                CONVERSATION_CHANGED, STORAGE_UNAVAILABLE.
        """
        catalogue = self.catalogue()
        model = message.model or catalogue.models()[0]
        provider = catalogue.provider(model)
        with self.pool.admit() as start:
            known = await self.sessions.get(tenant, conversation)
            before = await self.sessions.messages(tenant, conversation)
            given_up = await self._given_up(tenant, before)
            now = self._now()
            run_id, said = self.new_id(), StoredMessage(self.new_id(), "user", message.content, now)
            answer = StoredMessage(self.new_id(), "assistant", "", now, status="pending", run=run_id, model=model)
            messages = (*given_up, said, answer)
            await self.sessions.append(tenant, conversation, messages, expected_version=known.version, now=now)
            turn = Turn(
                Start(run_id, model, self._created(), conversation, answer.id),
                _request(model, history.context((*before, said)), message),
                provider,
                Place(self.sessions, tenant, conversation, answer, self._now),
                self.clock,
            )
            return start(tenant, run_id, partial(take_turn, turn))

    async def _given_up(self, tenant: str, before: tuple[StoredMessage, ...]) -> tuple[StoredMessage, ...]:
        """Return the pending answer that nobody writes any more, as interrupted; CONVERSATION_BUSY if somebody may."""
        answer = history.pending(before)
        if answer is None:
            return ()
        if answer.run and await self._alive(tenant, answer.run, history.age(answer, self.now())):
            raise ChatError(Code.CONVERSATION_BUSY, retry_after=BUSY_RETRY_SECONDS)
        return (replace(answer, status="interrupted", error_code=Code.INTERRUPTED),)

    async def _alive(self, tenant: str, run_id: str, age: float) -> bool:
        if run := self.pool.find(tenant, run_id):
            return not run.ended
        state = await self.log.state(tenant, run_id)
        return history.may_be_alive(state, age, run_seconds=self.pool.limits.run_seconds)

    def _now(self) -> str:
        return self.now().isoformat(timespec="milliseconds")

    def _created(self) -> int:
        return int(self.now().timestamp())


def _request(model: str, messages: tuple[Message, ...], asked: NewMessage) -> ChatRequest:
    return ChatRequest(model, messages, temperature=asked.temperature, top_p=asked.top_p, max_tokens=asked.max_tokens)
