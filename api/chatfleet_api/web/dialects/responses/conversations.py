"""The Conversations API: the same conversations as `/api/v1/conversations`, their messages as items."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response

from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.new_conversation import NewConversation
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.sessions.store import Conversation, StoredMessage
from chatfleet_api.web.body import decode_body, require_json
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody
from chatfleet_api.web.dialects.responses.ids import conversation_id, read_conversation_id
from chatfleet_api.web.dialects.responses.input import read_items
from chatfleet_api.web.dialects.responses.items import DEFAULT_LIMIT, MAX_LIMIT, items_of, page
from chatfleet_api.web.dialects.responses.request import Metadata
from chatfleet_api.web.documentation import fails, takes
from chatfleet_api.web.sse import json_text

PATH: Final = "/v1/conversations"
MAX_ITEMS: Final = 20
"""Items of one request, as the vendor allows."""


class CreateConversationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation to begin; everything is optional."""

    items: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=MAX_ITEMS)] | None = None
    metadata: Metadata | None = None


class UpdateConversationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new metadata of a conversation."""

    metadata: Metadata | None


class CreateItemsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Items to add to a conversation."""

    items: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


BODIES: Final = (CreateConversationBody, UpdateConversationBody, CreateItemsBody)
_CREATE: Final = msgspec.json.Decoder(CreateConversationBody)
_UPDATE: Final = msgspec.json.Decoder(UpdateConversationBody)
_ADD: Final = msgspec.json.Decoder(CreateItemsBody)


def conversation_routes(conversations: Conversations) -> APIRouter:
    router = APIRouter(prefix=PATH, tags=["OpenAI dialect"], responses=fails(VendorErrorBody))

    @router.post("", openapi_extra=takes(CreateConversationBody, required=False))
    async def create_openai_conversation(request: Request, caller: Caller) -> Response:
        """Create a conversation, with items if there are any."""
        raw = await _body(request) or b"{}"
        body = decode_body(raw, _CREATE)
        items = tuple(read_items(raw, where="items")) if body.items else ()
        return _json(_shown(await conversations.create(caller, NewConversation(metadata=body.metadata, items=items))))

    @router.get("/{conversation}")
    async def retrieve_conversation(conversation: str, caller: Caller) -> Response:
        """Return a conversation."""
        return _json(_shown(await conversations.get(caller, _known(conversation))))

    @router.post("/{conversation}", openapi_extra=takes(UpdateConversationBody))
    async def update_conversation(conversation: str, request: Request, caller: Caller) -> Response:
        """Replace the metadata of a conversation."""
        body = decode_body(await _body(request), _UPDATE)
        replaced = partial(msgspec.structs.replace, metadata=body.metadata or {})
        return _json(_shown(await conversations.update(caller, _known(conversation), replaced)))

    @router.delete("/{conversation}")
    async def delete_openai_conversation(conversation: str, caller: Caller) -> Response:
        """Delete a conversation and its items; an answer that is being written is cancelled."""
        await conversations.delete(caller, _known(conversation))
        return _json({"id": conversation, "object": "conversation.deleted", "deleted": True})

    return router


def item_routes(conversations: Conversations) -> APIRouter:
    router = APIRouter(prefix=PATH + "/{conversation}/items", tags=["OpenAI dialect"], responses=fails(VendorErrorBody))

    @router.post("", openapi_extra=takes(CreateItemsBody))
    async def create_items(conversation: str, request: Request, caller: Caller) -> Response:
        """Add items to a conversation."""
        raw = await _body(request)
        decode_body(raw, _ADD)
        items = tuple(read_items(raw, where="items"))
        added = await conversations.add(caller, _known(conversation), items)
        return _json(
            page(
                [item for message in added for item in items_of(_known(conversation), message)],
                after=None,
                limit=MAX_ITEMS,
                newest_first=False,
            )
        )

    @router.get("")
    async def list_items(
        conversation: str,
        caller: Caller,
        after: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        order: Literal["asc", "desc"] = "desc",
    ) -> Response:
        """List the items of a conversation; an answer is one when it has ended."""
        messages = await _messages(conversations, caller, conversation)
        items = [item for message in messages for item in items_of(_known(conversation), message)]
        return _json(page(items, after=after, limit=limit, newest_first=order == "desc"))

    @router.get("/{item}")
    async def retrieve_item(conversation: str, item: str, caller: Caller) -> Response:
        """Return an item of a conversation."""
        _, found = _one(conversation, await _messages(conversations, caller, conversation), item)
        return _json(found)

    @router.delete("/{item}")
    async def delete_item(conversation: str, item: str, caller: Caller) -> Response:
        """Delete an item of a conversation for good, and return the conversation."""
        message, _ = _one(conversation, await _messages(conversations, caller, conversation), item)
        return _json(_shown(await conversations.remove(caller, _known(conversation), message.id)))

    return router


async def _messages(conversations: Conversations, caller: Principal, conversation: str) -> Sequence[StoredMessage]:
    """Return the messages that are items: those of the current path, but for the answer that is being written."""
    messages = await conversations.current(caller, _known(conversation))
    return [message for message in messages if message.status != "pending"]


def _one(conversation: str, messages: Sequence[StoredMessage], ident: str) -> tuple[StoredMessage, dict[str, Any]]:
    """Return the item with an id, and the message that has it."""
    for message in messages:
        for item in items_of(_known(conversation), message):
            if item["id"] == ident:
                return message, item
    raise ChatError(Code.NOT_FOUND, "This item does not exist in the conversation.")


def _known(conversation: str) -> str:
    known = read_conversation_id(conversation)
    if known is None:
        raise ChatError(Code.CONVERSATION_NOT_FOUND)
    return known


def _shown(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation_id(conversation.id),
        "object": "conversation",
        "created_at": int(datetime.fromisoformat(conversation.created_at).timestamp()),
        "metadata": conversation.metadata,
    }


async def _body(request: Request) -> bytes:
    raw = await request.body()
    if raw:
        require_json(request.headers.get("content-type"))
    return raw


def _json(body: object) -> Response:
    return Response(json_text(body), headers={"cache-control": "no-store"}, media_type="application/json")
