"""A run read to its end and put together, for clients that do not stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import assert_never

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat.reply import Reply
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    Complete,
    Extended,
    Failed,
    Reasoning,
    RequiresAction,
    ServerToolCall,
    ServerToolResult,
    Start,
    Token,
    ToolCall,
)
from chatfleet_api.runs.tail import Batch
from chatfleet_contract.spec.agents import MEMBER_PREFIX


class CollectedCompletion(msgspec.Struct, frozen=True):
    """A whole answer."""

    start: Start
    reply: Reply
    complete: Complete
    extras: list[msgspec.Raw] = []
    """What came beside the common terms, in order (`Extended`)."""


def as_error(failed: Failed) -> ChatError:
    """Return the failure that ended a run as the error that a caller gets."""
    return ChatError(failed.code, failed.message, param=failed.param, retry_after=failed.retry_after)


async def collect(run: AsyncGenerator[Batch, None]) -> CollectedCompletion:
    """Read all of a run; raises `ChatError` when it failed, also when it ends without a terminal event."""
    start = Start("", "", 0)
    extras: list[msgspec.Raw] = []
    reply = Reply(clock=lambda: 0.0)  # the terminal event has the latency
    async with aclosing(run) as batches:
        async for batch in batches:
            for event in batch.events:
                match event:
                    case Start():
                        start = event
                    case Agent():
                        start = replace(start, model=MEMBER_PREFIX + event.name)
                    case Complete():
                        return CollectedCompletion(start, reply, event, extras)
                    case Failed():
                        raise as_error(event)
                    case Token() | Reasoning() | ToolCall():
                        reply.take((event,))
                    case Extended():
                        reply.take((event,))
                        extras.append(event.extra)
                    case ServerToolCall() | ServerToolResult() | RequiresAction():
                        pass
                    case _:
                        assert_never(event)
    raise ChatError(Code.INTERRUPTED, detail="the events of a run end without a terminal one")
