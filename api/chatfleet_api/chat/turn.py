"""THE page of one run: admit, guard, steps, account, settle, publish the end.

admit        announces the run; its slot was taken in `RunPool.admit`, its share of the limits in `chat/limits.py`
guarded      returns the request as the provider may get it: `Guard.request`; `Guard.batch` sees what is read
steps        calls the provider once: `one_step`; `ToolSteps` call tools, and ask again (`tool_steps.py`)
accounted    prices what was used, and has the ledger count it in the step that ends the run: `Accounting.settle`
settle       stores the answer; what was used is charged before: `Limits.settle`
publish_end  publishes the terminal event, and gives its step the event for webhooks: `Announcer.announce`
follow_ups   after that: the conversation may get a title, or a summary of what was before, by a run of its own

A run ends exactly once, and its end is true: `Complete` only when the provider itself completed the answer,
`partial_saved` only when the store has it. A seam without a feature is None, and costs nothing for each token.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias

from msgspec.structs import replace

from chatfleet_api.chat import notices
from chatfleet_api.chat.accounting import Accounting, Used, accounted
from chatfleet_api.chat.announcing import UNEXPECTED, Announcer, Ended
from chatfleet_api.chat.emitting import emitter
from chatfleet_api.chat.following import followed
from chatfleet_api.chat.items import item_owner
from chatfleet_api.chat.limits import Limits, Share, share_of, tokens_used
from chatfleet_api.chat.relayed import extra_text
from chatfleet_api.chat.reply import Reply
from chatfleet_api.chat.steps import Answer, Steps, answered, one_step, provided, stored
from chatfleet_api.chat.tool_progress import doubtful_calls
from chatfleet_api.chat.traces import turn_span
from chatfleet_api.domain.dispatch import Dispatcher
from chatfleet_api.domain.errors import FACTS, ChatError, Code, StorageUnavailableError
from chatfleet_api.domain.events import Complete, Event, Failed, Start, Terminal, Usage
from chatfleet_api.domain.quota import Held
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.tasks import Tasks
from chatfleet_api.providers.provider import ItemBatch, Provider
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import Append, SessionStore, StoredMessage
from chatfleet_api.usage.attempts import noting
from chatfleet_api.usage.record import UNKNOWN_CONSUMER, Consumer

SETTLE_SECONDS = 2.0
"""Longest that a reader waits for the end of a stream because the store does not answer."""
LATE_SETTLE_SECONDS = 60.0
"""Time after that in which the answer is still brought to the store: longer than a failover of Redis takes."""
SETTLE_PAUSE_SECONDS = 0.5

SaveOutcome: TypeAlias = Literal["saved", "deleted", "unreachable"]
"""Whether an answer was stored, or its conversation was deleted meanwhile, or the store did not answer in time."""

logger = logging.getLogger(__name__)


class Guard(Protocol):
    """Redacts or rejects what goes to the provider, and what comes from it; raises `ChatError` to end the run.

    Both have parts in the client's own words: `ChatRequest.sent`, `Extended.extra`.
    """

    async def request(self, request: ChatRequest) -> ChatRequest: ...

    def batch(self, pieces: ItemBatch) -> ItemBatch: ...


class FollowUp(Protocol):
    """What follows an answer."""

    async def answered(self, tenant: str, start: Start, consumer: Consumer) -> None:
        """Take note of a complete answer that was stored, and whose end was published. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Seams:
    """What features add to a run."""

    accounting: Accounting | None = None
    limits: Limits | None = None
    guard: Guard | None = None
    follow_ups: Sequence[FollowUp] = ()
    announcer: Announcer | None = None
    dispatcher: Dispatcher | None = None
    """Those who listen to what happens."""
    tasks: Tasks | None = None
    """What runs in the background is shown by it."""
    steps: Steps = one_step


PLAIN: Final = Seams()


class Sink(Protocol):
    """Where an answer is stored."""

    @property
    def message(self) -> StoredMessage:
        """The pending message."""
        ...

    async def save(self, message: StoredMessage) -> None:
        """Replace it by the final one; raises `ChatError`."""
        ...


@dataclass(frozen=True, slots=True)
class MessageSink:
    """Where the answer is stored: `message` is there, pending, until the final one replaces it."""

    sessions: SessionStore
    tenant: str
    conversation: str
    message: StoredMessage
    now: Callable[[], str]

    async def save(self, message: StoredMessage) -> None:
        """Replace the pending message."""
        append = Append((message,), now=self.now(), expected_version=None)
        await self.sessions.append(self.tenant, self.conversation, append)


@dataclass(frozen=True, slots=True)
class RunJob:
    """One request, the provider of its answer, and the sink of the answer (None: it goes to the readers only)."""

    start: Start
    request: ChatRequest
    provider: Provider | None
    """None: no provider can continue what came `before`."""
    sink: Sink | None
    clock: Callable[[], float]
    before: Sequence[Event] = ()
    """What a pod that died has logged of the run."""
    spent: Usage | None = None
    """What the attempts of pods that died have used, as far as it is known."""
    seams: Seams = PLAIN
    consumer: Consumer = UNKNOWN_CONSUMER
    held: Held | None = None


