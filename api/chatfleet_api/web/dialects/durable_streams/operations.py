"""The operation of the hot route, for the OpenAPI document."""

from typing import Any, Final

from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.documentation import fails
from chatfleet_api.web.hot_route import Operation


def _parameter(name: str, place: str, **schema: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string", **schema}}


READ: Final[Operation] = {
    "tags": ["Durable Streams"],
    "summary": "Read a run",
    "description": "Returns the events of a run behind `offset`, by the read side of the Durable Streams protocol:"
    " a JSON array (catch-up, `live=long-poll`) or server-sent events (`live=sse`).",
    "operationId": "read_durable_stream",
    "parameters": [
        _parameter("conversation_id", "path", format="uuid"),
        _parameter("run", "path", format="uuid"),
        _parameter("offset", "query"),
        _parameter("live", "query", enum=["long-poll", "sse"]),
        _parameter("cursor", "query"),
    ],
    "responses": {
        "200": {
            "description": "The events.",
            "content": {
                "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
                "text/event-stream": {},
            },
        },
        "204": {"description": "No event came while the request waited, or the run has ended."},
        "304": {"description": "The client has this response already."},
        "410": {"description": "The events behind the offset are no longer kept."},
        **fails(ErrorBody),
    },
}
