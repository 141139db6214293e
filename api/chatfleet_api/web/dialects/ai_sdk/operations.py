"""The operations, for the OpenAPI document."""

from typing import Final

from chatfleet_api.web.dialects.ai_sdk.request import ChatBody
from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import Operation

SEND: Final[Operation] = {
    "tags": ["AI SDK"],
    "summary": "Send a message to a chat",
    "description": "Stores the last message of the chat and streams its answer as a UI message stream. A message that"
    " is sent again is answered once.",
    "operationId": "send_to_chat",
    **takes(ChatBody),
    "responses": {**returns(None, description="The parts of the message.", streams=True), **fails(ErrorBody)},
}
RESUME: Final[Operation] = {
    "tags": ["AI SDK"],
    "summary": "Resume the stream of a chat",
    "description": "Replays the newest answer of the chat from its first part, while it is written and for some time"
    " after its end.",
    "operationId": "resume_chat",
    "parameters": [{"name": "chat_id", "in": "path", "required": True, "schema": {"type": "string"}}],
    "responses": {
        **returns(None, description="The parts of the message.", streams=True),
        "204": {"description": "No answer is there to resume."},
        **fails(ErrorBody),
    },
}
