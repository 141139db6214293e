"""Conversations as rows of the archive's tables: JSON documents, one for each statement. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from chatfleet_api.archive.changes import Changes
from chatfleet_api.sessions.store import Conversation, StoredMessage

_COLUMNS: Final = ("id", "role", "content", "created_at", "status", "provider", "model", "removed")
"""Of a message that have columns of their own."""
PART_BYTES: Final = 16 << 20
"""Of one document: PostgreSQL refuses arrays of 256 MiB, and takes this much within the time of a statement."""
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_encode: Final = msgspec.json.Encoder().encode

Row = dict[str, Any]


def documents(rows: Iterable[Row]) -> Iterator[str]:
    """Yield rows, in their order, as JSON arrays of at most `PART_BYTES`; a larger row has one of its own."""
    part, size = list[str](), 0
    for row in rows:
        encoded = _encode(row)
        if part and size + len(encoded) > PART_BYTES:
            yield f"[{','.join(part)}]"
            part, size = [], 0
        part.append(_without_nul(encoded.decode()))
        size += len(encoded)
    if part:
        yield f"[{','.join(part)}]"


def conversations(changes: Iterable[Changes]) -> list[Row]:
    return [_conversation(each.conversation) for each in changes if each.conversation]


def messages(changes: Iterable[Changes]) -> list[Row]:
    """Return the messages in their order, which `ordinal` has."""
    found = [(each.conversation.id, message) for each in changes if each.conversation for message in each.messages]
    return [_message(conversation, message, ordinal) for ordinal, (conversation, message) in enumerate(found)]


def removed(changes: Iterable[Changes]) -> list[Row]:
    """Return which messages are removed."""
    return [
        {"conversation_id": each.conversation.id, "message_id": message.id}
        for each in changes
        if each.conversation
        for message in each.messages
        if message.removed
    ]


def feedback(changes: Iterable[Changes]) -> list[Row]:
    return [
        {
            **msgspec.to_builtins(given),
            "conversation_id": each.conversation.id,
            "key": given.key,
            "user_id": given.user,
            "message_id": given.message,
        }
        for each in changes
        if each.conversation
        for given in each.feedback or ()
    ]


def usage(changes: Iterable[Changes]) -> list[Row]:
    """Return what each answer has used."""
    return [
        {
            "conversation_id": each.conversation.id,
            "message_id": message.id,
            "user_id": each.conversation.user_id,
            "provider": message.provider,
            "model": message.model,
            "upstream_model": message.upstream_model,
            "input_tokens": message.usage.input_tokens,
            "output_tokens": message.usage.output_tokens,
            "cost_usd": None if message.usage.cost_usd is None else f"{message.usage.cost_usd:f}",
            "created_at": message.created_at,
            "metadata": msgspec.to_builtins(message.usage),
        }
        for each in changes
        if each.conversation
        for message in each.messages
        if message.usage
    ]


def _without_nul(text: str) -> str:
    """Return JSON that PostgreSQL takes: its texts hold no NUL, which U+FFFD replaces."""
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def _conversation(known: Conversation) -> Row:
    return {
        "id": known.id,
        "user_id": known.user_id,
        "title": known.title,
        "metadata": known.metadata,
        "head": msgspec.to_builtins(known.head),
        "version": known.version,
        "created_at": known.created_at,
        "updated_at": known.updated_at,
    }


def _message(conversation: str, message: StoredMessage, ordinal: int) -> Row:
    fields: Mapping[str, Any] = msgspec.to_builtins(message)
    return {
        "conversation_id": conversation,
        "ordinal": ordinal,
        **{name: getattr(message, name) for name in _COLUMNS},
        "created_at": message.created_at or None,
        "metadata": {name: value for name, value in fields.items() if name not in _COLUMNS},
    }
