"""How much memory events take: an estimate, for the bounds on what a pod keeps of them."""

from sys import getsizeof
from typing import Final

from chatfleet_api.domain.events import (
    Event,
    Extended,
    Reasoning,
    RequiresAction,
    ServerToolCall,
    ServerToolResult,
    Token,
    ToolCall,
)
from chatfleet_api.runs.tail import Batch

BATCH_BYTES: Final = 112
"""Of a batch, its tuple, and its place in a list."""
EVENT_BYTES: Final = 40
"""Of an event, and its place in a tuple; its text comes on top."""
OTHER_BYTES: Final = 512
"""Of the one event at the beginning of a run, or the one at its end, with their short texts."""


def size_of(batch: Batch) -> int:
    """Return about how many bytes the batch takes in memory."""
    return BATCH_BYTES + sum(map(_event_size, batch.events))


def _event_size(event: Event) -> int:
    match event:
        case Token() | Reasoning():
            return EVENT_BYTES + getsizeof(event.text)
        case ToolCall():
            return EVENT_BYTES + getsizeof(event.arguments) + getsizeof(event.id) + getsizeof(event.name)
        case Extended():
            return EVENT_BYTES + len(bytes(event.extra)) + sum(map(_event_size, event.pieces))
        case ServerToolCall() | RequiresAction():
            calls = event.calls if isinstance(event, RequiresAction) else (event,)
            return OTHER_BYTES * len(calls) + sum(getsizeof(call.arguments) for call in calls)
        case ServerToolResult():
            return EVENT_BYTES + getsizeof(event.content)
        case _:
            return OTHER_BYTES
