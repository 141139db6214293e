"""One message: admitted, checked, stored together with its pending answer, and answered by a run."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat import history
from chatfleet_api.chat.accounting import consumer_of
from chatfleet_api.chat.attachments import Attachment, has_files, own_field, question
from chatfleet_api.chat.branches import CURRENT, Branch, end_of
from chatfleet_api.chat.limits import reserved
from chatfleet_api.chat.models import Models, allowed
from chatfleet_api.chat.placing import Place, Turn
from chatfleet_api.chat.producing import producing
from chatfleet_api.chat.queueing import BUSY_RETRY_SECONDS
from chatfleet_api.chat.room import NONE, UNLIMITED, Adding, Room
from chatfleet_api.chat.takeover import Takeover
from chatfleet_api.chat.turn import PLAIN, MessageSink, RunJob, Seams
from chatfleet_api.chat.window import Asked, Window, asked, past_of
from chatfleet_api.domain import log_context, presence, trace
from chatfleet_api.domain.errors import ChatError, Code, RejectedError, StorageUnavailableError
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.interface import Claim, Fleet, RunRecord
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.pool import RunPool, StartRun
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import (
    Append,
    IdempotencyRecord,
    ResponsePlace,
    SessionStore,
    StoredMessage,
)
from chatfleet_api.sessions.tree import path_to
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
    parent: str | msgspec.UnsetType | None = msgspec.UNSET
    """The message that it follows, None: it is a first one. Unset: it follows the current path."""
    again: str | msgspec.UnsetType = msgspec.UNSET
    """The message that is to be answered again, or an answer to it; then there is no text."""
    attachments: tuple[Attachment, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def branch(self) -> Branch:
        """Where it goes on."""
        return Branch(self.parent, self.again)


class WindowMeter(Protocol):
    """Counts what models do not get of conversations."""

    def left_out(self, messages: int) -> None:
        """Count messages of one conversation that were left out of one request."""
        ...


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
    window: Live[Window]
    meter: WindowMeter
    room: Live[Room] = UNLIMITED
    """What a conversation can have."""
    seams: Seams = PLAIN

    async def send(
        self,
        principal: Principal,
        conversation: str,
        message: NewMessage,
        *,
        idempotency: IdempotencyRecord | None = None,
    ) -> Run:
        """Store the message and the pending answer in one step, and start the run that answers.

        Raises:
            ChatError: MODEL_NOT_FOUND, AT_CAPACITY, DRAINING, LIMIT_EXCEEDED, CONVERSATION_NOT_FOUND,
                CONVERSATION_BUSY, CONVERSATION_CHANGED, CONVERSATION_FULL, CONTEXT_TOO_LONG,
                STORAGE_UNAVAILABLE; INVALID_REQUEST and NOT_FOUND for a message that is not there.
        """
        model = message.model or self.catalogue().models()[0]
        self.catalogue().provider(model)  # raises when there is none
        with self.pool.admit() as start:
            turn = _turn(model, message, self.new_id(), self.stamp())
            place = await self.place(principal.tenant, conversation, message.branch, adding=turn.adding)
            return await self.begin(start, principal, place, turn, idempotency=idempotency)

    async def place(self, tenant: str, conversation: str, branch: Branch = CURRENT, *, adding: Adding = NONE) -> Place:
        """Return where a turn goes on in a conversation that is free and has room; raises as `send` does."""
        known = await self.sessions.get(tenant, conversation)
        stored = await self.sessions.messages(tenant, conversation)
        before = path_to(stored, end_of(branch, known, stored))
        self.room().require(stored, adding)  # first: a full conversation interrupts no answer
        abandoned = await self.abandoned(tenant, stored)
        return Place(conversation, known.version, before, abandoned, None, known.user_id, stored, known.summary)

    async def begin(
        self,
        start: StartRun,
        principal: Principal,
        place: Place,
        turn: Turn,
        *,
        idempotency: IdempotencyRecord | None = None,
    ) -> Run:
        """Store the questions and the pending answer in one step, and start the run that answers.

        Raises:
            ChatError: MODEL_NOT_FOUND, INVALID_REQUEST, CONTEXT_TOO_LONG, LIMIT_EXCEEDED, CONVERSATION_NOT_FOUND,
                CONVERSATION_CHANGED, CONVERSATION_FULL, STORAGE_UNAVAILABLE.
        """
        tenant, models = principal.tenant, self.catalogue()
        consumer = consumer_of(principal, place.user or turn.request.user)
        log_context.note(conversation_id=place.conversation)
        presence.note(tenant, consumer.user)
        conversation, now, echo = place.conversation, self.stamp(), turn.echo or ""
        models.provider(turn.request.model)  # raises when there is none
        self.room().require_data(place.stored, turn.adding)  # of a chain, too
        run_id, answer_id = self.new_id(), idempotency.answer if idempotency else self.new_id()
        request, use = self._asked(place, turn)
        with await reserved(self.seams.limits, principal, request, max_tokens=models.max_tokens) as part:
            request, model = part.request, part.request.model
            answer = StoredMessage(
                answer_id, "assistant", "", now, "pending", run_id, model=model, echo=echo, context=use
            )
            began = Start(run_id, model, int(self.now().timestamp()), conversation, answer.id, echo)
            added = place.following((*turn.questions, answer))
            append = Append(
                (*place.carried, *turn.decided_by(answer_id), *added),
                now=now,
                expected_version=place.version,
                idempotency=idempotency if place.create is None else None,  # a new thread has it itself
                create=place.create,
                response=None if turn.echo is None else ResponsePlace(run_id, len(turn.questions) + 1),
            )
            record = RunRecord(tenant, began, request, consumer, part.held, *trace.place())
            async with self.fleet.begin(record):
                try:
                    await self.sessions.append(tenant, conversation, append)
                except StorageUnavailableError:  # it may have been stored all the same
                    recover = partial(self.takeover.produce, Claim(record, Fence()), has_slot=True)
                    part.keep(start(tenant, run_id, recover, Fence()))
                    raise
                sink = MessageSink(self.sessions, tenant, conversation, added[-1], self.stamp)
                provider = models.provider(model)
                job = RunJob(
                    began, request, provider, sink, self.clock, seams=self.seams, consumer=consumer, held=part.held
                )
                if use is not None and use.left_out:
                    self.meter.left_out(use.left_out)
                return part.keep(start(tenant, run_id, producing(job), Fence()))

    def _asked(self, place: Place, turn: Turn) -> Asked:
        """Return what the model gets; of a response only if that may be truncated, a part of what was before."""
        trims = turn.echo is None or turn.request.truncates
        window = self.window()
        past = past_of(window, turn.past(place.before), place.summary if turn.echo is None else None)
        request, use = asked(window, past.messages, turn.request, (*turn.instructions, *past.summary), may_trim=trims)
        request = history.placed(request, place.conversation, place.before, self.now())
        self._require_supported(request, turn)
        return Asked(request, past.use(use))

    def _require_supported(self, request: ChatRequest, turn: Turn) -> None:
        """Raise `ChatError(INVALID_REQUEST)` for a part of the request that its upstream cannot get.

        It must not be stored: each later turn of the conversation would be rejected as well.
        """
        has_untranslated = request.sent is not None and request.sent.untranslated
        if turn.background or has_untranslated or has_files(request):
            try:
                self.catalogue().require_supported(request)
            except RejectedError as error:
                if turn.echo is None:
                    error.param = own_field(turn.request)
                raise

    async def abandoned(self, tenant: str, before: tuple[StoredMessage, ...]) -> tuple[StoredMessage, ...]:
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

    def stamp(self) -> str:
        """Return the time, as stored messages carry it."""
        return history.stamp(self.now())


def with_allowed_model(message: NewMessage, principal: Principal, models: Models) -> NewMessage:
    """Return `message` with a model that its sender may use; raise `ChatError(MODEL_NOT_FOUND)` for another one."""
    if principal.models is None:
        return message
    names = allowed(principal, models)
    model = message.model or (names[0] if names else "")
    principal.require_model(model)
    return replace(message, model=model)


def _turn(model: str, message: NewMessage, question_id: str, now: str) -> Turn:
    if isinstance(message.again, str):
        return Turn((), _request(model, message, ()))
    if isinstance(message.attachments, tuple):
        item = question(message.content, message.attachments)
        asked_for = () if item.message is None else (item.message,)
        return Turn((item.stored(question_id, now),), _request(model, message, asked_for))
    stored = StoredMessage(question_id, "user", message.content, now)
    return Turn((stored,), _request(model, message, (Message("user", message.content),)))


def _request(model: str, sent: NewMessage, question: tuple[Message, ...]) -> ChatRequest:
    return ChatRequest(model, question, temperature=sent.temperature, top_p=sent.top_p, max_tokens=sent.max_tokens)
