"""The body of a message, as far as it is checked here: what all versions of the vendor's API have.

Source of names, types and ranges: `anthropic` 2.14, `types/message_create_params.py`. All else is kept as it was sent.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

Content: TypeAlias = str | list[dict[str, Any]]


class MessageParam(msgspec.Struct, frozen=True):
    """One turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: Content | None = None
    # Of system messages, at Anthropic alone.
    clear_at: Any = None
    output_config: Any = None


class Metadata(msgspec.Struct, frozen=True):
    """Whom the request is for."""

    user_id: str | None = None


class Thinking(msgspec.Struct, frozen=True):
    """How the model is to think."""

    type: str
    budget_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """Which tools the model may, or must, use."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class OutputConfig(msgspec.Struct, frozen=True):
    """Effort and format of the answer."""

    effort: str | None = None
    format: dict[str, Any] | None = None
    task_budget: Any = None  # at Anthropic alone


class CountTokensBody(msgspec.Struct, frozen=True):
    """Body of `POST /v1/messages/count_tokens`."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    messages: Annotated[list[MessageParam], msgspec.Meta(min_length=1)]
    system: Content | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    cache_control: Any = None


class MessagesBody(CountTokensBody, frozen=True, kw_only=True):
    """Body of `POST /v1/messages`."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)]
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0)] | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    speed: str | None = None
    # Anthropic alone.
    container: Any = None
    context_management: Any = None
    diagnostics: Any = None
    inference_geo: Any = None
    mcp_servers: Any = None
    user_profile_id: Any = None
    workspace_id: Any = None


class TokenCount(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of a count of tokens."""

    input_tokens: int
    estimated: bool = False
    """Whether the model's provider has no count, so that this one is a guess."""
