"""The change of a conversation by a JSON merge patch (RFC 7396)."""

from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.store import Change, Conversation
from chatfleet_api.web.body import decode_body, limit_depth, require_json
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.routes import PREFIX, known_id
from chatfleet_api.web.documentation import fails, returns, takes

MAX_KEYS: Final = 64
"""Keys of the metadata, at the top."""
MAX_METADATA_BYTES: Final = 65_536
"""Of the metadata after a change, as JSON: without it, many patches could let them grow without end."""
MEDIA_TYPE: Final = "application/merge-patch+json"


class PatchConversationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a conversation, as a JSON merge patch: `null` removes, and what is left out stays."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    head: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | msgspec.UnsetType | None = msgspec.UNSET


class Patch(NamedTuple):
    """A merge patch that was read."""

    change: Change
    """Of title and metadata."""
    head: str | msgspec.UnsetType | None


_PATCH: Final = msgspec.json.Decoder(PatchConversationBody)


def patch_routes(conversations: Conversations) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Conversations"], responses=fails(bodies.ErrorBody))
    operation = takes(PatchConversationBody) | {"responses": returns(bodies.ConversationBody)}

    @router.patch("/{conversation_id}", openapi_extra=operation)
    async def patch_conversation(conversation_id: str, request: Request, caller: Caller) -> Response:
        """Change title, metadata and the end of the current path, by a JSON merge patch."""
        patch = read_patch(await request.body(), request.headers.get("content-type"))
        changed = await conversations.update(caller, known_id(conversation_id), patch.change, head=patch.head)
        shown = msgspec.json.encode(bodies.conversation_body(changed))
        return Response(shown, headers={"cache-control": "no-store"}, media_type="application/json")

    return router


def read_patch(raw: bytes, content_type: str | None) -> Patch:
    """Parse and check a merge patch; raises `ChatError(INVALID_REQUEST)` with the field, as its change does."""
    if (content_type or "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        require_json(content_type)
    body = decode_body(raw, _PATCH)
    if isinstance(body.metadata, dict):
        limit_depth(body.metadata, "metadata")
    return Patch(partial(_patched, body), body.head)


def _patched(body: PatchConversationBody, conversation: Conversation) -> Conversation:
    if body.title is not msgspec.UNSET:
        conversation = replace(conversation, title=body.title)
    if body.metadata is not msgspec.UNSET:
        metadata = {} if body.metadata is None else merged(conversation.metadata, body.metadata)
        conversation = replace(conversation, metadata=bounded(metadata))
    return conversation


def merged(value: Any, patch: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return `value` after a merge patch."""
    if not isinstance(patch, dict):
        return patch
    known = value if isinstance(value, dict) else {}
    changed = {key: merged(known.get(key), each) for key, each in patch.items() if each is not None}
    return {key: each for key, each in known.items() if key not in patch} | changed


def bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata that can be kept; raises `ChatError(INVALID_REQUEST)`."""
    if len(metadata) > MAX_KEYS:
        problem = f"would have {len(metadata)} keys; at most {MAX_KEYS} are possible"
    elif (size := len(msgspec.json.encode(metadata))) > MAX_METADATA_BYTES:
        problem = f"would have {size} bytes; at most {MAX_METADATA_BYTES} are possible"
    else:
        return metadata
    message = f"Invalid value for 'metadata': it {problem}. Remove keys; a patch sets them to null."
    raise ChatError(Code.INVALID_REQUEST, message, param="metadata")
