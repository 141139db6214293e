"""One message: admitted, checked, stored together with its pending answer, and answered by a run."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat import history
from chatfleet_api.chat.models import Models
from chatfleet_api.chat.queueing import BUSY_RETRY_SECONDS
from chatfleet_api.chat.takeover import Takeover
from chatfleet_api.chat.turn import PLAIN, MessageSink, RunJob, Seams, run_turn
from chatfleet_api.domain.errors import ChatError, Code, StorageUnavailableError
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.interface import Claim, Fleet, RunRecord
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import Append, IdempotencyRecord, SessionStore, StoredMessage
from chatfleet_contract.spec import OnBusy


class NewMessage(msgspec.Struct, frozen=True):
    """A user's message, and how it shall be answered."""

    content: str
    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    on_busy: OnBusy | None = None
    """What to do while an answer is being written; None: as configured."""


@dataclass(frozen=True, kw_only=True)
class MessageSender:
    """Sends messages to conversations that are free."""

    catalogue: Live[Models]
    pool: RunPool
    log: RunLog
    fleet: Fleet
    sessions: SessionStore
    takeover: Takeover
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""
    seams: Seams = PLAIN

    async def send(
        self, tenant: str, conversation: str, message: NewMessage, *, idempotency: IdempotencyRecord | None = None
    ) -> Run:
        """Store the message and the pending answer in one step, and start the run that answers.

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
            abandoned = await self._abandoned(tenant, before)
            now = self._now()
            run_id, question = self.new_id(), StoredMessage(self.new_id(), "user", message.content, now)
            answer_id = idempotency.answer if idempotency else self.new_id()
            answer = StoredMessage(answer_id, "assistant", "", now, status="pending", run=run_id, model=model)
            began = Start(run_id, model, int(self.now().timestamp()), conversation, answer.id)
            request = _request(model, history.context((*before, question)), message)
            sink = MessageSink(self.sessions, tenant, conversation, answer, self._now)
            record = RunRecord(tenant, began, request)
            async with self.fleet.begin(record):
                messages = (*abandoned, question, answer)
                try:
                    append = Append(messages, now=now, expected_version=known.version, idempotency=idempotency)
                    await self.sessions.append(tenant, conversation, append)
                except StorageUnavailableError:  # it may have been stored all the same
                    recover = partial(self.takeover.produce, Claim(record, Fence()), has_slot=True)
                    start(tenant, run_id, recover, Fence())
                    raise
                job = RunJob(began, request, provider, sink, self.clock, seams=self.seams)
                return start(tenant, run_id, partial(run_turn, job), Fence())

    async def _abandoned(self, tenant: str, before: tuple[StoredMessage, ...]) -> tuple[StoredMessage, ...]:
        """Return the pending answer as interrupted if no pod writes it any more; raise CONVERSATION_BUSY if one may."""
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


def _request(model: str, messages: tuple[Message, ...], sent: NewMessage) -> ChatRequest:
    return ChatRequest(model, messages, temperature=sent.temperature, top_p=sent.top_p, max_tokens=sent.max_tokens)
