"""The steps of a turn: how often its provider is called, and with what. The seam of agents and tools."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from chatfleet_api.chat.truncation import truncated
from chatfleet_api.domain.errors import ChatError, Code, StorageUnavailableError
from chatfleet_api.domain.events import (
    Agent,
    Event,
    Extended,
    Reasoning,
    ServerToolEvent,
    Token,
    ToolCall,
)
from chatfleet_api.domain.request import ChatRequest, forget_sent
from chatfleet_api.providers.provider import AnswerItem, ItemBatch, Provider, StreamItem
from chatfleet_api.runs.run import Run

STORED_PAUSE_SECONDS: Final = 0.5
"""Between two attempts to have the log store what was published."""

Emit: TypeAlias = Callable[[ItemBatch], None]
"""Remembers what was read, and publishes the part of it that readers get. Never waits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Where steps leave what they produce, and what pods that died have left there."""

    emit: Emit
    publish: Callable[[Sequence[Event]], None]
    """Publishes events that come from no provider. Never waits."""
    stored: Callable[[], Awaitable[None]]
    """Returns when all that was published outlives this pod."""
    reserve: Callable[[], Awaitable[None]]
    """Reserves what one more request to the model may use; raises `ChatError` when a limit refuses it."""
    before: Sequence[Event] = ()
    owner: Callable[[], str] | None = None
    """Returns what the ids of its requests for approval have in common; None: it is not stored, and cannot wait."""


class Steps(Protocol):
    """Produces an answer by any number of calls to the provider."""

    def __call__(self, provider: Provider, request: ChatRequest, answer: Answer) -> Awaitable[None]: ...


async def one_step(provider: Provider, request: ChatRequest, answer: Answer) -> None:
    """Take one step."""
    await single_step(provider, request, answer.emit)


async def single_step(provider: Provider, request: ChatRequest, emit: Emit) -> None:
    """Call the provider once; of a request that is too long, and may be truncated, again with a part of it."""
    has_begun = False
    try:
        async with provider.open(request) as stream:
            forget_sent(request)  # it may be large, and is not sent again once an answer has begun
            async for pieces in stream:
                has_begun = True
                emit(pieces)
    except ChatError as error:
        shorter = truncated(request) if error.code is Code.CONTEXT_TOO_LONG and not has_begun else None
        if shorter is None:
            raise
    else:
        return
    await single_step(provider, shorter, emit)


async def stored(run: Run) -> None:
    """Return when what was published outlives this pod; raise `ChatError(INTERRUPTED)` when another has the run."""
    while True:
        try:
            await run.flush()
            break
        except StorageUnavailableError:
            await asyncio.sleep(STORED_PAUSE_SECONDS)
    if run.fenced:
        raise ChatError(Code.INTERRUPTED)


def answered(events: Sequence[Event]) -> Sequence[AnswerItem | ServerToolEvent]:
    """Return the part of a run's events that its answer is stored with."""
    kinds = Agent | Token | Reasoning | ToolCall | Extended | ServerToolEvent
    return [event for event in events if isinstance(event, kinds)]


def provided(events: Sequence[Event]) -> Sequence[StreamItem]:
    """Return the part of a run's events that came from the provider."""
    return [event for event in events if isinstance(event, Token | Reasoning | ToolCall | Extended)]
