"""What `HttpAgent` sends: the ids of the thread and of its run, and all messages of the thread.

The server keeps the history, so the last message alone is read: it must be a new one of the user's.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.body import decode_body

_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~:-]{1,128}$(?!\n)")]
_Role = Literal["developer", "system", "assistant", "user", "tool", "activity", "reasoning"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the message is to be answered."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    on_busy: Literal["reject", "enqueue", "interrupt"] | None = None


class ThreadMessage(msgspec.Struct, frozen=True):
    """A message of the thread. Only the last one is read further."""

    id: _Id
    role: _Role
    content: Any = None


class RunAgentInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A thread whose last message is to be answered; `forwardedProps` has how."""

    thread_id: _Id
    run_id: _Id
    messages: Annotated[list[ThreadMessage], msgspec.Meta(min_length=1)]
    protocol_version: str | None = None
    parent_run_id: str | None = None
    state: Any = None
    tools: list[Any] | None = None
    context: list[Any] | None = None
    resume: list[Any] | None = None
    forwarded_props: Options | None = None


class _Part(msgspec.Struct, frozen=True):
    type: Literal["text"]
    text: str


class Question(NamedTuple):
    """A message to a thread; `key` is the same when it is sent again."""

    thread: str
    run: str
    message: NewMessage
    key: str


_BODY: Final = msgspec.json.Decoder(RunAgentInput)
_ABSENT: Final = ("state", "tools", "context", "resume")


def read_question(raw: bytes) -> Question:
    """Parse and check the body of a run; raises `ChatError(INVALID_REQUEST)` with the field and the remedy."""
    body = decode_body(raw, _BODY)
    for name in _ABSENT:
        if getattr(body, name):
            raise invalid(name, "runs of this server have none. Send it empty")
    for number, message in enumerate(body.messages):
        if message.role in ("system", "developer"):
            raise invalid(f"messages[{number}].role", "instructions belong to the server. Remove the message")
    last = len(body.messages) - 1
    question, options = body.messages[last], body.forwarded_props or Options()
    if question.role != "user":
        raise invalid(f"messages[{last}].role", "send a message of the user as the last one")
    text = _text(question, f"messages[{last}].content")
    sent = NewMessage(text, options.model, options.temperature, options.top_p, options.max_tokens, options.on_busy)
    return Question(body.thread_id, body.run_id, sent, "ag-ui:" + question.id)


def wants_stream(_accept: str, _body: bytes) -> bool:
    """Return that each request is for a stream."""
    return True


def _text(question: ThreadMessage, where: str) -> str:
    try:
        content = msgspec.convert(question.content, str | list[_Part])
    except msgspec.ValidationError:
        raise invalid(where, "send text, or parts of the type text, and no others") from None
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    if not text:
        raise invalid(where, "send the text of the message")
    return text


def invalid(param: str, why: str) -> ChatError:
    """Return the error for the field `param`."""
    return ChatError(Code.INVALID_REQUEST, f"Invalid value for '{param}': {why}.", param=param)
