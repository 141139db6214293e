"""The application service: what routes call. Knows no HTTP, no Redis and no vendor."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat import history
from chatfleet_api.chat.models import Models
from chatfleet_api.chat.queueing import BUSY_RETRY_SECONDS, Queue
from chatfleet_api.chat.replay import Replay
from chatfleet_api.chat.takeover import Takeover, TakeoverMeter
from chatfleet_api.chat.turn import MessageSink, RunJob, run_turn
from chatfleet_api.domain.errors import ChatError, Code, ConversationConflictError, StorageUnavailableError
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.interface import Claim, Fleet, RunRecord
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import Append, Conversation, IdempotencyRecord, SessionStore, StoredMessage
from chatfleet_contract.spec import OnBusy

DEFAULT_TENANT = "default"
"""The one tenant, as long as nobody has to say who they are. Part of every key from the start."""


class NewMessage(msgspec.Struct, frozen=True):
    """What a user says in a conversation, and how it shall be answered."""

    content: str
    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    on_busy: OnBusy | None = None
    """What to do while an answer is being written; None: what the configuration says."""


@dataclass(frozen=True)
class Chat:
    """Starts runs and keeps conversations."""

    catalogue: Callable[[], Models]
    """The current one. A run keeps the provider that it began with."""
    pool: RunPool
    log: RunLog
    fleet: Fleet
    sessions: SessionStore
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""
    queue: Queue
    meter: TakeoverMeter
    on_busy: Callable[[], OnBusy] = lambda: "reject"
    """What to do with a message while an answer is being written, when it does not say so itself."""

    async def complete(self, tenant: str, request: ChatRequest, *, resumable: bool = False) -> Run:
        """Start a run that belongs to no conversation.

        A `resumable` one belongs to the fleet: every pod can read it, and it outlives this one. Others need no Redis.

        Raises:
            ChatError: MODEL_NOT_FOUND, AT_CAPACITY, DRAINING, and for a resumable run STORAGE_UNAVAILABLE.
        """
        provider = self.catalogue().provider(request.model)
        with self.pool.admit() as start:
            began = Start(self.new_id(), request.model, self._created())
            produce = partial(run_turn, RunJob(began, request, provider, None, self.clock))
            if not resumable:
                return start(tenant, began.run, produce)
            async with self.fleet.begin(RunRecord(tenant, began, request)):
                return start(tenant, began.run, produce, Fence())

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
        """Forget a conversation, and stop the answer that is being written in it."""
        writing = history.pending(await self.sessions.messages(tenant, conversation))
        await self.sessions.delete(tenant, conversation)
        if writing and writing.run:
            await self.cancel_run(tenant, writing.run)

    async def cancel(self, tenant: str, conversation: str) -> str | None:
        """Stop the answer that is being written in a conversation, on whichever pod; returns its run, None without one.

        Raises:
            ChatError: CONVERSATION_NOT_FOUND, STORAGE_UNAVAILABLE.
        """
        writing = history.pending(await self.sessions.messages(tenant, conversation))
        if writing is None or writing.run is None or not await self.cancel_run(tenant, writing.run):
            return None
        return writing.run

    async def cancel_run(self, tenant: str, run_id: str) -> bool:
        """Stop a run, on whichever pod, within half a second; returns whether it was still going on.

        Raises:
            ChatError: STORAGE_UNAVAILABLE.
        """
        if (run := self.pool.find(tenant, run_id)) and not run.ended:
            run.cancel()
            return True
        return await self.fleet.cancel(tenant, run_id)

    async def send(
        self, tenant: str, conversation: str, message: NewMessage, *, key: str | None = None
    ) -> Run | Replay:
        """Say something in a conversation and start the run that answers.

        The user's message and the pending answer are stored, in one step, before anybody is asked: what the return of
        this method acknowledges is kept. A `key` makes it safe to send again: the answer under way, or the one that was
        given, is returned as a `Replay`.

        Raises:
            ChatError: MODEL_NOT_FOUND, AT_CAPACITY, DRAINING, CONVERSATION_NOT_FOUND, CONVERSATION_BUSY,
                CONVERSATION_CHANGED, IDEMPOTENCY_MISMATCH, STORAGE_UNAVAILABLE.
        """
        digest = hashlib.sha256(msgspec.json.encode(message)).hexdigest()
        if key is None:
            return await self._in_turn(tenant, conversation, message, None)
        sent = IdempotencyRecord(key, digest, self.new_id())
        if replay := await self._replay(tenant, conversation, sent):
            return replay
        try:
            return await self._in_turn(tenant, conversation, message, sent)
        except ConversationConflictError:
            if replay := await self._replay(tenant, conversation, sent):
                return replay  # it came twice at once
            raise

    async def go_on(self, claim: Claim, run: Run, *, has_slot: bool = True) -> None:
        """Bring a run that another pod began to its end; without `has_slot` by asking nobody."""
        heir = Takeover(self.catalogue, self.log, self.sessions, self.clock, self.now, self.meter)
        await heir.produce(claim, run, has_slot=has_slot)

    async def _replay(self, tenant: str, conversation: str, asked: IdempotencyRecord) -> Replay | None:
        """Return the answer to what was asked before under the same key."""
        known = await self.sessions.idempotency_record(tenant, conversation, asked.key)
        if known is None:
            return None
        if known.digest != asked.digest:
            raise ChatError(Code.IDEMPOTENCY_MISMATCH)
        messages = await self.sessions.messages(tenant, conversation)
        answer = next((message for message in messages if message.id == known.answer), None)
        return None if answer is None else Replay(self.pool, tenant, conversation, answer)

    async def _in_turn(
        self, tenant: str, conversation: str, message: NewMessage, idempotency: IdempotencyRecord | None
    ) -> Run:
        """Start the run at once, or when it is its turn."""
        ask = partial(self._ask, tenant, conversation, message, idempotency)
        match message.on_busy or self.on_busy():
            case "enqueue":
                return await self.queue.wait(tenant, conversation, ask)
            case "interrupt":
                return await self.queue.jump(tenant, conversation, ask, partial(self.cancel, tenant, conversation))
            case _:
                return await ask()

    async def _ask(
        self, tenant: str, conversation: str, message: NewMessage, idempotency: IdempotencyRecord | None
    ) -> Run:
        catalogue = self.catalogue()
        model = message.model or catalogue.models()[0]
        provider = catalogue.provider(model)
        with self.pool.admit() as start:
            known = await self.sessions.get(tenant, conversation)
            before = await self.sessions.messages(tenant, conversation)
            given_up = await self._given_up(tenant, before)
            now = self._now()
            run_id, said = self.new_id(), StoredMessage(self.new_id(), "user", message.content, now)
            answer_id = idempotency.answer if idempotency else self.new_id()
            answer = StoredMessage(answer_id, "assistant", "", now, status="pending", run=run_id, model=model)
            began = Start(run_id, model, self._created(), conversation, answer.id)
            request = _request(model, history.context((*before, said)), message)
            sink = MessageSink(self.sessions, tenant, conversation, answer, self._now)
            record = RunRecord(tenant, began, request)
            async with self.fleet.begin(record):
                messages = (*given_up, said, answer)
                try:
                    append = Append(messages, now=now, expected_version=known.version, idempotency=idempotency)
                    await self.sessions.append(tenant, conversation, append)
                except StorageUnavailableError:  # it may have been stored all the same
                    start(tenant, run_id, partial(self.go_on, Claim(record, Fence())), Fence())
                    raise
                job = RunJob(began, request, provider, sink, self.clock)
                return start(tenant, run_id, partial(run_turn, job), Fence())

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
        return history.may_be_alive(state, age, run_seconds=self.pool.max_stream_seconds)

    def _now(self) -> str:
        return history.stamp(self.now())

    def _created(self) -> int:
        return int(self.now().timestamp())


def _request(model: str, messages: tuple[Message, ...], asked: NewMessage) -> ChatRequest:
    return ChatRequest(model, messages, temperature=asked.temperature, top_p=asked.top_p, max_tokens=asked.max_tokens)
