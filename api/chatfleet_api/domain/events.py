"""The one internal model of what happens in a run. Dialects encode it; the run log stores it.

A run's events are numbered from 1 without gaps: `Start` first, one terminal event (`Complete` or `Failed`) last.
Provider adapters produce the middle (`Delta`) and the `Finish` that proves the end was seen.
"""

from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "requires_action"]
"""The last: calls of tools wait for approval. No provider ends with it."""
Retrieval: TypeAlias = Literal["", "by_words", "unavailable"]
"""How documents were looked for, if not as the model is configured: by words, without vectors; or not at all."""


class Usage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Tokens of one answer. Input and output tokens are totals: cache and reasoning tokens are parts of them."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
    """True when the provider's own numbers never came."""
    cost_usd: Decimal | None = None
    """Price of the tokens; None: it is not known."""
    cache_write_1h_tokens: int = 0
    """Part of the cache writes whose entries live for an hour, and so below; others live as long as is usual."""
    cache_write_30m_tokens: int = 0
    cache_write_12h_tokens: int = 0
    audio_input_tokens: int = 0
    """Part of the input, and below of the output."""
    audio_output_tokens: int = 0
    service_tier: str = ""
    """The vendor's own word for the tier that answered; empty: the usual one."""
    region: str = ""
    """Where the vendor has answered, by its own word; empty: it names no place."""
    price_version: str = ""
    """Which prices `cost_usd` comes from; empty: none, or several."""
    cached: bool = False
    """Whether the answer came from the response cache: its tokens were used before, and not again."""

    def __add__(self, other: "Usage") -> "Usage":
        """Return what both have cost together."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            estimated=self.estimated or other.estimated,
            cost_usd=None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            cache_write_30m_tokens=self.cache_write_30m_tokens + other.cache_write_30m_tokens,
            cache_write_12h_tokens=self.cache_write_12h_tokens + other.cache_write_12h_tokens,
            audio_input_tokens=self.audio_input_tokens + other.audio_input_tokens,
            audio_output_tokens=self.audio_output_tokens + other.audio_output_tokens,
            service_tier=self.service_tier if self.service_tier == other.service_tier else "",
            region=self.region if self.region == other.region else "",
            price_version=self.price_version if self.price_version == other.price_version else "",
            cached=self.cached and other.cached,
        )


class Start(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="start"):
    """The run exists and will be answered by `model` (a name of the catalogue)."""

    run: str
    model: str
    created: int
    """Unix seconds."""
    conversation: str | None = None
    message: str | None = None
    """Id of the assistant message that this run writes."""
    echo: str = ""
    """Parameters of the request that the dialect shows with the answer, as JSON; empty: it shows none."""


class Token(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="token"):
    """Visible text."""

    text: str


class Signature(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a vendor wants back, as it came, with a part of its reasoning. No other model gets it."""

    model: str
    """The provider's name of the model."""
    value: str
    redacted: bool = False
    """Whether `value` is the reasoning itself, encrypted."""


