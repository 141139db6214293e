"""The feedback of users on a conversation and its answers."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Request, Response

from chatfleet_api.chat.feedback import FeedbackService, Opinion
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.ids import is_id
from chatfleet_api.sessions.feedback import Feedback, Thumb
from chatfleet_api.web.body import decode_body, require_json
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.routes import PREFIX, known_id
from chatfleet_api.web.documentation import fails, returns, takes


class NewFeedbackBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user thinks of an answer (`message_id`), or of the conversation: at least one of the other fields."""

    message_id: str | None = None
    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    thumb: Thumb | None = None
    rating: Annotated[int, msgspec.Meta(ge=1, le=5)] | None = None
    comment: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)] | None = None


class FeedbackBody(msgspec.Struct, frozen=True):
    """What a user thinks of an answer or, without a `message_id`, of the conversation."""

    conversation_id: str
    message_id: str | None
    user_id: str | None
    thumb: Thumb | None
    rating: int | None
    comment: str | None
    created_at: str
    updated_at: str


class FeedbackList(msgspec.Struct, frozen=True):
    """All feedback on a conversation, in the order in which it was first given."""

    conversation_id: str
    feedback: list[FeedbackBody]


_NEW: Final = msgspec.json.Decoder(NewFeedbackBody)


def feedback_routes(service: FeedbackService) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Conversations"], responses=fails(bodies.ErrorBody))
    operation = takes(NewFeedbackBody) | {"responses": returns(FeedbackBody)}

    @router.post("/{conversation_id}/feedback", openapi_extra=operation)
    async def give_feedback(conversation_id: str, request: Request, caller: Caller) -> Response:
        """Store feedback of a user, in the place of what the same user thought of the same answer before."""
        require_json(request.headers.get("content-type"))
        body = read_feedback(await request.body())
        user, known = caller.user_of(body.user_id), known_id(conversation_id)
        opinion = Opinion(body.thumb, body.rating, body.comment)
        return _json(_shown(known, await service.give(caller, known, opinion, user=user, message=body.message_id)))

    @router.get("/{conversation_id}/feedback", openapi_extra={"responses": returns(FeedbackList)})
    async def list_feedback(conversation_id: str, caller: Caller) -> Response:
        """List the feedback of all users on a conversation."""
        known = known_id(conversation_id)
        return _json(FeedbackList(known, [_shown(known, each) for each in await service.all(caller, known)]))

    return router


def read_feedback(raw: bytes) -> NewFeedbackBody:
    """Parse and check a body; raises `ChatError(INVALID_REQUEST)`, with the field."""
    body = decode_body(raw, _NEW)
    if body.message_id is not None and not is_id(body.message_id):
        raise ChatError(Code.INVALID_REQUEST, "Invalid value for 'message_id': send a UUID.", param="message_id")
    if body.thumb is None and body.rating is None and body.comment is None:
        message = "The feedback is empty; send at least one of 'thumb', 'rating' and 'comment'."
        raise ChatError(Code.INVALID_REQUEST, message)
    return body


def _shown(conversation: str, feedback: Feedback) -> FeedbackBody:
    return FeedbackBody(
        conversation_id=conversation,
        message_id=feedback.message,
        user_id=feedback.user,
        thumb=feedback.thumb,
        rating=feedback.rating,
        comment=feedback.comment,
        created_at=feedback.created_at,
        updated_at=feedback.updated_at,
    )


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), headers={"cache-control": "no-store"}, media_type="application/json")
