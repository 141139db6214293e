"""THE page of one run: ask, pass on, remember, settle, tell the end.

Whatever happens between the question and the end of its answer is here. A run ends exactly once, and its end is true:
`Complete` only when the provider itself said that the answer is whole, `partial_saved` only when the store has it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, TypeAlias

from msgspec.structs import replace

from chatfleet_api.chat.reply import Reply
from chatfleet_api.domain.errors import FACTS, ChatError, Code, StorageUnavailableError
from chatfleet_api.domain.events import Complete, Event, Failed, Reasoning, Start, Terminal, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Piece, Provider
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import SessionStore, StoredMessage

SETTLE_SECONDS = 2.0
"""Longest that a reader waits for the end of a stream because the store does not answer."""
LATE_SETTLE_SECONDS = 60.0
"""Time after that in which the answer is still brought to the store: longer than a failover of Redis takes."""
SETTLE_PAUSE_SECONDS = 0.5
"""Between two attempts to settle."""

Kept: TypeAlias = Literal["kept", "unwanted", "unreachable"]
"""What became of an answer: stored, its conversation was deleted meanwhile, or the store did not answer in time."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer of a conversation is kept: `message` is there, pending, until the final one replaces it."""

    sessions: SessionStore
    tenant: str
    conversation: str
    message: StoredMessage
    now: Callable[[], str]

    async def keep(self, message: StoredMessage) -> None:
        """Replace the pending message."""
        await self.sessions.append(self.tenant, self.conversation, (message,), expected_version=None, now=self.now())


@dataclass(frozen=True, slots=True)
class Turn:
    """One question, who answers it, and where the answer goes (None: to the readers only)."""

    start: Start
    request: ChatRequest
    provider: Provider | None
    """None: nobody can go on with what came `before`."""
    place: Place | None
    clock: Callable[[], float]
    before: Sequence[Event] = ()
    """What a pod that died has logged of the run."""
    spent: Usage | None = None
    """What the attempts of pods that died have cost, as far as can be told."""


async def take_turn(turn: Turn, run: Run) -> None:
    """Produce `run`. The store comes before the terminal event, if it answers in time: who saw the end finds it."""
    if not turn.before:
        run.publish((turn.start,))
    reply = Reply(turn.clock, provided(turn.before))
    ending = _charged(await _answer(turn, run, reply), turn.spent)
    if run.fenced:
        return  # it is another pod's to end
    if turn.place is None:
        run.publish((ending,))
        return
    message = final_message(turn.place.message, reply, ending)
    kept = await _settle(turn.place, message, seconds=SETTLE_SECONDS)
    run.publish((_told(ending, message, kept),))
    if kept == "unreachable":
        await _settle_late(turn.place, message)


async def _answer(turn: Turn, run: Run, reply: Reply) -> Terminal:
    """Pass the answer on as it comes, and return how it ended."""
    try:
        async with run.stoppable(), aclosing(_source(turn)) as stream:
            async for pieces in stream:
                if events := reply.take(pieces):
                    run.publish(events)
        return _finished(reply)
    except ChatError as error:
        if error.detail:
            logger.warning("run %s failed: %s", run.id, error)
        return Failed.of(error)
    except Exception:  # the edge of a run: whatever broke, what there is of the answer is kept and its readers are told
        logger.exception("run %s failed", run.id)
        return Failed.of(ChatError(Code.INTERNAL))


def _source(turn: Turn) -> AsyncGenerator[Sequence[Piece], None]:
    if turn.provider is None:
        raise ChatError(Code.INTERRUPTED)
    return turn.provider.stream(turn.request)


def provided(events: Sequence[Event]) -> Sequence[Piece]:
    """Return the part of a run's events that came from the provider."""
    return [event for event in events if isinstance(event, Token | Reasoning | ToolCall)]


def _finished(reply: Reply) -> Terminal:
    if reply.finish is None:
        return Failed.of(ChatError(Code.UPSTREAM_TRUNCATED))
    end = reply.finish
    return Complete(end.reason, end.usage, reply.elapsed_ms(), reply.first_token_ms, end.provider, end.upstream_model)


def _charged(ending: Terminal, spent: Usage | None) -> Terminal:
    """Add to an answer's usage what was spent before."""
    if spent is None:
        return ending
    return replace(ending, usage=spent if ending.usage is None else ending.usage + spent)


async def _settle(place: Place, message: StoredMessage, *, seconds: float) -> Kept:
    """Store the answer, trying for `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    await place.keep(message)
                except StorageUnavailableError:
                    await asyncio.sleep(SETTLE_PAUSE_SECONDS)
                except ChatError:
                    return "unwanted"
                else:
                    return "kept"
    except TimeoutError:
        return "unreachable"


async def _settle_late(place: Place, message: StoredMessage) -> None:
    """Go on trying, after the end was told; also the end of the pod must not lose an answer without a word."""
    kept: Kept = "unreachable"
    try:
        kept = await _settle(place, message, seconds=LATE_SETTLE_SECONDS)
    finally:
        if kept == "unreachable":
            logger.error("the answer of run %s could not be stored and is lost", message.run)


def _told(ending: Terminal, message: StoredMessage, kept: Kept) -> Event:
    if isinstance(ending, Complete):
        return ending
    partial = bool(message.content or message.reasoning or message.tool_calls)
    return replace(ending, partial_saved=partial and kept == "kept")


def final_message(pending: StoredMessage, reply: Reply, ending: Terminal) -> StoredMessage:
    """Return the message as it is kept: whole, or what had come of it, marked by its status."""
    kept = replace(
        pending,
        content=reply.text,
        reasoning=reply.reasoning,
        tool_calls=reply.tool_calls,
        usage=ending.usage,
        latency_ms=reply.elapsed_ms(),
    )
    if isinstance(ending, Failed):
        return replace(kept, status=FACTS[ending.code].outcome, error_code=ending.code)
    return replace(
        kept,
        status="complete",
        finish_reason=ending.finish_reason,
        latency_ms=ending.latency_ms,
        provider=ending.provider,
        upstream_model=ending.upstream_model,
    )