class Thought(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of the reasoning of an earlier answer."""

    text: str
    signature: Signature | None = None


class Agent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="agent"):
    """Who answers from now on, and why. Each but the first of a run is a hand-over by the agent before."""

    name: str
    reason: str
    thoughts: tuple[Thought, ...] = ()
    """The reasoning that the hand-over followed from. Clients do not get it."""


class Reasoning(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="reasoning"):
    """Text of the model's reasoning, where the provider shows it."""

    text: str
    field: str | None = None
    """The upstream's own name for it, for clients of its dialect; None: the usual one."""
    signature: Signature | None = None
    """Ends a part of the reasoning, all that came since the one before. Only responses have it."""


class ToolCall(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="tool_call"):
    """A piece of a tool call: the first at an `index` has `id` and `name`, later ones append to `arguments` (JSON)."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    custom: bool = False
    """Whether the tool is a custom one, whose arguments are free text. The first piece has it."""


class Extended(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="extended"):
    """Pieces of an answer, with what came beside them that the common terms do not have.

    Only a request in the upstream's own dialect brings it (`ChatRequest.sent`), and only that dialect reads `extra`.
    """

    extra: msgspec.Raw
    """JSON in the terms of the dialect: the `lossless` module of its vendor makes it, its encoder reads it."""
    pieces: tuple[Token | Reasoning | ToolCall, ...] = ()


class ContextUse(msgspec.Struct, frozen=True, gc=False):
    """What a model got of a conversation of which not all may go."""

    messages: int
    """How many it got, with the instructions and the question."""
    left_out: int
    """How many messages of the conversation it did not get."""


class Citation(msgspec.Struct, frozen=True, gc=False):
    """A chunk of a document that the model was given for its answer."""

    source: str
    """`<ConfigMap>/<key>`."""
    chunk: int
    """Its number within the document, from 1."""
    score: float
    """How well it fits the question, higher for better; comparable within one answer alone."""


class AgentUsage(msgspec.Struct, frozen=True, gc=False):
    """What one agent has used for its part of an answer; the supervisor, for the choice."""

    name: str
    usage: Usage


class ServerToolCall(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="server_tool_call"
):
    """A pod calls a tool of a tool server: in the log before the call is made, so that a successor knows of it."""

    step: int
    """Number of the request to the model whose answer has the call, from 1."""
    id: str
    name: str
    """By which the model calls the tool."""
    server: str
    tool: str
    """Its name on the server."""
    arguments: str
    """JSON."""
    repeatable: bool = False
    """Whether it may be made again if its result is not known."""
    thoughts: tuple[Thought, ...] = ()
    """The reasoning that the calls of a step followed from, which the first of them has. Clients do not get it."""
    approval: str = ""
    """Id under which a person approves it; empty: it needs none."""


class ServerToolResult(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="server_tool_result"
):
    """What became of such a call."""

    id: str
    content: str
    is_error: bool = False


class RequiresAction(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="requires_action"):
    """The answer pauses, as its last event but one: none of these calls is made before a person has decided."""

    calls: tuple[ServerToolCall, ...]
    """All of a step, also those that need no approval."""

    @property
    def waiting(self) -> tuple[ServerToolCall, ...]:
        """Those that need approval."""
        return tuple(call for call in self.calls if call.approval)


class Complete(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="complete"):
    """The provider declared the answer complete."""

    finish_reason: FinishReason
    usage: Usage
    latency_ms: int = 0
    time_to_first_token_ms: int | None = None
    provider: str | None = None
    """Who answered, be it a fallback: the provider's name in the catalogue."""
    upstream_model: str | None = None
    """The model that answered, by its provider's name of it."""
    extra: dict[str, Any] | None = None
    """What came with the end that the common terms do not have, as in `Extended`."""
    context: ContextUse | None = None
    """None: all of the conversation went to the model, if there was one."""
    citations: tuple[Citation, ...] = ()
    """Best fit first; empty: the model has no documents, or none fits."""
    retrieval: Retrieval = ""
    agents: tuple[AgentUsage, ...] = ()
    """Parts of the usage, in order; empty: no agent has answered."""


class Failed(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="error"):
    """The run ended without a whole answer."""

    code: Code
    message: str
    suggested_action: str
    retryable: bool
    retry_after: float | None = None
    partial_saved: bool = False
    usage: Usage | None = None
    param: str | None = None
    """Path of the field that is at fault, in the client's request."""

    @classmethod
    def of(cls, error: ChatError) -> "Failed":
        """Return how a run ends that failed with `error`."""
        facts = error.facts
        action, retryable = facts.suggested_action, facts.retryable
        return cls(error.code, error.message, action, retryable, error.retry_after, param=error.param)


Piece: TypeAlias = Token | Reasoning | ToolCall
Delta: TypeAlias = Piece | Extended
Terminal: TypeAlias = Complete | Failed
TERMINALS: Final = (Complete, Failed)
ServerToolEvent: TypeAlias = ServerToolCall | ServerToolResult | RequiresAction
Event: TypeAlias = Start | Agent | Token | Reasoning | ToolCall | Extended | ServerToolEvent | Complete | Failed
