"""The import of an export: a new conversation of the caller, with new ids."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.history import stamp
from chatfleet_api.chat.items import new_item
from chatfleet_api.chat.new_conversation import NewConversation
from chatfleet_api.chat.relayed import extra_text
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_api.web.body import convert_body, decode_body, invalid, limit_depth, require_json
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.export import ConversationExport, ExportedMessage
from chatfleet_api.web.dialects.native.patch import bounded
from chatfleet_api.web.dialects.native.routes import PREFIX
from chatfleet_api.web.documentation import fails, returns, takes

MAX_MESSAGES: Final = 2000
"""Messages of one import."""

_Label = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)


class _Import(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An export whose messages are not checked yet."""

    format: Literal["chatfleet.conversation.v1"]
    id: str | None = None
    user_id: _Label | None = None
    title: _Label | None = None
    metadata: dict[str, Any] | None = None
    created_at: str | None = None
    head: str | None = None
    messages: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=MAX_MESSAGES)] = []


class ImportedMessage(msgspec.Struct, frozen=True):
    """A message that was checked, as it will be stored but for its ids."""

    message: StoredMessage

    def stored(self, message_id: str, now: str) -> StoredMessage:  # noqa: ARG002  # it has a time of its own
        """Return it with an id; an answer gets a new run, which nothing can be read of."""
        return replace(self.message, id=message_id, run=message_id if self.message.run else None)


_DECODER: Final = msgspec.json.Decoder(_Import)


def import_routes(conversations: Conversations) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Conversations"], responses=fails(bodies.ErrorBody))
    operation = takes(ConversationExport) | {"responses": returns(bodies.ConversationBody, 201)}

    @router.post("/import", status_code=201, openapi_extra=operation)
    async def import_conversation(request: Request, caller: Caller) -> Response:
        """Create a conversation from an export, with new ids."""
        require_json(request.headers.get("content-type"))
        new = read_import(await request.body())
        made = await conversations.create(caller, dataclasses.replace(new, user_id=caller.user_of(new.user_id)))
        shown = msgspec.json.encode(bodies.conversation_body(made))
        return Response(shown, 201, {"cache-control": "no-store"}, "application/json")

    return router


def read_import(raw: bytes) -> NewConversation:
    """Parse and check an export; raises `ChatError(INVALID_REQUEST)` with the field and the remedy."""
    body = decode_body(raw, _DECODER)
    limit_depth(body.metadata, "metadata")
    messages = [_body(message, f"messages[{index}]") for index, message in enumerate(body.messages)]
    places = _places(messages)
    return NewConversation(
        user_id=body.user_id,
        title=body.title,
        metadata=bounded(body.metadata or {}),
        items=[_message(message, f"messages[{index}]") for index, message in enumerate(messages)],
        param="messages",
        parents=_parents(messages, places),
        head=None if body.head is None else _place(places, body.head, "head"),
        created_at=None if body.created_at is None else _time(body.created_at, "created_at"),
    )


def _body(sent: dict[str, Any], where: str) -> ExportedMessage:
    limit_depth(sent, where)
    return convert_body(sent, ExportedMessage, where)


def _places(messages: Sequence[ExportedMessage]) -> dict[str, int]:
    """Return the place of each message by its id."""
    places: dict[str, int] = {}
    for place, message in enumerate(messages):
        if message.id in places:
            raise _wrong(f"messages[{place}].id", "another message has it")
        if message.id is not None:
            places[message.id] = place
    return places


def _parents(messages: Sequence[ExportedMessage], places: Mapping[str, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for place, message in enumerate(messages):
        parent, where = message.parent_id, f"messages[{place}].parent_id"
        if isinstance(parent, str):
            found[place] = _place(places, parent, where)
            if found[place] >= place:
                raise _wrong(where, "the message comes later; put it first")
        elif parent is None:
            found[place] = -1
    return found


def _place(places: Mapping[str, int], ident: str, where: str) -> int:
    if ident not in places:
        raise _wrong(where, "send the id of a message of the file")
    return places[ident]


def _message(body: ExportedMessage, where: str) -> ImportedMessage:
    created_at = _time(body.created_at, f"{where}.created_at")
    if body.item is not None:
        return ImportedMessage(_item(body.item, f"{where}.item", created_at))
    if body.role == "tool":
        raise _wrong(f"{where}.item", "a message of a tool is an item with the result of its call")
    if body.role != "assistant":
        for name in ("tool_calls", "thoughts", "output", "run", "context", "citations", "retrieval", "agents"):
            if getattr(body, name) not in (None, (), ""):
                raise _wrong(f"{where}.{name}", "only a message of the assistant has it")
    _require_counts(body.usage, f"{where}.usage")
    for index, agent in enumerate(body.agents):
        _require_counts(agent.usage, f"{where}.agents[{index}].usage")
    return ImportedMessage(
        StoredMessage(
            "",
            body.role,
            body.content,
            created_at,
            body.status,
            body.run,
            provider=body.provider,
            model=body.model,
            upstream_model=body.upstream_model,
            finish_reason=body.finish_reason,
            error_code=body.error_code,
            tool_calls=body.tool_calls,
            reasoning=body.reasoning,
            thoughts=body.thoughts,
            usage=body.usage,
            latency_ms=body.latency_ms,
            context=body.context,
            citations=body.citations,
            retrieval=body.retrieval,
            agents=body.agents,
            extra=_extra(body.output, f"{where}.output"),
        )
    )


def _item(item: dict[str, Any], where: str, created_at: str) -> StoredMessage:
    try:
        return new_item(item, msgspec.json.encode(item).decode(), where).stored("", created_at)
    except msgspec.ValidationError as wrong:
        raise invalid(wrong, where) from None


def _require_counts(usage: Usage | None, where: str) -> None:
    for name, value in ({} if usage is None else msgspec.structs.asdict(usage)).items():
        if isinstance(value, int | Decimal) and not (Decimal(value).is_finite() and value >= 0):
            raise _wrong(f"{where}.{name}", "it must not be negative")


def _extra(output: list[dict[str, Any]] | None, where: str) -> str:
    if output is None:
        return ""
    for index, item in enumerate(output):
        for name in ("type", "id"):
            if not isinstance(item.get(name), str):
                raise _wrong(f"{where}[{index}].{name}", "it must be a text")
    return extra_text({"response": {"output": output}})


def _time(text: str, where: str) -> str:
    try:
        time: datetime = msgspec.convert(text, _Time)
    except msgspec.ValidationError:
        raise _wrong(where, "send a time with zone (RFC 3339), such as 2026-01-31T12:00:00Z") from None
    if not _EPOCH <= time < _LATEST:
        raise _wrong(where, "send a time since 1970")
    return stamp(time.astimezone(UTC))


def _wrong(param: str, why: str) -> ChatError:
    return ChatError(Code.INVALID_REQUEST, f"Invalid value for '{param}': {why}.", param=param)
