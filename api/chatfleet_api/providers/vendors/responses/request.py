"""The request of any client in the terms of OpenAI's Responses API. Pure.

The upstream stores nothing: a conversation and its state are ours, so each request has all of the input.
"""

from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import CHAT, MESSAGES, RESPONSES, ChatRequest
from chatfleet_api.providers.own_dialect import require_translated, sent_in
from chatfleet_api.providers.vendors.responses import as_sent
from chatfleet_api.providers.vendors.responses.conversation import IMITATION, OPENAI, Takes, items_of
from chatfleet_api.providers.vendors.responses.tools import choice, text_format, tool
from chatfleet_contract.spec.providers import Compatibility

ALL: Final = Compatibility()

_SAME_IN_CHAT: Final = frozenset(
    {
        *("metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier"),
        *("service_tier", "user"),
    }
)
"""Fields that both of OpenAI's APIs have, with the same meaning."""
_VERBOSITY: Final = "verbosity"
_NULL: Final = msgspec.Raw(b"null")
_WITHOUT_COUNTERPART: Final = ("stop", "seed", "presence_penalty", "frequency_penalty")
_NEUTRAL: Final = (None, (), 0.0)
_NAMES: Final = MappingProxyType({MESSAGES: {"stop": "stop_sequences"}})
"""Names of parameters in the client's dialect, where they are not those of chat completions."""
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def body(request: ChatRequest, compatibility: Compatibility = ALL) -> bytes:
    """Return the request for OpenAI and Azure."""
    return _body(request, compatibility, OPENAI)


def compatible_body(request: ChatRequest, compatibility: Compatibility = ALL) -> bytes:
    """Return the request for a server that imitates OpenAI: vLLM, Ollama, OpenRouter, LM Studio."""
    return _body(request, compatibility, IMITATION)


def _body(request: ChatRequest, compatibility: Compatibility, takes: Takes) -> bytes:
    if sent := sent_in(RESPONSES, request):
        return as_sent.body(request, sent, compatibility, has_cache_key=takes.cache_key)
    shared = _shared(request)
    _require_counterparts(request, frozenset(shared))
    fields: dict[str, Any] = {name: value for name, value in shared.items() if name != _VERBOSITY}
    fields |= {
        "model": request.model,
        "input": items_of(request.messages, takes),
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "parallel_tool_calls": request.parallel_tool_calls,
    }
    if request.user is not None and not fields.keys() & {"user", "safety_identifier"}:
        fields["user"] = request.user
    reasoning = {"effort": request.reasoning_effort, "summary": request.reasoning_summary}
    if given := {name: value for name, value in reasoning.items() if value is not None}:
        fields["reasoning"] = given
    if request.tools:
        fields["tools"] = [tool(each) for each in request.tools]
    if request.tool_choice is not None:
        fields["tool_choice"] = choice(request.tool_choice)
    text = {"format": text_format(request.response_format)} if request.response_format else {}
    if text or _VERBOSITY in shared:
        fields["text"] = text | {_VERBOSITY: shared[_VERBOSITY]} if _VERBOSITY in shared else text
    if takes.cache_key and request.affinity is not None:
        fields.setdefault("prompt_cache_key", request.affinity.key)
    fields = {name: value for name, value in fields.items() if value is not None}
    return msgspec.json.encode(fields | {"store": False, "stream": compatibility.stream})


def _shared(request: ChatRequest) -> dict[str, msgspec.Raw]:
    """Return the fields of a chat completion that this API has, too."""
    sent = sent_in(CHAT, request)
    if sent is None:
        return {}
    known = _SAME_IN_CHAT | {_VERBOSITY}
    return {name: value for name, value in _fields(sent.body).items() if name in known and value != _NULL}


def _require_counterparts(request: ChatRequest, shared: frozenset[str]) -> None:
    """Raise `ChatError(INVALID_REQUEST)` for the first part of the request that this API does not have."""
    for name in _WITHOUT_COUNTERPART:
        if getattr(request, name) not in _NEUTRAL:
            shown = _NAMES.get(request.sent.dialect, {}).get(name, name) if request.sent else name
            message = f"Unsupported value: '{shown}', which the model's provider does not have. Omit it."
            raise ChatError(Code.INVALID_REQUEST, message, param=shown)
    if request.sent is not None:
        rest = tuple(part for part in request.sent.untranslated if part.param not in shared)
        require_translated(replace(request, sent=replace(request.sent, untranslated=rest)), RESPONSES)
