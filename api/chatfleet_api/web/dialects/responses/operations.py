"""The operations of the Responses API, for the OpenAPI document."""

from typing import Any, Final

from chatfleet_api.web.dialects.openai.errors import VendorErrorBody
from chatfleet_api.web.dialects.responses.request import ResponseBody
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import Operation

_TAGS: Final = ["OpenAI dialect"]
_ONE: Final = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string"}}
_RESPONSES: Final[dict[int | str, Any]] = {
    **returns(dict, description="A response, or its events.", streams=True),
    **fails(VendorErrorBody),
}
CREATE: Final[Operation] = {
    "tags": _TAGS,
    "summary": "Create a response",
    "description": "As in the OpenAI API, for text and images: a JSON object or, with `stream`, its events. With"
    " `background` the response is written to its end even when the client disconnects.",
    "operationId": "create_response",
    "parameters": [{"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}],
    **takes(ResponseBody),
    "responses": _RESPONSES,
}
RETRIEVE: Final[Operation] = {
    "tags": _TAGS,
    "summary": "Get a response, or resume its stream",
    "operationId": "retrieve_response",
    "parameters": [
        _ONE,
        {"name": "stream", "in": "query", "schema": {"type": "boolean"}},
        {"name": "starting_after", "in": "query", "schema": {"type": "integer"}},
    ],
    "responses": _RESPONSES,
}
CANCEL: Final[Operation] = {
    "tags": _TAGS,
    "summary": "Cancel a response",
    "operationId": "cancel_response",
    "parameters": [_ONE],
    "responses": _RESPONSES,
}
