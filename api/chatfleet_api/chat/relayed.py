"""What earlier turns are to an upstream of the OpenAI Responses API: items, as they came. Pure.

An answer of such an upstream is stored with its whole response, so that its reasoning and what else only this API has
go back as they came.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from chatfleet_api.chat.items import is_of_our_tools
from chatfleet_api.domain.events import Event, Extended, Piece
from chatfleet_api.domain.request import AnyToolCall, CustomToolCall
from chatfleet_api.sessions.store import StoredMessage

Item: TypeAlias = dict[str, Any]


def items_before(history: Sequence[StoredMessage]) -> tuple[tuple[str, str], ...]:
    """Return the items that the messages before are, each as JSON, and the model that wrote it as it is.

    The same messages count as in `history.context`.
    """
    return tuple((text, _author(message)) for message in history for text in _items(message))


def output_of(message: StoredMessage) -> list[Item] | None:
    """Return the items of an answer as its upstream wrote them; None: it was translated."""
    if not message.extra:
        return None
    response = extra_of(message).get("response")
    output = response.get("output") if isinstance(response, dict) else None
    return output if isinstance(output, list) and output else None


def extra_of(message: StoredMessage) -> dict[str, Any]:
    """Return what came with the end of an answer that the common terms do not have."""
    extra: dict[str, Any] = msgspec.json.decode(message.extra) if message.extra else {}
    return extra


def extra_text(extra: dict[str, Any] | None) -> str:
    """Return what came with the end of an answer as it is stored."""
    return msgspec.json.encode(extra).decode() if extra else ""


def events_of(output: Sequence[Item], pieces: tuple[Piece, ...]) -> tuple[Event, ...]:
    """Return the events of an answer with this output, of which `pieces` are the part in the common terms."""
    events: list[Event] = []
    for index, item in enumerate(output):
        for kind in ("added", "done"):
            event = {"type": f"response.output_item.{kind}", "output_index": index, "item": item}
            events.append(Extended(msgspec.Raw(msgspec.json.encode(event)), () if events else pieces))
    return tuple(events)


def _author(message: StoredMessage) -> str:
    return message.upstream_model or "" if message.extra else ""


def _items(message: StoredMessage) -> Iterator[str]:
    if message.item:
        if not is_of_our_tools(msgspec.json.decode(message.item)):
            yield message.item
    elif (output := output_of(message)) is not None:
        yield from map(_json, output)
    elif message.role != "assistant":
        yield _json({"type": "message", "role": message.role, "content": message.content})
    elif message.status != "pending":
        if message.content:
            yield _json({"type": "message", "role": "assistant", "content": message.content})
        if message.status == "complete":
            yield from map(_json, map(_call, message.tool_calls or ()))


def _call(call: AnyToolCall) -> Item:
    if isinstance(call, CustomToolCall):
        custom = call.custom
        return {"type": "custom_tool_call", "call_id": call.id, "name": custom.name, "input": custom.input}
    function = call.function
    return {"type": "function_call", "call_id": call.id, "name": function.name, "arguments": function.arguments}


def _json(item: Item) -> str:
    return msgspec.json.encode(item).decode()
