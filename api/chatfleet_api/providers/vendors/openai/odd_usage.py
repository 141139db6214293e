"""Usage under other names, or in another place, than OpenAI documents. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from chatfleet_api.providers.vendors.openai.chunks import (
    CacheWriteDetails,
    ChunkUsage,
    CompletionDetails,
    PromptDetails,
)

_PROMPT: Final = ("prompt_tokens", "input_tokens")
_COMPLETION: Final = ("completion_tokens", "output_tokens")
"""OpenAI's names, and those of its Responses API and of Anthropic."""


def usage_of(places: Sequence[dict[str, Any]]) -> ChunkUsage | None:
    """Return the usage in the first of `places` that has one which counts something; None when none has one."""
    found = [_usage(place["usage"]) for place in places if isinstance(place.get("usage"), dict)]
    counting = (usage for usage in found if usage.prompt_tokens or usage.completion_tokens or usage.total_tokens)
    return next(counting, found[0] if found else None)


def number_of(value: object) -> int | None:
    """Return a count, also one in a string or with a fraction of 0; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(2**53)):
        return int(value)
    return int(value) if isinstance(value, int | float) and 0 <= value <= 2**53 else None


def _usage(fields: dict[str, Any]) -> ChunkUsage:
    prompt, completion = (
        next((part for name in names if isinstance(part := fields.get(f"{name}_details"), dict)), {})
        for names in (_PROMPT, _COMPLETION)
    )
    written = prompt.get("cache_write_tokens_details")
    kept = written if isinstance(written, dict) else {}
    return ChunkUsage(
        _first(fields, _PROMPT),
        _first(fields, _COMPLETION),
        number_of(fields.get("total_tokens")),
        PromptDetails(
            number_of(prompt.get("cached_tokens")),
            number_of(prompt.get("cache_write_tokens")),
            CacheWriteDetails(number_of(kept.get("ttl_30m_tokens")), number_of(kept.get("ttl_12h_tokens"))),
            number_of(prompt.get("audio_tokens")),
        ),
        CompletionDetails(number_of(completion.get("reasoning_tokens")), number_of(completion.get("audio_tokens"))),
    )


def _first(fields: dict[str, Any], names: Sequence[str]) -> int | None:
    return next((number for name in names if (number := number_of(fields.get(name)))), None)
