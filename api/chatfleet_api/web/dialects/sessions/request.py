"""What clients of sessions send."""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.request import Message
from chatfleet_api.web.body import decode_body
from chatfleet_api.web.dialects.native.request import Attachments, model_of

MAX_HISTORY: Final = 200
"""Messages that a client may bring along: the default of `conversations.maxMessages` in the specification."""

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Label = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class HistoryMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message that was sent or answered before."""

    role: Literal["system", "user", "assistant"]
    content: _Text


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: _Text
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    agent: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    on_busy: Literal["reject", "enqueue", "interrupt"] | None = None
    attachments: Attachments | None = None

    def new_message(self) -> NewMessage:
        model = model_of(self.model, self.agent)
        return NewMessage(
            *(self.message, model, self.temperature, self.top_p, self.max_tokens, self.on_busy),
            attachments=msgspec.UNSET if self.attachments is None else self.attachments,
        )


class ChatBody(_Question, frozen=True):
    """A message, and the session that it goes on; a new one if it has none, or the session does not exist."""

    session_id: _Label | None = None
    user_id: _Label | None = None


class ChatStreamBody(_Question, frozen=True):
    """A message, and the conversation that it goes on; `history` is what a new one begins with."""

    conversation_id: _Label | None = None
    user_id: _Label | None = None
    history: Annotated[list[HistoryMessage], msgspec.Meta(max_length=MAX_HISTORY)] = []


class Sent(NamedTuple):
    """A message, and where it goes."""

    message: NewMessage
    session: str | None
    user: str | None
    history: tuple[NewItem, ...] = ()


_CHAT: Final = msgspec.json.Decoder(ChatBody)
_CHAT_STREAM: Final = msgspec.json.Decoder(ChatStreamBody)


def read_chat(raw: bytes) -> Sent:
    """Parse and check the body of `POST /chat`; raises `ChatError(INVALID_REQUEST)` with the field and the remedy."""
    body = decode_body(raw, _CHAT)
    return Sent(body.new_message(), body.session_id, body.user_id)


def read_chat_stream(raw: bytes) -> Sent:
    """Parse and check the body of `POST /api/chat/stream`; raises as `read_chat` does."""
    body = decode_body(raw, _CHAT_STREAM)
    history = tuple(NewItem(Message(each.role, each.content), role=each.role) for each in body.history)
    return Sent(body.new_message(), body.conversation_id, body.user_id, history)
