"""Messages of a conversation as items of the OpenAI dialect, and pages of them."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from chatfleet_api.chat.item_kinds import MESSAGE as MESSAGE_KIND
from chatfleet_api.chat.items import item_owner, kind_of
from chatfleet_api.chat.relayed import output_of
from chatfleet_api.chat.reply import steps_of
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Agent, ServerToolEvent
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_api.web.dialects.responses.echo import form_of, read_echo
from chatfleet_api.web.dialects.responses.ids import CUSTOM_CALL, FUNCTION_CALL, MESSAGE, REASONING
from chatfleet_api.web.dialects.responses.output import Form, Output

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20

_PREFIXES: Final = MappingProxyType(
    {
        MESSAGE_KIND: MESSAGE,
        "function_call": FUNCTION_CALL,
        "function_call_output": "fco_",
        "custom_tool_call": CUSTOM_CALL,
        "custom_tool_call_output": "ctco_",
        "reasoning": REASONING,
    }
)
_WITH_STATUS: Final = frozenset(_PREFIXES) - {"reasoning"}


def items_of(conversation: str | None, message: StoredMessage, form: Form | None = None) -> list[dict[str, Any]]:
    """Return the items of a message: as it came, with an id and, of a message, its text in parts; or an answer's.

    An answer's have the `form` that its request wanted, or another one.
    """
    owner = item_owner(conversation, message.id)
    if message.item:
        return [_sent(message, owner, msgspec.json.decode(message.item))]
    status = "completed" if message.status == "complete" else "incomplete"
    if (output := output_of(message)) is not None:
        return output
    if message.role == "assistant" and message.run:
        return _answered(message, Output(owner, form or form_of(read_echo(message.echo))), status)
    return [_message(message, owner, {}, status)]


def _answered(message: StoredMessage, output: Output, status: str) -> list[dict[str, Any]]:
    """Return the items of an answer that has ended."""
    for step in steps_of(message):
        if isinstance(step, Agent):
            continue
        for _ in output.take_server_tool(step) if isinstance(step, ServerToolEvent) else output.take(step):
            pass
    for _ in output.end(status, citations=message.citations):
        pass
    return output.shown()


def _sent(message: StoredMessage, owner: str, sent: dict[str, Any]) -> dict[str, Any]:
    kind = kind_of(sent)
    given = {name: value for name, value in sent.items() if value is not None}
    if kind == MESSAGE_KIND:
        return _message(message, owner, given, "completed")
    ident = {"id": f"{_PREFIXES.get(kind, 'item_')}{owner}"}
    return {**ident, **({"status": "completed"} if kind in _WITH_STATUS else {}), **given}


def _message(message: StoredMessage, owner: str, given: dict[str, Any], status: str) -> dict[str, Any]:
    item = {"id": MESSAGE + owner, "type": MESSAGE_KIND, "status": status, "role": message.role}
    content = given.pop("content", message.content)
    return {**item, **given, "content": [_part(message.role, content)] if isinstance(content, str) else content}


def page(items: Sequence[dict[str, Any]], *, after: str | None, limit: int, newest_first: bool) -> dict[str, Any]:
    """Return a page of a list of items, which are given oldest first.

    Raises `ChatError(INVALID_REQUEST)` when `after` is not the id of one.
    """
    ordered = list(reversed(items)) if newest_first else list(items)
    if after is not None:
        ids = [item["id"] for item in ordered]
        if after not in ids:
            message = "Invalid value for 'after': send the last_id of the page before."
            raise ChatError(Code.INVALID_REQUEST, message, param="after")
        ordered = ordered[ids.index(after) + 1 :]
    shown = ordered[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(ordered) > limit,
    }


def _part(role: str, text: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}
