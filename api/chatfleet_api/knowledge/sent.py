"""The same additions in a request in its client's own dialect, whose every other field stays as it was sent. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.request import CHAT, MESSAGES, RESPONSES, Sent, WireDialect

Fields: TypeAlias = dict[str, Any]

_MARK: Final = b'"cache_control"'
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any: Final = msgspec.json.decode


class Additions(NamedTuple):
    """What is added to a request."""

    instructions: str
    passages: str
    """Goes before the user's words; empty: nothing fits."""
    caches: bool
    """Whether the instructions are long, and the same for each question."""


def extended(sent: Sent, additions: Additions) -> Sent:
    """Return `sent` with `additions`."""
    fields: Fields = dict(_fields(sent.body))
    changed = _EXTENDERS[sent.dialect](fields, additions)
    body = msgspec.Raw(msgspec.json.encode(fields | changed))
    if sent.dialect == RESPONSES and additions.passages and not _asks(_any(fields["input"])):
        return replace(sent, body=body, before=_asked_before(sent.before, additions.passages))
    return replace(sent, body=body)


def _chat(fields: Fields, additions: Additions) -> Fields:
    messages = _asked(_any(fields["messages"]), additions.passages, "text")
    first = messages[0]
    if first.get("role") in ("system", "developer") and isinstance(first.get("content"), str):
        return {"messages": [first | {"content": f"{additions.instructions}\n\n{first['content']}"}, *messages[1:]]}
    return {"messages": [{"role": "system", "content": additions.instructions}, *messages]}


def _messages(fields: Fields, additions: Additions) -> Fields:
    ours: Fields = {"type": "text", "text": additions.instructions}
    if additions.caches and not any(_MARK in bytes(value) for value in fields.values()):  # a request has four at most
        ours["cache_control"] = {"type": "ephemeral"}
    theirs = _any(fields["system"]) if "system" in fields else None
    blocks = [{"type": "text", "text": theirs}] if isinstance(theirs, str) and theirs else theirs or []
    return {"system": [ours, *blocks], "messages": _asked(_any(fields["messages"]), additions.passages, "text")}


def _responses(fields: Fields, additions: Additions) -> Fields:
    theirs = _any(fields["instructions"]) if "instructions" in fields else None
    instructions = f"{additions.instructions}\n\n{theirs}" if theirs else additions.instructions
    asked = _any(fields["input"])
    if isinstance(asked, str):
        return {
            "instructions": instructions,
            "input": f"{additions.passages}\n\n{asked}" if additions.passages else asked,
        }
    return {"instructions": instructions, "input": _asked(asked, additions.passages, "input_text")}


_EXTENDERS: Final[Mapping[WireDialect, Callable[[Fields, Additions], Fields]]] = {
    CHAT: _chat,
    MESSAGES: _messages,
    RESPONSES: _responses,
}


def _asked(messages: list[Fields], passages: str, kind: str) -> list[Fields]:
    """Return `messages` with `passages` before the words of the user's last one that has some."""
    place = next((at for at in reversed(range(len(messages))) if _is_question(messages[at])), None)
    if place is None or not passages:
        return messages
    return [*messages[:place], _with_passages(messages[place], passages, kind), *messages[place + 1 :]]


def _with_passages(message: Fields, passages: str, kind: str) -> Fields:
    content = message["content"]
    if isinstance(content, str):
        return message | {"content": f"{passages}\n\n{content}"}
    results = sum(part.get("type") == "tool_result" for part in content)  # of Anthropic: they have to come first
    return message | {"content": [*content[:results], {"type": kind, "text": passages}, *content[results:]]}


def _is_question(message: Fields) -> bool:
    content = message.get("content")
    if message.get("role") != "user" or content is None:
        return False
    return isinstance(content, str) or any(part.get("type") != "tool_result" for part in content)


def _asks(asked: object) -> bool:
    return isinstance(asked, str) or (isinstance(asked, list) and any(map(_is_question, asked)))


def _asked_before(before: tuple[tuple[str, str], ...], passages: str) -> tuple[tuple[str, str], ...]:
    """Return the earlier turns with `passages` in the last question, for a request that only has results of tools."""
    items = [_any(text) for text, _ in before]
    place = next((at for at in reversed(range(len(items))) if _is_question(items[at])), None)
    if place is None:
        return before
    text = msgspec.json.encode(_with_passages(items[place], passages, "input_text")).decode()
    return (*before[:place], (text, before[place][1]), *before[place + 1 :])
