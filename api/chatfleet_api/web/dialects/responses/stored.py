"""What is stored of responses, for all but the hot routes: their input, its size, and their end."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from chatfleet_api.chat.responses import ResponseKey, Responses, unknown_response
from chatfleet_api.domain.usage_estimate import tokens_of
from chatfleet_api.web.body import require_json
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody
from chatfleet_api.web.dialects.responses.ids import read_response_id
from chatfleet_api.web.dialects.responses.items import DEFAULT_LIMIT, MAX_LIMIT, items_of, page
from chatfleet_api.web.dialects.responses.references import resolved
from chatfleet_api.web.dialects.responses.request import ResponseBody, read_response
from chatfleet_api.web.documentation import fails, takes
from chatfleet_api.web.sse import json_text

PATH = "/v1/responses"


def response_routes(responses: Responses) -> APIRouter:
    router = APIRouter(prefix=PATH, tags=["OpenAI dialect"], responses=fails(VendorErrorBody))

    @router.delete("/{response_id}")
    async def delete_response(response_id: str, caller: Caller) -> Response:
        """Delete a response; if it is in progress, it is cancelled."""
        await responses.delete(caller, key_of(response_id))
        return _json({"id": response_id, "object": "response", "deleted": True})

    @router.get("/{response_id}/input_items")
    async def list_input_items(
        response_id: str,
        caller: Caller,
        after: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        order: Literal["asc", "desc"] = "desc",
    ) -> Response:
        """List the items of the input of a response: those of its own request."""
        found = await responses.find(caller, key_of(response_id))
        items = [item for message in found.questions for item in items_of(found.key.conversation, message)]
        return _json(page(items, after=after, limit=limit, newest_first=order == "desc"))

    @router.post("/input_tokens", openapi_extra=takes(ResponseBody))
    async def count_input_tokens(request: Request, caller: Caller) -> Response:
        """Estimate the tokens of an input, with the messages before it: one for every four bytes of text and tools."""
        require_json(request.headers.get("content-type"))
        asked = await responses.request(
            caller, read_response(await resolved(await request.body(), caller, responses), caller).new
        )
        return _json({"object": "response.input_tokens", "input_tokens": tokens_of(asked)})

    return router


def key_of(response_id: str) -> ResponseKey:
    """Return which response an id is of; raises `ChatError(NOT_FOUND)` when it can be none of ours."""
    known = read_response_id(response_id)
    if known is None:
        raise unknown_response()
    return known


def _json(body: object) -> Response:
    return Response(json_text(body), headers={"cache-control": "no-store"}, media_type="application/json")