async def run_turn(job: RunJob, run: Run) -> None:
    """Produce `run`. The store comes before the terminal event, if it answers in time: who saw the end finds it."""
    admit(job, run)
    announce(job, run, UNEXPECTED)
    reply = Reply(job.clock, answered(job.before))
    limits = job.seams.limits
    with turn_span(run, job.start) as span, share_of(limits, run.tenant, job.held) as share, noting() as attempts:
        with followed(job.seams.accounting, run, job.consumer, attempts):
            end = await _produce(job, run, reply, share)
            if run.fenced:
                share.forget()
                return  # it is another pod's to end
            notices.called(job.seams.dispatcher, run.tenant, job.start, lambda: reply.tool_calls)
            used = Used(job.start, job.consumer, attempts.ended, job.spent, bool(provided(job.before)))
            end = accounted(job.seams.accounting, run, used, end)
        span.ended(end)
        await share.settle(tokens_used(job.request, reply, end))
    if job.sink is None:
        publish_end(job, run, end, reply.text)
        return
    message = final_message(job.sink.message, reply, end)
    outcome = await settle(job.sink, message, seconds=SETTLE_SECONDS)
    publish_end(job, run, _with_partial_saved(end, message, outcome), reply.text)
    if outcome == "unreachable":
        await _settle_late(job.sink, message)
    elif outcome == "saved" and isinstance(end, Complete):
        for follow_up in job.seams.follow_ups:
            await follow_up.answered(run.tenant, job.start, job.consumer)


def admit(job: RunJob, run: Run) -> None:
    """Announce the run, unless another pod has begun it."""
    if not job.before:
        run.publish((job.start,))
        notices.begun(job.seams.dispatcher, run.tenant, job.start, job.consumer)


async def _produce(job: RunJob, run: Run, reply: Reply, share: Share) -> Terminal:
    """Guard the request, take the steps, and return how they ended."""
    try:
        async with run.stoppable():
            provider = _provider(job)
            request = await guarded(job)
            emit = emitter(job.seams.guard, job.seams.dispatcher, run, reply)
            publish = notices.stepping(job.seams.dispatcher, run.tenant, job.start, reply.noting(run.publish))
            waits = isinstance(job.sink, MessageSink)
            owner = partial(item_owner, job.start.conversation, job.start.message or "") if waits else None
            answer = Answer(emit, publish, partial(stored, run), share.extend, job.before, owner)
            await job.seams.steps(provider, request, answer)
        return _finished(job, reply)
    except ChatError as error:
        if error.detail:
            logger.warning("Run %s failed: %s", run.id, error)
        return Failed.of(error)
    except Exception:  # the edge of a run: whatever broke, what there is of the answer is stored and its readers get it
        logger.exception("Run %s failed", run.id)
        return Failed.of(ChatError(Code.INTERNAL))


def _provider(job: RunJob) -> Provider:
    if job.provider is None:
        raise doubtful_calls(job.before) or ChatError(Code.INTERRUPTED)
    return job.provider


async def guarded(job: RunJob) -> ChatRequest:
    """Return the request as the provider may get it."""
    guard = job.seams.guard
    return job.request if guard is None else await guard.request(job.request)


def _finished(job: RunJob, reply: Reply) -> Terminal:
    if reply.finish is None:
        return Failed.of(ChatError(Code.UPSTREAM_TRUNCATED))
    end = reply.finish
    return Complete(
        end.reason,
        end.usage,
        reply.elapsed_ms(),
        reply.first_token_ms,
        end.provider,
        end.upstream_model,
        end.extra,
        None if job.sink is None else job.sink.message.context,
        end.citations,
        end.retrieval,
    )


async def settle(sink: Sink, message: StoredMessage, *, seconds: float) -> SaveOutcome:
    """Store the answer, trying for `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    await sink.save(message)
                except StorageUnavailableError:
                    await asyncio.sleep(SETTLE_PAUSE_SECONDS)
                except ChatError:
                    return "deleted"
                else:
                    return "saved"
    except TimeoutError:
        return "unreachable"


async def _settle_late(sink: Sink, message: StoredMessage) -> None:
    """Go on trying after the end was published; also the end of the pod must not lose an answer without a log line."""
    outcome: SaveOutcome = "unreachable"
    try:
        outcome = await settle(sink, message, seconds=LATE_SETTLE_SECONDS)
    finally:
        if outcome == "unreachable":
            logger.error("The answer of run %s could not be stored and is lost", message.run)


def publish_end(job: RunJob, run: Run, end: Terminal, text: str) -> None:
    announce(job, run, end, text)
    run.publish((end,))
    notices.ended(job.seams.dispatcher, run.tenant, job.start, job.consumer, end)


def announce(job: RunJob, run: Run, end: Terminal, text: str = "") -> None:
    """Let the step that ends the run queue the event of this end, where there are webhooks."""
    if job.seams.announcer is not None:
        job.seams.announcer.announce(run, Ended(job.start, job.consumer, end, text))


def _with_partial_saved(end: Terminal, message: StoredMessage, outcome: SaveOutcome) -> Terminal:
    if isinstance(end, Complete):
        return end
    partial = bool(message.content or message.reasoning or message.tool_calls)
    return replace(end, partial_saved=partial and outcome == "saved")


def final_message(pending: StoredMessage, reply: Reply, end: Terminal) -> StoredMessage:
    """Return the message as it is stored: whole, or what had come of it, marked by its status."""
    message = replace(
        pending,
        model=reply.model or pending.model,
        content=reply.text,
        reasoning=reply.reasoning,
        thoughts=reply.thoughts,
        tool_calls=reply.tool_calls,
        server_tools=reply.server_tools,
        usage=end.usage,
        latency_ms=reply.elapsed_ms(),
    )
    if isinstance(end, Failed):
        return replace(message, status=FACTS[end.code].outcome, error_code=end.code)
    whole = replace(message, status="complete", finish_reason=end.finish_reason, latency_ms=end.latency_ms)
    whole = replace(whole, provider=end.provider, upstream_model=end.upstream_model, extra=extra_text(end.extra))
    return replace(whole, citations=end.citations, retrieval=end.retrieval, agents=end.agents)
