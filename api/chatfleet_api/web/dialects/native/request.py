"""What clients of our own dialect send."""

from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from chatfleet_api.chat.attachments import Attachment
from chatfleet_api.chat.decisions import Decision
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.chat.tool_approval import MAX_REASON
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.body import decode_body, limit_depth, stream_field
from chatfleet_contract.spec.agents import MEMBER_PREFIX

_Text = Annotated[str, msgspec.Meta(min_length=1)]
Attachments: TypeAlias = Annotated[tuple[Attachment, ...], msgspec.Meta(min_length=1)]
_Label = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class NewConversationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation to begin; everything is optional."""

    user_id: _Label | None = None
    title: _Label | None = None
    metadata: Annotated[dict[str, Any], msgspec.Meta(max_length=64)] | None = None


class SendMessageBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message to send, as `content` (or `message`, the same), and how it is to be answered."""

    content: _Text | None = None
    message: _Text | None = None
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    agent: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] | None = None
    stream: bool | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    on_busy: Literal["reject", "enqueue", "interrupt"] | None = None
    parent_id: Annotated[str, msgspec.Meta(max_length=64)] | msgspec.UnsetType | None = msgspec.UNSET
    attachments: Attachments | None = None


class RegenerateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a message is to be answered again; everything is optional."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    agent: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] | None = None
    stream: bool | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    on_busy: Literal["reject", "enqueue", "interrupt"] | None = None


class ApprovalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was decided about a call; the model gets the reason for a refusal."""

    approval_request_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    approve: bool
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON)] | None = None


class ApprovalsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Decisions about all calls that an answer has paused for, and how the answer goes on."""

    approvals: Annotated[list[ApprovalBody], msgspec.Meta(min_length=1, max_length=128)]
    stream: bool | None = None


class MessageRequest(NamedTuple):
    """A message, and whether its answer is streamed, as far as the body decides it."""

    message: NewMessage
    stream: bool | None


_NEW_CONVERSATION: Final = msgspec.json.Decoder(NewConversationBody)
_SEND_MESSAGE: Final = msgspec.json.Decoder(SendMessageBody)
_REGENERATE: Final = msgspec.json.Decoder(RegenerateBody)
_APPROVALS: Final = msgspec.json.Decoder(ApprovalsBody)


def read_new_conversation(raw: bytes) -> NewConversationBody:
    """Parse and check the body of a new conversation; it may be missing."""
    body = decode_body(raw or b"{}", _NEW_CONVERSATION)
    limit_depth(body.metadata, "metadata")
    return body


def read_message(raw: bytes) -> MessageRequest:
    """Parse and check the body of a message; raises `ChatError(INVALID_REQUEST)` with the field and the remedy."""
    body = decode_body(raw, _SEND_MESSAGE)
    if (body.content is None) == (body.message is None):
        raise ChatError(Code.INVALID_REQUEST, "Send exactly one of 'content' and 'message'.", param="content")
    text = body.content or body.message or ""
    model = model_of(body.model, body.agent)
    message = NewMessage(
        *(text, model, body.temperature, body.top_p, body.max_tokens, body.on_busy),
        parent=body.parent_id,
        attachments=msgspec.UNSET if body.attachments is None else body.attachments,
    )
    return MessageRequest(message, body.stream)


def read_regenerate(raw: bytes, message: str) -> MessageRequest:
    """Parse and check the body of a request to answer `message` again; it may be missing."""
    body = decode_body(raw or b"{}", _REGENERATE)
    model = model_of(body.model, body.agent)
    again = NewMessage("", model, body.temperature, body.top_p, body.max_tokens, body.on_busy, again=message)
    return MessageRequest(again, body.stream)


class ApprovalsRequest(NamedTuple):
    """Decisions, and whether the answer that goes on is streamed, as far as the body decides it."""

    decisions: tuple[Decision, ...]
    stream: bool | None


def read_approvals(raw: bytes) -> ApprovalsRequest:
    """Parse and check the body of decisions about calls."""
    body = decode_body(raw, _APPROVALS)
    decisions = (Decision(each.approval_request_id, each.approve, each.reason) for each in body.approvals)
    return ApprovalsRequest(tuple(decisions), body.stream)


def model_of(model: str | None, agent: str | None) -> str | None:
    """Return the model of a request that may name an agent instead."""
    if agent is None:
        return model
    if model is not None:
        raise ChatError(Code.INVALID_REQUEST, "Send only one of 'model' and 'agent'.", param="agent")
    return MEMBER_PREFIX + agent


def is_streamed(stream: bool | None, accept: str) -> bool:  # noqa: FBT001  # a field of the body
    """Return whether the answer is streamed: as the body requests, else as the Accept header does."""
    return stream if stream is not None else "text/event-stream" in accept


def wants_stream(accept: str, body: bytes) -> bool:
    """Return whether a request is for a stream; an invalid body decides nothing."""
    return is_streamed(stream_field(body), accept)
