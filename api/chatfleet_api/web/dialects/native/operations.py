"""The operations of hot routes, for the OpenAPI document."""

from typing import Final

from chatfleet_api.web.dialects.native.bodies import ErrorBody, MessageReply
from chatfleet_api.web.dialects.native.request import ApprovalsBody, RegenerateBody, SendMessageBody
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import Operation

_CONVERSATION: Final = {
    "name": "conversation_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
JOIN: Final[Operation] = {
    "tags": ["Conversations"],
    "summary": "Join or resume a stream",
    "description": "Sends the events of the newest answer, from its first or from the one after `Last-Event-ID` (or"
    " `after`), while it is written and for some time after its end. Any number of clients may join.",
    "operationId": "join_stream",
    "parameters": [
        _CONVERSATION,
        {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
        {"name": "after", "in": "query", "schema": {"type": "string"}, "description": "<run>-<number>, or the number."},
    ],
    "responses": {
        **returns(None, description="The events.", streams=True),
        "204": {"description": "There are no further events."},
        **fails(ErrorBody),
    },
}
_MESSAGE: Final = {"name": "message_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
_KEY: Final = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
SEND: Final[Operation] = {
    "tags": ["Conversations"],
    "summary": "Send a message",
    "description": "Stores the message and answers it as JSON or, with `stream` or `Accept: text/event-stream`, as the"
    " events `start token reasoning tool_call complete error`, each with the id by which a stream is resumed.",
    "operationId": "send_message",
    "parameters": [_CONVERSATION, _KEY],
    **takes(SendMessageBody),
    "responses": {
        **returns(MessageReply, description="The answer, or its events.", streams=True),
        **fails(ErrorBody),
    },
}
REGENERATE: Final[Operation] = {
    "tags": ["Conversations"],
    "summary": "Answer a message again",
    "description": "Answers a message of the user again, or the one that a message answers, as a branch: the answers"
    " before stay, and the new one is on the current path. The answer is as of a message that is sent.",
    "operationId": "regenerate_message",
    "parameters": [_CONVERSATION, _MESSAGE, _KEY],
    **takes(RegenerateBody, required=False),
    "responses": {
        **returns(MessageReply, description="The answer, or its events.", streams=True),
        **fails(ErrorBody),
    },
}
APPROVE: Final[Operation] = {
    "tags": ["Conversations"],
    "summary": "Approve or refuse calls of tools",
    "description": "Decides about all calls that the newest answer has paused for (`requires_action`), and goes on."
    " Calls that are approved are made, once, however often the decision is sent. The answer is as of a message.",
    "operationId": "approve_calls",
    "parameters": [_CONVERSATION],
    **takes(ApprovalsBody),
    "responses": {
        **returns(MessageReply, description="The answer, or its events.", streams=True),
        **fails(ErrorBody),
    },
}
