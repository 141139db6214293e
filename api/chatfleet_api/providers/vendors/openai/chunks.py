"""Chunks of OpenAI's chat completions, decoded fast and strictly. Pure.

Only what most chunks have is here. Those with a value where `None` is the type are not accepted, and those that bring
nothing are looked at again: `odd_chunks` reads both, at more cost.
"""

from typing import Any, Final

import msgspec


class Function(msgspec.Struct, gc=False):
    """What a piece of a tool call brings."""

    name: str | None = None
    arguments: str | None = None


class Custom(msgspec.Struct, gc=False):
    """What a piece of a call of a custom tool brings."""

    name: str | None = None
    input: str | None = None


class Call(msgspec.Struct, gc=False):
    """A piece of a tool call."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class OldCall(Call, gc=False):
    """A piece of the one tool call of an answer in OpenAI's old form, `function_call`."""


class Delta(msgspec.Struct, gc=False):
    """What a chunk adds to the message."""

    content: str | None = None
    reasoning_content: str | None = None
    """DeepSeek's name, and that of most compatible servers."""
    reasoning: str | None = None
    """OpenRouter's name, and that of newer vLLM."""
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: None = None


class Choice(msgspec.Struct, gc=False):
    """The one answer."""

    delta: Delta | None = None
    finish_reason: str | None = None


class CacheWriteDetails(msgspec.Struct, gc=False):
    """Parts of what the cache took, by how long it keeps them."""

    ttl_30m_tokens: int | None = None
    ttl_12h_tokens: int | None = None


class PromptDetails(msgspec.Struct, gc=False):
    """Parts of the prompt."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: CacheWriteDetails | None = None
    audio_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """Parts of the completion."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class ChunkUsage(msgspec.Struct, gc=False):
    """Numbers as the upstream reports them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    input_tokens: None = None
    output_tokens: None = None


class Chunk(msgspec.Struct, gc=False):
    """One chunk; its unknown fields are ignored."""

    choices: list[Choice] | None = None
    usage: ChunkUsage | None = None
    error: None = None


class Tiered(msgspec.Struct, gc=False):
    """What a chunk or a response has of its service tier."""

    service_tier: Any = None


decode_tier = msgspec.json.Decoder(Tiered).decode
"""Decodes the tier of one chunk of an answer: the last one, so that no token pays for it."""
decode = msgspec.json.Decoder(Chunk).decode
"""Decodes a chunk as OpenAI documents it: the fast way, which every token takes."""

UNEXPECTED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `decode` raises."""
