"""What PostgreSQL returns, as conversations again. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from chatfleet_api.sessions.feedback import Feedback
from chatfleet_api.sessions.store import Conversation, Head, StoredMessage


class Archived(NamedTuple):
    """A conversation as it is archived."""

    conversation: Conversation
    entries: tuple[StoredMessage, ...]
    """Its messages in order, with those that stand in the place of removed ones."""
    feedback: tuple[Feedback, ...]


class _Record(msgspec.Struct):
    id: str
    user_id: str | None
    title: str | None
    metadata: dict[str, Any]
    head: Head | None
    version: int
    created_at: datetime
    updated_at: datetime


class _Message(msgspec.Struct):
    id: str
    role: str
    content: str
    status: str
    provider: str | None
    model: str | None
    created_at: datetime | None
    removed: bool
    metadata: dict[str, Any]


class _Feedback(msgspec.Struct):
    user_id: str | None
    message_id: str | None
    thumb: str | None
    rating: int | None
    comment: str | None
    created_at: datetime
    updated_at: datetime


class _Whole(_Record):
    messages: list[_Message]
    feedback: list[_Feedback]


_whole: Final = msgspec.json.Decoder(_Whole)
_record: Final = msgspec.json.Decoder(_Record)
_ids: Final = msgspec.json.Decoder(frozenset[str])
_records: Final = msgspec.json.Decoder(list[_Record])


def read_whole(document: str) -> Archived:
    """Return the conversation of a document of `statements.READ`."""
    found = _whole.decode(document)
    return Archived(_conversation(found), tuple(map(_entry, found.messages)), tuple(map(_given, found.feedback)))


def read_record(document: str) -> Conversation:
    """Return the conversation of a document of `statements.RECORD`."""
    return _conversation(_record.decode(document))


def read_records(document: str) -> Sequence[Conversation]:
    """Return the conversations of a document of `statements.LIST`, newest change first."""
    return [_conversation(record) for record in _records.decode(document)]


def read_ids(document: str) -> frozenset[str]:
    """Return the ids of a document of `statements.KNOWN`."""
    return _ids.decode(document)


def _conversation(record: _Record) -> Conversation:
    return Conversation(
        record.id,
        record.user_id,
        record.title,
        record.metadata,
        _stamp(record.created_at),
        _stamp(record.updated_at),
        record.version,
        head=record.head,
    )


def _entry(message: _Message) -> StoredMessage:
    columns = {name: getattr(message, name) for name in ("id", "role", "content", "status", "provider", "model")}
    created_at = "" if message.created_at is None else _stamp(message.created_at)
    fields = {**message.metadata, **columns, "created_at": created_at, "removed": message.removed}
    return msgspec.convert(fields, StoredMessage)


def _given(feedback: _Feedback) -> Feedback:
    fields = {name: getattr(feedback, name) for name in ("thumb", "rating", "comment")}
    times = {"created_at": _stamp(feedback.created_at), "updated_at": _stamp(feedback.updated_at)}
    return msgspec.convert({"user": feedback.user_id, "message": feedback.message_id, **fields, **times}, Feedback)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
