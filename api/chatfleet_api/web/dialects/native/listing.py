"""`GET /api/v1/conversations`: the list of conversations, its filters and its search."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request, Response

from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.listing import Wanted
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.routes import PREFIX
from chatfleet_api.web.documentation import fails, returns

METADATA: Final = "metadata."
"""How the parameter of a filter begins; the key of the metadata follows."""
MAX_FILTERS: Final = 8
MAX_CHARACTERS: Final = 256
"""Of the key, and of the value, of a filter."""

_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Value = Annotated[str | None, Query(max_length=MAX_CHARACTERS)]
_FILTERS: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "description": f"Values of up to {MAX_FILTERS} keys, each as a parameter `metadata.<key>=<value>`.",
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ]
}


def listing_routes(conversations: Conversations) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Conversations"], responses=fails(bodies.ErrorBody))

    @router.get("", openapi_extra={"responses": returns(bodies.ConversationList)} | _FILTERS)
    async def list_conversations(  # noqa: PLR0913, PLR0917  # parameters of the query
        caller: Caller,
        request: Request,
        user_id: _Value = None,
        updated_since: Annotated[str | None, Query(max_length=64, json_schema_extra={"format": "date-time"})] = None,
        q: _Value = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: _Value = None,
    ) -> Response:
        """List conversations, newest change first; `q` has words of their titles."""
        wanted = Wanted(
            user_id=user_id and caller.user_of(user_id),
            since=read_time(updated_since),
            metadata=read_metadata(request.query_params.multi_items()),
            title=q or "",
        )
        page = await conversations.list(caller, wanted, limit=limit, cursor=cursor)
        shown = bodies.ConversationList([*map(bodies.conversation_body, page.items)], page.next)
        return Response(msgspec.json.encode(shown), 200, {"cache-control": "no-store"}, "application/json")

    return router


def read_time(text: str | None) -> datetime | None:
    """Return the time that `updated_since` has; raises `ChatError(INVALID_REQUEST)`."""
    if text is None:
        return None
    try:
        return msgspec.convert(text, _Time)
    except msgspec.ValidationError:
        message = "Invalid value for 'updated_since': send a time with zone (RFC 3339), such as 2026-01-31T12:00:00Z."
        if " " in text:
            message += " A '+' in a URL is written %2B."
        raise ChatError(Code.INVALID_REQUEST, message, param="updated_since") from None


def read_metadata(parameters: list[tuple[str, str]]) -> dict[str, str]:
    """Return the wanted value of each key of the metadata; raises `ChatError(INVALID_REQUEST)`."""
    filters = [(name, value) for name, value in parameters if name.startswith(METADATA)]
    if len(filters) > MAX_FILTERS:
        message = f"Too many filters of metadata: {len(filters)}. At most {MAX_FILTERS} are possible."
        raise ChatError(Code.INVALID_REQUEST, message, param="metadata")
    wanted: dict[str, str] = {}
    for name, value in filters:
        key = name.removeprefix(METADATA)
        if not key or key in wanted or max(len(key), len(value)) > MAX_CHARACTERS:
            message = (
                f"Invalid filter of metadata: send 'metadata.<key>=<value>', each key once, with at most"
                f" {MAX_CHARACTERS} characters each."
            )
            raise ChatError(Code.INVALID_REQUEST, message, param=name[:MAX_CHARACTERS])
        wanted[key] = value
    return wanted
