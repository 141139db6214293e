"""Translates requests from OpenAI's terms into Anthropic's. Pure.

https://platform.claude.com/docs/en/api/messages. Addresses and headers are those of the official SDK, with which
tests/contract/api/providers/test_sdks.py compares them; the type checker compares the shapes. `seed` and the two
penalties are hints that Anthropic does not take; they are left out, as its OpenAI-compatible endpoint leaves them out.
What would change the answer's meaning is rejected.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import MESSAGES, ChatRequest
from chatfleet_api.providers.own_dialect import require_translated, sent_in
from chatfleet_api.providers.typed_fields import Chosen, Effort, Format, Tool
from chatfleet_api.providers.vendors.anthropic import as_sent
from chatfleet_api.providers.vendors.anthropic.conversation import called_tools, instructions, turns
from chatfleet_contract.spec.providers import Compatibility

if TYPE_CHECKING:
    from chatfleet_api.providers.vendors.anthropic.sdk_types import (
        CacheControlEphemeralParam,
        MessageCreateParamsStreaming,
        OutputConfigParam,
        TextBlockParam,
        ToolChoiceParam,
        ToolParam,
    )

API_VERSION: Final = "2026-10-21"
"""The version that the official SDK sends."""

API_VERSION_WITH_SAMPLING: Final = "2023-06-01"
"""The version before. It still has `temperature` and `top_p`, which the current one rejects at any value."""

DEFAULT_MAX_TOKENS: Final = 8192
"""Anthropic requires a limit; this one is used when neither the request nor the model's parameters set one."""

_T = TypeVar("_T")


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[Chosen]

    @property
    def names(self) -> set[str]:
        return {tool.function.name for tool in self.tools}


def root(base_url: str) -> str:
    """Return the root of the API: the version at its end may be missing, as in the SDK's."""
    return base_url if base_url.endswith("/v1") else f"{base_url}/v1"


def version(request: ChatRequest | None) -> dict[str, str]:
    """Return the header with the version of the API that has all that the request uses."""
    if request and (sent := sent_in(MESSAGES, request)):
        return as_sent.headers(sent)
    return {"anthropic-version": API_VERSION_WITH_SAMPLING if request and _sampling(request) else API_VERSION}


def count(request: ChatRequest) -> tuple[str, bytes] | None:
    """Return path and body of a request that counts the tokens of one in Anthropic's dialect; None: in another one."""
    sent = sent_in(MESSAGES, request)
    return None if sent is None else ("/messages/count_tokens", as_sent.count_body(request, sent))


def body(request: ChatRequest, compatibility: Compatibility = Compatibility()) -> bytes:  # noqa: B008  # frozen
    """Return the request in Anthropic's terms.

    Raises `ChatError(INVALID_REQUEST)`, with the field, for what Anthropic does not support.
    """
    if sent := sent_in(MESSAGES, request):
        return as_sent.body(request, sent, compatibility, sampling_version=API_VERSION_WITH_SAMPLING)
    require_translated(request)
    try:
        return msgspec.json.encode({**_translated(request), **_sampling(request), "stream": compatibility.stream})
    except RecursionError as error:
        raise ChatError(Code.INVALID_REQUEST, "The JSON nests too deeply; use fewer levels.") from error


def _sampling(request: ChatRequest) -> dict[str, float]:
    fields = {"temperature": request.temperature, "top_p": request.top_p}
    return {name: value for name, value in fields.items() if value is not None}


def _translated(request: ChatRequest) -> "MessageCreateParamsStreaming":
    """Return `request` without its sampling parameters, which the current version of the API no longer has."""
    params: MessageCreateParamsStreaming = {
        "model": request.model,
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": turns(request.messages, request.model),
        "stream": True,
    }
    if system := instructions(request.messages):
        mark: CacheControlEphemeralParam = {"type": "ephemeral"}
        block: TextBlockParam = {"type": "text", "text": system, "cache_control": mark}
        params["system"] = [block] if request.caches_instructions else system
    if request.stop:
        _require_visible(request.stop)
        params["stop_sequences"] = list(request.stop)
    if request.user:
        params["metadata"] = {"user_id": request.user}
    if request.tools:
        params["tools"] = _tools(request)
    elif called := called_tools(request.messages):  # Anthropic demands them beside calls of the past
        params["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in called]
        params["tool_choice"] = {"type": "none"}
    if choice := _tool_choice(request):
        params["tool_choice"] = choice
    if output := _output(request):
        params["output_config"] = output
    if request.reasoning_effort == "none":
        params["thinking"] = {"type": "disabled"}
    elif request.reasoning_summary is not None and not _sampling(request) and _is_free(choice):
        params["thinking"] = {"type": "adaptive", "display": "summarized"}
    return params


def _require_visible(stop: Sequence[str]) -> None:
    if blank := next((text for text in stop if not text.strip()), None):
        message = f"The model's provider does not support {blank!r} in 'stop'; use sequences with visible characters."
        raise ChatError(Code.INVALID_REQUEST, message, param="stop")


def _tools(request: ChatRequest) -> "list[ToolParam]":
    """Return the tools; of several that the request allows some of, these."""
    translated: list[ToolParam] = []
    allowed = _allowed(request)
    for position, tool in enumerate(request.tools):
        function = _converted(tool, Tool, f"tools[{position}]").function
        if allowed is not None and function.name not in allowed.names:
            continue
        param: ToolParam = {"name": function.name, "input_schema": {"type": "object", **function.parameters}}
        if function.description is not None:
            param["description"] = function.description
        if function.strict is not None:
            param["strict"] = function.strict
        translated.append(param)
    return translated


def _allowed(request: ChatRequest) -> "_Allowed | None":
    """Return which tools the request allows, None when it allows all."""
    choice = request.tool_choice
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    return _converted(choice.get("allowed_tools"), _Allowed, "tool_choice")


def _tool_choice(request: ChatRequest) -> "ToolChoiceParam | None":
    one_at_a_time = request.parallel_tool_calls is False
    allowed = _allowed(request)
    match allowed.mode if allowed else request.tool_choice:
        case "none":
            return {"type": "none"}
        case None | "auto":
            chosen = request.tool_choice is not None or (one_at_a_time and request.tools)
            return {"type": "auto", "disable_parallel_tool_use": one_at_a_time} if chosen else None
        case "required":
            return {"type": "any", "disable_parallel_tool_use": one_at_a_time}
        case function:
            name = _converted(function, Chosen, "tool_choice").function.name
            return {"type": "tool", "name": name, "disable_parallel_tool_use": one_at_a_time}


def _is_free(choice: "ToolChoiceParam | None") -> bool:
    """Return whether the model need not call a tool: only then may it be requested to think."""
    return choice is None or choice["type"] in ("auto", "none")


def _output(request: ChatRequest) -> "OutputConfigParam":
    output: OutputConfigParam = {}
    effort = "low" if request.reasoning_effort == "minimal" else request.reasoning_effort
    if effort not in (None, "none"):
        output["effort"] = _converted({"effort": effort}, Effort, "reasoning_effort").effort
    if request.response_format is not None:
        wanted = _converted(request.response_format, Format, "response_format")
        if wanted.json_schema is not None:
            output["format"] = {"type": "json_schema", "schema": wanted.json_schema.definition}
    return output


def _converted(value: object, wanted: type[_T], where: str) -> _T:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        message = f"The model's provider does not support this value of '{where}': {error}."
        raise ChatError(Code.INVALID_REQUEST, message, param=where) from error
