"""The operations, for the OpenAPI document."""

from typing import Any, Final

import msgspec

from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.dialects.sessions.request import ChatBody, ChatStreamBody
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import Operation


def _operation(body: type[msgspec.Struct], **fields: Any) -> Operation:  # noqa: ANN401  # OpenAPI
    return {
        "tags": ["Sessions"],
        **fields,
        "parameters": [{"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}],
        **takes(body),
        "responses": {**returns(None, description="The events.", streams=True), **fails(ErrorBody)},
    }


CHAT: Final = _operation(
    ChatBody,
    summary="Send a message to a session",
    description="Stores the message and streams its answer as the events `start token reasoning tool_call complete"
    " error`. Without `session_id`, or with one that does not exist, a session is made; `start` has its id.",
    operationId="chat",
)
CHAT_STREAM: Final = _operation(
    ChatStreamBody,
    summary="Send a message with its history",
    description="As `POST /chat`. `history` is what a new conversation begins with; an existing one has its own.",
    operationId="chat_stream",
)
