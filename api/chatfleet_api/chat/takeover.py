"""What becomes of a run whose pod died: asked again, continued, or ended; never told twice and never told false.

Nothing of the answer was visible: the question is asked again. Text was visible and the model can continue it: it is
continued. Otherwise the run ends as interrupted, and what had come is kept.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

from msgspec.structs import replace

from chatfleet_api.chat import history
from chatfleet_api.chat.models import Models
from chatfleet_api.chat.reply import Reply
from chatfleet_api.chat.turn import MessageSink, RunJob, provided, run_turn
from chatfleet_api.domain.errors import (
    ChatError,
    Code,
    ConversationChangedError,
    ConversationNotFoundError,
    StorageUnavailableError,
)
from chatfleet_api.domain.events import Complete, Event, Failed, FinishReason, Token, Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.provider import Provider
from chatfleet_api.runs.fleet.interface import Claim
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import Append, SessionStore, StoredMessage
from chatfleet_contract.provider_types import Continuation

MOST_EPOCHS: Final = 3
"""A run that has outlived so many pods is ended: it may be what kills them."""
PATIENCE_SECONDS: Final = 60.0
"""Time in which the state of a run is read, should Redis go away just then."""
PAUSE_SECONDS: Final = 0.5

Outcome: TypeAlias = Literal["regenerated", "continued", "interrupted", "finished"]
"""What becomes of a run that was taken over: asked again, gone on with, ended; or its end was known before."""

_T = TypeVar("_T")


class TakeoverMeter(Protocol):
    """Counts takeovers."""

    def took_over(self, outcome: Outcome, seconds: float) -> None:
        """Count a run that was taken over, after `seconds` in which nobody produced it."""
        ...


@dataclass(frozen=True)
class Takeover:
    """Goes on with claimed runs."""

    catalogue: Live[Models]
    log: RunLog
    sessions: SessionStore
    clock: Callable[[], float]
    now: Callable[[], datetime]
    meter: TakeoverMeter

    async def produce(self, claim: Claim, run: Run, *, has_slot: bool) -> None:
        """Bring a claimed run to its end; without `has_slot` by asking nobody."""
        if claim.cancelled:
            run.cancel()
        record, start = claim.record, claim.record.start
        before = await _patiently(lambda: self._logged(claim))
        message = None
        if start.conversation and start.message:
            conversation, answer = start.conversation, start.message
            message = await _patiently(lambda: self._resumed(record.tenant, conversation, answer, claim.fence.epoch))
        if message and message.status != "pending":
            self.meter.took_over("finished", claim.seconds)
            run.publish((*(() if before else (start,)), *remainder(before, message)))
            return
        hopeless = not has_slot or (start.conversation is not None and message is None)
        provider, request = (None, record.request) if hopeless else self._asked(claim, before)
        self.meter.took_over(_outcome(claim, provider, request), claim.seconds)
        sink = None
        if message:
            sink = MessageSink(self.sessions, record.tenant, start.conversation or "", message, self._now)
        spent = lost_usage(claim, before)
        await run_turn(RunJob(start, request, provider, sink, self.clock, before, spent), run)

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
        """Return the message: final, or pending and from now on in our epoch; None when it is not, or no more, there.

        The pod that had the run before cannot store a final one any more.
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

    def _asked(self, claim: Claim, before: Sequence[Event]) -> tuple[Provider | None, ChatRequest]:
        """Return who is asked what, or nobody when the answer cannot go on."""
        asked = claim.record.request
        models = self.catalogue()
        try:
            continuation = models.continuation(asked.model)
            request = resumption(before, asked, continuation, epoch=claim.fence.epoch)
            if request is not None:
                return models.provider(asked.model), request
        except ChatError:  # the model has left the catalogue
            pass
        return None, asked


def lost_usage(claim: Claim, before: Sequence[Event]) -> Usage | None:
    """Return what the attempts of the pods before have cost: the question each time, and all that was visible."""
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
    before: Sequence[Event], asked: ChatRequest, continuation: Continuation, *, epoch: int
) -> ChatRequest | None:
    """Return what to ask so that the answer goes on after `before`, None when it cannot."""
    if epoch > MOST_EPOCHS:
        return None
    visible = provided(before)
    if not visible:
        return asked
    texts = [piece.text for piece in visible if isinstance(piece, Token)]
    if continuation == "none" or len(texts) < len(visible):
        return None
    return replace(asked, messages=(*asked.messages, Message("assistant", "".join(texts))), continues=True)


def remainder(before: Sequence[Event], kept: StoredMessage) -> tuple[Event, ...]:
    """Return what is left to tell of an answer that was stored whole, or with its failure, before its pod died."""
    told = Reply(lambda: 0, provided(before))
    code = kept.error_code
    same = (told.reasoning, told.tool_calls) == (kept.reasoning, kept.tool_calls)
    if code is None and not (same and kept.content.startswith(told.text)):
        code = Code.INTERRUPTED  # whole in the store alone
    if code is not None:
        partial = bool(kept.content or kept.reasoning or kept.tool_calls)
        return (replace(Failed.of(ChatError(code)), partial_saved=partial, usage=kept.usage),)
    rest = kept.content[len(told.text) :]
    reason: FinishReason = kept.finish_reason or "stop"
    ending = Complete(
        reason,
        kept.usage or Usage(estimated=True),
        kept.latency_ms or 0,
        provider=kept.provider,
        upstream_model=kept.upstream_model,
    )
    return (Token(rest), ending) if rest else (ending,)


async def _patiently(read: Callable[[], Awaitable[_T]]) -> _T:
    """Return what `read` returns, once Redis answers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await read()
            except StorageUnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
