"""Which requests may be answered from the cache: those that declare that they want the same answer each time. Pure.

A request in its client's own dialect may have nothing but the parameters below: a field that is not known here may call
tools, search the web, or store something at the vendor.
"""

from typing import Any, Final, TypeAlias

import msgspec

from chatfleet_api.domain.request import CHAT, ChatRequest

PARAMETERS: Final = frozenset(
    {
        *("model", "messages", "system", "input", "instructions", "stream", "stream_options", "metadata", "user"),
        *("temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty"),
        *("repetition_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "stop", "stop_sequences"),
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "response_format", "text", "verbosity"),
        *("reasoning_effort", "reasoning", "thinking", "output_config", "include", "truncation", "prediction"),
        *("cache_control", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("safety_identifier", "service_tier", "speed", "inference_geo", "store", "background"),
        *("conversation", "previous_response_id", "parallel_tool_calls"),
    }
)
_ABSENT: Final[tuple[object, ...]] = (None, False, [], {}, "")

Fields: TypeAlias = dict[str, Any]


def is_cacheable(request: ChatRequest) -> bool:
    """Return whether a request, apart from its client's own words, wants one answer and calls no tool."""
    is_deterministic = request.temperature == 0 or request.seed is not None
    return is_deterministic and not (request.tools or request.continues or request.decided)


def has_parameters_alone(request: ChatRequest, fields: Fields) -> bool:
    """Return whether the client's own words, of which `fields` are the JSON, have nothing but parameters."""
    if any(name not in PARAMETERS and value not in _ABSENT for name, value in fields.items()):
        return False
    if fields.get("n") not in (None, 1):
        return False
    return not (request.sent is not None and request.sent.dialect == CHAT and fields.get("store"))


def fields_of(request: ChatRequest) -> Fields | None:
    """Return the client's own words; an empty object where there are none, None where they cannot be compared."""
    if request.sent is None:
        return {}
    try:
        fields = msgspec.json.decode(request.sent.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
