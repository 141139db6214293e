"""Translates requests from OpenAI's terms into those of Bedrock's Converse. Pure.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. What would change the answer and has
no counterpart is rejected. Fields that only Converse has, such as `additionalModelRequestFields`, are sent as they are.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.typed_fields import Chosen, Effort, Format, Tool
from chatfleet_api.providers.vendors.anthropic.conversation import called_tools
from chatfleet_api.providers.vendors.bedrock.cache_points import CachePoints
from chatfleet_api.providers.vendors.bedrock.conversation import system, turns
from chatfleet_api.providers.vendors.bedrock.documents import Documents, documents_of, marked, marks_of
from chatfleet_contract.spec.providers import Compatibility

OWN_FIELDS: Final = frozenset(
    {
        "additionalModelRequestFields",
        "guardrailConfig",
        "performanceConfig",
        "projectIdentifier",
        "promptVariables",
        "requestMetadata",
        "serviceTier",
    }
)
"""Fields of Converse that a client may send beside those of its own dialect."""

_T = TypeVar("_T")
_Object = dict[str, Any]
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def body(request: ChatRequest, compatibility: Compatibility = Compatibility()) -> bytes:  # noqa: ARG001, B008  # frozen
    """Return the request in the terms of Converse, whose path decides whether it streams.

    Raises `ChatError(INVALID_REQUEST)`, with the field, for what Converse does not have.
    """
    documents = documents_of(request)
    own = _own_fields(request, documents)
    _require_counterparts(request)
    translated = _input(request, documents)
    if inference := _inference(request):
        translated["inferenceConfig"] = inference
    if output := _output(request):
        translated["outputConfig"] = output
    try:
        return msgspec.json.encode(translated | own)
    except RecursionError as error:
        raise ChatError(Code.INVALID_REQUEST, "The JSON nests too deeply; use fewer levels.") from error


def _input(request: ChatRequest, documents: Documents) -> _Object:
    """Return the conversation and its tools."""
    points = CachePoints(request)
    messages = points.marked(marked(request.messages, documents))
    translated: _Object = {"messages": turns(messages, request.model, marks_of(documents) | points.marks)}
    if instructions := system(messages):
        translated["system"] = [*instructions, points.system] if points.system else instructions
    if tools := _tool_config(request):
        for index, point in reversed(points.tools.items()):
            tools["tools"].insert(index + 1, point)
        translated["toolConfig"] = tools
    return translated


def _own_fields(request: ChatRequest, documents: Documents) -> dict[str, msgspec.Raw]:
    """Return the fields of Converse in the client's body; raise for the first other part that has no counterpart."""
    if request.sent is None or not request.sent.untranslated:
        return {}
    for part in request.sent.untranslated:
        if part.param not in OWN_FIELDS and part.param not in documents:
            raise ChatError(Code.INVALID_REQUEST, part.message, param=part.param)
    return {name: value for name, value in _fields(request.sent.body).items() if name in OWN_FIELDS}


def _require_counterparts(request: ChatRequest) -> None:
    """Raise for a parameter that changes the answer and does not exist here."""
    for name in ("seed", "presence_penalty", "frequency_penalty"):
        if getattr(request, name):
            raise _unsupported(name, "omit it, or send the model's own in additionalModelRequestFields")
    if request.parallel_tool_calls is False and request.tools:
        raise _unsupported("parallel_tool_calls", "omit it")
    if request.tool_choice == "none" and called_tools(request.messages):
        raise _unsupported("tool_choice", "after tool calls, use auto instead of none")


def _inference(request: ChatRequest) -> _Object:
    values = {
        "maxTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": list(request.stop) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _tool_config(request: ChatRequest) -> _Object:
    if request.tool_choice == "none" and not called_tools(request.messages):
        return {}
    if not request.tools:  # Converse demands them beside calls of the past
        called = [_spec({"name": name, "inputSchema": _EMPTY}) for name in called_tools(request.messages)]
        return {"tools": called} if called else {}
    config: _Object = {"tools": _tools(request.tools)}
    match request.tool_choice:
        case None:
            pass
        case "auto":
            config["toolChoice"] = {"auto": {}}
        case "required":
            config["toolChoice"] = {"any": {}}
        case chosen:
            config["toolChoice"] = {"tool": {"name": _converted(chosen, Chosen, "tool_choice").function.name}}
    return config


_EMPTY: Final = {"json": {"type": "object"}}


def _tools(tools: Sequence[_Object]) -> list[_Object]:
    translated = []
    for position, tool in enumerate(tools):
        function = _converted(tool, Tool, f"tools[{position}]").function
        spec: _Object = {"name": function.name, "inputSchema": {"json": {"type": "object", **function.parameters}}}
        if function.description:
            spec["description"] = function.description
        if function.strict is not None:
            spec["strict"] = function.strict
        translated.append(_spec(spec))
    return translated


def _spec(spec: _Object) -> _Object:
    return {"toolSpec": spec}


def _output(request: ChatRequest) -> _Object:
    output: _Object = {}
    effort = "low" if request.reasoning_effort == "minimal" else request.reasoning_effort
    if effort is not None:
        output["effort"] = _converted({"effort": effort}, Effort, "reasoning_effort").effort
    if request.response_format is not None:
        schema = _converted(request.response_format, Format, "response_format").json_schema
        if schema is not None:
            named = {"name": schema.name, "description": schema.description}
            definition = {"schema": msgspec.json.encode(schema.definition).decode()}
            structure = definition | {name: value for name, value in named.items() if value}
            output["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": structure}}
    return output


def _converted(value: object, wanted: type[_T], where: str) -> _T:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise _unsupported(where, f"correct it: {error}") from error


def _unsupported(param: str, remedy: str) -> ChatError:
    message = f"The model's provider does not support this value of '{param}'; {remedy}."
    return ChatError(Code.INVALID_REQUEST, message, param=param)
