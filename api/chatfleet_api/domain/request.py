"""A request to a model, in OpenAI's terms, typed. Every dialect parses into this; every provider reads it.

These are the terms that all vendors have in common. Beside them stays what the client sent (`Sent`): an upstream of the
client's own dialect gets that.
"""

from typing import Any, Final, Literal, TypeAlias

import msgspec

from chatfleet_api.domain.events import ServerToolCall, ServerToolResult, Thought

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]

CHAT: Final = "chat"
MESSAGES: Final = "messages"
RESPONSES: Final = "responses"
WireDialect: TypeAlias = Literal["chat", "messages", "responses"]
"""A vendor's API that clients speak, and upstreams: OpenAI's chat completions and responses, Anthropic's messages."""


class Function(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function call inside an assistant message; `arguments` is JSON text."""

    name: str
    arguments: str


class MessageToolCall(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    """A tool call that the assistant made earlier."""

    id: str
    function: Function


class CustomInput(msgspec.Struct, frozen=True):
    """A call of a custom tool inside an assistant message; `input` is free text."""

    name: str
    input: str


class CustomToolCall(msgspec.Struct, frozen=True, tag_field="type", tag="custom"):
    """A call of a custom tool that the assistant made earlier."""

    id: str
    custom: CustomInput


AnyToolCall: TypeAlias = MessageToolCall | CustomToolCall


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Text within a message."""

    text: str


class ImageURL(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image by URL or data URL."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(msgspec.Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image within a message."""

    image_url: ImageURL


class FileData(msgspec.Struct, frozen=True):
    """A PDF as a data URL, with its name."""

    filename: str
    file_data: str


class FilePart(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    """A file within a message of the user."""

    file: FileData


ContentPart: TypeAlias = TextPart | ImagePart | FilePart


class Message(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One message of the context sent to a model."""

    role: Role
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[AnyToolCall] | None = None
    tool_call_id: str | None = None
    thoughts: list[Thought] | None = None
    """The reasoning that the message of the assistant followed from. A vendor gets back its own."""
    reasoning_content: str | None = None
    """The same as text, which only a vendor's request has."""


class Untranslated(msgspec.Struct, frozen=True):
    """A part of a request that other dialects have no counterpart for."""

    param: str
    """Its path in the client's request."""
    message: str
    """The error for a client whose upstream has another dialect: part and remedy."""
    known_to: tuple[WireDialect, ...] = ()
    """Dialects that have a counterpart, which the request has in its common fields."""


class Sent(msgspec.Struct, frozen=True):
    """A request in its client's own dialect, with all that the common terms leave out."""

    dialect: WireDialect
    body: msgspec.Raw
    """The JSON of the request, byte for byte."""
    messages: int
    """How many of the request's messages come from it. What follows them was added to continue an answer."""
    untranslated: tuple[Untranslated, ...] = ()
    headers: dict[str, str] = {}
    """Headers that belong to the request, by names in lower case."""
    before: tuple[tuple[str, str], ...] = ()
    """Parts of earlier turns in the dialect's own form, each JSON, that go before those of the body.

    Each with the provider's name of the model that wrote it, empty for one of the client's or a translated one.
    """
    in_common_terms: bool = False
    """Whether also an upstream of the dialect gets the common terms, because steps add to the request."""


class Affinity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the prompt of a conversation may be in a cache."""

    key: str
    """Stands for the conversation: requests with the same one begin alike."""
    provider: str | None = None
    """Who gave the newest answer; None: there is none, or no cache has its prompt any more."""
    model: str | None = None
    """The model that gave it, by its provider's name of it."""


class Routing(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known beforehand of the agent that answers."""

    last: str = ""
    """The agent that has answered last in the conversation; empty: none."""
    announced: bool = False
    """Whether the run has announced it: the request goes on with it."""


class DecidedStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """The calls that an earlier answer has paused for: they are made before the model is requested."""

    calls: tuple[ServerToolCall, ...]
    refusals: tuple[ServerToolResult, ...] = ()
    """What the model gets of those that are not made."""
    text: str = ""
    """What the model has written before them."""
    handoffs: int = 0
    """Hand-overs before it."""
    agent_since: int = 0
    """Steps before the agent that answers."""

    @property
    def number(self) -> int:
        """The step's."""
        return self.calls[0].step


class ChatRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One question to one model; `model` is a name of the catalogue until the registry puts the provider's there."""

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    reasoning_summary: str | None = None
    """Whether the reasoning is to be shown as a summary, by the vendor's word for its length."""
    response_format: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    logprobs: bool | None = None
    """Whether the log probabilities of the text are wanted; of Responses, which get them as `Extended`."""
    top_logprobs: int | None = None
    truncates: bool = False
    """Whether the oldest messages may be left out when there are too many for the model."""
    continues: bool = False
    """Whether the last message is the beginning of the answer, which is to be continued and not repeated."""
    affinity: Affinity | None = None
    """Which upstream may have the beginning of the request in its cache; None: no conversation is known."""
    caches_instructions: bool = False
    """Whether the instructions are long and the same for many requests, so that a vendor's cache shall keep them."""
    keeps_thoughts: bool = False
    """Whether the signatures of the reasoning are wanted, because steps give them back."""
    routing: Routing | None = None
    """For agents alone."""
    decided: DecidedStep | None = None
    """Where an answer goes on that had paused. The messages end before this step."""
    sent: Sent | None = None
    """The request as its client sent it, in a dialect that upstreams speak too.

    It repeats what the other fields have: who changes a message, such as a guard, has to change it here as well.
    """


def in_common_terms(request: ChatRequest) -> ChatRequest:
    """Return the request as one that every upstream gets in the common terms, with a body of its own to forget."""
    if request.sent is None:
        return request
    sent = msgspec.structs.replace(request.sent, in_common_terms=True)
    return msgspec.structs.replace(request, sent=sent)


_FORGOTTEN: Final = msgspec.Raw(b"null")


def forget_sent(request: ChatRequest) -> None:
    """Drop the body that the client has sent, also from copies of the request: no upstream gets it any more."""
    if request.sent is not None:
        msgspec.structs.force_setattr(request.sent, "body", _FORGOTTEN)
