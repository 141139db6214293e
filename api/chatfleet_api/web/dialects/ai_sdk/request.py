"""What `useChat` sends with its DefaultChatTransport: the id of the chat, and all of its messages.

The server keeps the history, so the last message alone is read: it must be a new one of the user's.
"""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.body import decode_body

_PATTERN: Final = r"^[A-Za-z0-9._~:-]{1,128}$(?!\n)"
_Id = Annotated[str, msgspec.Meta(pattern=_PATTERN)]


class UIMessage(msgspec.Struct, frozen=True):
    """A message of the chat. Only the last one is read further."""

    id: _Id
    role: Literal["system", "user", "assistant"]
    parts: list[msgspec.Raw]


class ChatBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"message_id": "messageId"}):
    """A chat whose last message is to be answered, and how."""

    id: _Id
    messages: Annotated[list[UIMessage], msgspec.Meta(min_length=1)]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: str | None = None
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    on_busy: Literal["reject", "enqueue", "interrupt"] | None = None


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None


class Question(NamedTuple):
    """A message to a chat; `key` is the same when it is sent again."""

    chat: str
    message: NewMessage
    key: str
    regenerates: bool = False
    """Whether the client has a button for another answer: one that is complete is not written again."""


_BODY: Final = msgspec.json.Decoder(ChatBody)
_PART: Final = msgspec.json.Decoder(_Part)


def read_question(raw: bytes) -> Question:
    """Parse and check the body of a message; raises `ChatError(INVALID_REQUEST)` with the field and the remedy."""
    body = decode_body(raw, _BODY)
    for number, message in enumerate(body.messages):
        if message.role == "system":
            raise invalid(f"messages[{number}].role", "instructions belong to the server. Remove the system message")
    last = len(body.messages) - 1
    question = body.messages[last]
    if question.role != "user":
        raise invalid(f"messages[{last}].role", "send a message of the user as the last one")
    regenerates = body.trigger == "regenerate-message"
    if body.message_id not in (None, question.id) and not regenerates:
        raise invalid("messageId", "it names another message than the last one. Send the last one again, or a new one")
    text = _text(question, f"messages[{last}].parts")
    sent = NewMessage(text, body.model, body.temperature, body.top_p, body.max_tokens, body.on_busy)
    return Question(body.id, sent, "ai-sdk:" + question.id, regenerates=regenerates)


def known_chat(text: str) -> str:
    """Return `text` if it can be the id of a chat; raise `ChatError(INVALID_REQUEST)` if not."""
    try:
        return msgspec.convert(text, _Id)
    except msgspec.ValidationError:
        raise invalid("id", "send 1 to 128 letters, digits and . _ ~ : -") from None


def wants_stream(_accept: str, _body: bytes) -> bool:
    """Return that each request is for a stream."""
    return True


def _text(question: UIMessage, where: str) -> str:
    texts: list[str] = []
    for number, raw in enumerate(question.parts):
        path = f"{where}[{number}]"
        part = _part(raw, path)
        if part.type != "text" or part.text is None:
            raise invalid(f"{path}.type", "send parts of the type text, with their text, and no others")
        texts.append(part.text)
    if not (text := "".join(texts)):
        raise invalid(where, "send the text of the message")
    return text


def _part(raw: msgspec.Raw, path: str) -> _Part:
    try:
        return _PART.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise invalid(path, "send an object with type and text") from None


def invalid(param: str, why: str) -> ChatError:
    """Return the error for the field `param`."""
    return ChatError(Code.INVALID_REQUEST, f"Invalid value for '{param}': {why}.", param=param)
