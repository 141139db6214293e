"""Takeover of a run whose pod died or handed it over: regenerated, continued, or ended; no event twice, none untrue.

If nothing of the answer was visible, the request is sent again. If text was visible and the model can continue it, it
is continued (`Prefill`). Otherwise the run ends as interrupted, and the partial answer is stored.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

from msgspec.structs import replace

from chatfleet_api.chat import history
from chatfleet_api.chat.accounting import Used
from chatfleet_api.chat.announcing import Ended
from chatfleet_api.chat.limits import Share, share_of
from chatfleet_api.chat.missing import missing_pieces
from chatfleet_api.chat.models import Models
from chatfleet_api.chat.relayed import extra_of
from chatfleet_api.chat.steps import provided
from chatfleet_api.chat.tool_progress import doubtful_calls, progress_of
from chatfleet_api.chat.tool_turn import with_steps
from chatfleet_api.chat.traces import takeover_span
from chatfleet_api.chat.turn import PLAIN, MessageSink, RunJob, Seams, run_turn
from chatfleet_api.domain import log_context
from chatfleet_api.domain.errors import (
    ChatError,
    Code,
    ConversationChangedError,
    ConversationNotFoundError,
    StorageUnavailableError,
)
from chatfleet_api.domain.events import Agent, Complete, Event, Failed, FinishReason, Token, Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.request import ChatRequest, Message, Routing
from chatfleet_api.domain.trace import NO_TRACER, Tracer
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.provider import Provider
from chatfleet_api.runs.fleet.interface import Claim
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import Append, SessionStore, StoredMessage
from chatfleet_contract.spec.agents import MEMBER_PREFIX
from chatfleet_contract.spec.provider_types import Continuation

MAX_TAKEOVERS: Final = 3
"""A run that has outlived so many pods is ended: it may be what crashes them."""
REDIS_TIMEOUT_SECONDS: Final = 60.0
"""Time in which Redis must answer when the state of a run is read."""
PAUSE_SECONDS: Final = 0.5

Outcome: TypeAlias = Literal["regenerated", "continued", "interrupted", "finished"]
"""What became of a run that was taken over; `finished`: its end was known before."""

_T = TypeVar("_T")


class TakeoverMeter(Protocol):
    """Counts takeovers."""

    def took_over(self, outcome: Outcome, seconds: float) -> None:
        """Count a run that was taken over after `seconds` without a producer."""
        ...


@dataclass(frozen=True)
class Takeover:
    """Produces the rest of claimed runs."""

    catalogue: Live[Models]
    log: RunLog
    sessions: SessionStore
    clock: Callable[[], float]
    now: Callable[[], datetime]
    meter: TakeoverMeter
    seams: Seams = PLAIN
    tracer: Live[Tracer | None] = NO_TRACER

    async def produce(self, claim: Claim, run: Run, *, has_slot: bool) -> None:
        """Bring a claimed run to its end; without `has_slot`, without a provider."""
        if claim.cancelled:
            run.cancel()
        record = claim.record
        if self.seams.limits is not None and record.held is not None:
            self.seams.limits.adopt(record.tenant, record.held)
        with (
            takeover_span(self.tracer(), claim),
            share_of(self.seams.limits, record.tenant, record.held) as share,
        ):
            await self._end(claim, run, share, has_slot=has_slot)

    async def _end(self, claim: Claim, run: Run, share: Share, *, has_slot: bool) -> None:
        record, start = claim.record, claim.record.start
        if start.conversation is not None:
            log_context.note(conversation_id=start.conversation)
        before = await _once_redis_answers(lambda: self._logged(claim))
        message = None
        if start.conversation and start.message:
            conversation, answer = start.conversation, start.message
            message = await _once_redis_answers(
                lambda: self._resumed(record.tenant, conversation, answer, claim.fence.epoch)
            )
        if message and message.status != "pending":
            self.meter.took_over("finished", claim.seconds)
            if message.usage is not None:
                await share.settle(message.usage)
            *rest, end = remainder(before, message)
            end = self._counted(claim, run, end)
            if self.seams.announcer is not None and isinstance(end, Complete | Failed):
                self.seams.announcer.announce(run, Ended(start, record.consumer, end, message.content))
            run.publish((*(() if before else (start,)), *rest, end))
            return
        unrecoverable = not has_slot or (start.conversation is not None and message is None)
        provider, request = (None, record.request) if unrecoverable else self._resumption(claim, before)
        self.meter.took_over(_outcome(claim, provider, request), claim.seconds)
        sink = None
        if message:
            message = replace(message, model=as_announced(record.request, before).model)
            sink = MessageSink(self.sessions, record.tenant, start.conversation or "", message, self._now)
        spent = lost_usage(claim, before)
        job = RunJob(
            start, request, provider, sink, self.clock, before, spent, self.seams, record.consumer, record.held
        )
        await run_turn(job, run)

    def _counted(self, claim: Claim, run: Run, end: Event) -> Event:
        """Count an answer that was stored before its pod died, and of which the log lacks the end."""
        accounting, record = self.seams.accounting, claim.record
        if accounting is None or not isinstance(end, Complete | Failed):
            return end
        lost = end.usage if isinstance(end, Failed) else None
        used = Used(record.start, record.consumer, (), lost, lost_visible=True)
        return accounting.settle(run, used, end)

    def _now(self) -> str:
        return history.stamp(self.now())

    async def _logged(self, claim: Claim) -> Sequence[Event]:
        """Return the events that the dead pod has logged."""
        events: list[Event] = []
        if not claim.fence.last_seq:
            return events
        async with aclosing(self.log.read(claim.record.tenant, claim.record.start.run)) as batches:
            async for batch in batches:
                events += batch.events
                if batch.last >= claim.fence.last_seq:
                    break
        return events

    async def _resumed(self, tenant: str, conversation: str, answer: str, epoch: int) -> StoredMessage | None:
        """Return the message: final, or pending and now in our epoch; None when it does not exist, or no longer.

        From then on the pod that had the run before is fenced: it cannot store a final one.
        """
        while True:
            try:
                version = (await self.sessions.get(tenant, conversation)).version
                messages = await self.sessions.messages(tenant, conversation)
                message = next((each for each in messages if each.id == answer), None)
                if message is None or message.status != "pending":
                    return message
                ours = replace(message, epoch=epoch)
                await self.sessions.append(
                    tenant, conversation, Append((ours,), now=self._now(), expected_version=version)
                )
            except ConversationNotFoundError:
                return None
            except ConversationChangedError:
                continue
            else:
                return ours

    def _resumption(self, claim: Claim, before: Sequence[Event]) -> tuple[Provider | None, ChatRequest]:
        """Return the provider and the request that continue the answer; no provider when it cannot be continued."""
        original = as_announced(claim.record.request, before)
        models = self.catalogue()
        try:
            continuation = models.continuation(original.model)
            request = resumption(before, original, continuation, epoch=claim.fence.epoch)
            if request is not None:
                return models.provider(original.model), request
        except ChatError:  # the model has left the catalogue
            pass
        return None, original


def as_announced(request: ChatRequest, before: Sequence[Event]) -> ChatRequest:
    """Return `request` for the agent that the run has announced last, if it has."""
    announced = next((event for event in reversed(before) if isinstance(event, Agent)), None)
    if announced is None:
        return request
    return replace(request, model=MEMBER_PREFIX + announced.name, routing=Routing(announced=True))


def lost_usage(claim: Claim, before: Sequence[Event]) -> Usage | None:
    """Return what the attempts of earlier pods have used: the request each time, and all that was visible."""
    epoch = claim.fence.epoch
    if not epoch:
        return None
    once = usage_estimate(claim.record.request, len(provided(before)))
    return replace(once, input_tokens=epoch * once.input_tokens)


def _outcome(claim: Claim, provider: Provider | None, request: ChatRequest) -> Outcome:
    if claim.cancelled:
        return "finished"
    if provider is None:
        return "interrupted"
    return "continued" if request.continues else "regenerated"


def resumption(
    before: Sequence[Event], request: ChatRequest, continuation: Continuation, *, epoch: int
) -> ChatRequest | None:
    """Return the request that continues the answer after `before`, None when it cannot be continued."""
    if epoch > MAX_TAKEOVERS:
        return None
    progress = progress_of(before)
    if progress.open is not None:
        return None if doubtful_calls(before) else with_steps(request, progress.messages)
    visible, request = provided(progress.rest), with_steps(request, progress.messages)
    if not visible:
        return request
    texts = [piece.text for piece in visible if isinstance(piece, Token)]
    if continuation == "none" or len(texts) < len(visible):
        return None
    return replace(request, messages=(*request.messages, Message("assistant", "".join(texts))), continues=True)


def remainder(before: Sequence[Event], stored: StoredMessage) -> tuple[Event, ...]:
    """Return the events after `before` of an answer that was stored, whole or failed, before its pod died."""
    rest = missing_pieces(provided(before), stored)
    if stored.error_code is not None or rest is None:
        code = stored.error_code or Code.INTERRUPTED  # the latter: it is whole in the store alone
        partial = bool(stored.content or stored.reasoning or stored.tool_calls)
        return (replace(Failed.of(ChatError(code)), partial_saved=partial, usage=stored.usage),)
    reason: FinishReason = stored.finish_reason or "stop"
    end = Complete(
        reason,
        stored.usage or Usage(estimated=True),
        stored.latency_ms or 0,
        provider=stored.provider,
        upstream_model=stored.upstream_model,
        extra=extra_of(stored) or None,
        context=stored.context,
        citations=stored.citations,
        retrieval=stored.retrieval,
        agents=stored.agents,
    )
    return (*rest, end)


async def _once_redis_answers(read: Callable[[], Awaitable[_T]]) -> _T:
    """Return what `read` returns, once Redis answers."""
    async with asyncio.timeout(REDIS_TIMEOUT_SECONDS):
        while True:
            try:
                return await read()
            except StorageUnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
