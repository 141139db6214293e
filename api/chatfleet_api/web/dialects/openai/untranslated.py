"""What a chat completion requests beyond the common terms: found, named, and left to upstreams of the dialect.

An upstream of another dialect rejects the request with the first of them. Parts that change no answer are no loss
there: hints to a cache, labels, and the reasoning and signatures of an earlier answer, which belong to its own vendor.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from chatfleet_api.domain.request import Untranslated
from chatfleet_api.web.body import decode_body
from chatfleet_api.web.dialects.openai.body import (
    CalledFunction,
    ChatCompletionBody,
    ChatMessage,
    FunctionDefinition,
    ImageContent,
    ImageLocation,
    RefusalPart,
    StreamOptions,
    TextContent,
    Tool,
    ToolCallBody,
)
from chatfleet_api.web.supported import LOG_PROBABILITIES, PADDING, SERVICE_TIER, Supported, unsupported

NEUTRAL: Final = (
    Supported("n", (1,), "Only one choice is supported. Omit 'n' or set it to 1."),
    Supported("logprobs", (False,), "Log probabilities are not supported. Omit 'logprobs'."),
    LOG_PROBABILITIES,
    Supported(
        "store",
        (False,),
        "Chat completions are not stored. Omit 'store', or use a conversation (/api/v1/conversations).",
    ),
    SERVICE_TIER,
    PADDING,
    Supported("verbosity", ("medium",), "Omit 'verbosity', and request the length in a message."),
    Supported("modalities", (["text"],), "Only text output is supported. Omit 'modalities' or set it to [\"text\"]."),
    Supported("audio", (), "Only text output is supported. Omit 'audio'."),
    Supported("functions", ([],), "Use 'tools' instead of 'functions'."),
    Supported("function_call", ("none", "auto"), "Use 'tool_choice' instead of 'function_call'."),
    Supported("logit_bias", ({},), "Omit 'logit_bias'."),
    Supported("moderation", (), "Omit 'moderation'."),
    Supported("prediction", (), "Omit 'prediction'."),
    Supported("web_search_options", (), "Web search is not supported. Omit 'web_search_options'."),
)
"""Parameters and the values of them that request what every upstream does anyway."""

_JSON: Final = msgspec.json.Decoder(Any)
_Object: TypeAlias = dict[str, Any]
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_FORMATS: Final = frozenset({"text", "json_object", "json_schema"})
_PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "text": TextContent,
    "image_url": ImageContent,
    "refusal": RefusalPart,
}
_OF_EARLIER_ANSWERS: Final = frozenset({"reasoning", "reasoning_details", "extra_content"})
_HINTS: Final = frozenset({"prompt_cache_breakpoint", "cache_control"})
_NO_PART: Final = {"type": "text", "text": ""}
_NO_TOOL: Final = {"type": "function", "function": {"name": "none"}}


def values_beyond(body: ChatCompletionBody) -> Iterator[Untranslated]:
    """Yield the parameters of a body in the common terms whose values are not."""
    yield from (Untranslated(error.param or "", error.message) for error in unsupported(body, NEUTRAL))
    for index, message in enumerate(body.messages):
        for name in ("audio", "function_call"):
            if getattr(message, name) is not None:
                yield _foreign(f"messages[{index}].{name}", "Use text and tool_calls.")


def common_part(raw: bytes) -> tuple[Any, list[Untranslated]]:
    """Return the body without what the common terms do not have, which is named; what it stands in keeps its place."""
    sent: object = decode_body(raw, _JSON)
    found: list[Untranslated] = []
    if not isinstance(sent, dict):
        return sent, found
    body = _known(_with_effort(sent), ChatCompletionBody, "", found)
    _replace_values(body, found)
    for name, check in (("messages", _message), ("tools", _tool)):
        if isinstance(body.get(name), list):
            body[name] = [
                check(each, f"{name}[{index}]", found) if isinstance(each, dict) else each
                for index, each in enumerate(body[name])
            ]
    if isinstance(body.get("stream_options"), dict):
        body["stream_options"] = _known(body["stream_options"], StreamOptions, "stream_options", found)
    return body, found


def _with_effort(body: _Object) -> _Object:
    """Return the body with `reasoning`, as compatible servers have it, in the vendor's own term.

    A summary needs no request: a provider that shows its reasoning does so always.
    """
    reasoning = body.get("reasoning")
    if not isinstance(reasoning, dict) or not reasoning.keys() <= {"effort", "summary"}:
        return body
    rest = {name: value for name, value in body.items() if name != "reasoning"}
    effort = reasoning.get("effort") if rest.get("reasoning_effort") is None else None
    return rest if effort is None else rest | {"reasoning_effort": effort}


def _replace_values(body: _Object, found: list[Untranslated]) -> None:
    """Take out values of parameters which have others in the common terms."""
    checks: dict[str, Callable[[Any], bool]] = {
        "reasoning_effort": lambda value: isinstance(value, str) and value not in _EFFORTS,
        "response_format": lambda value: _type(value) not in (None, *_FORMATS),
        "tool_choice": lambda value: _type(value) not in (None, "function"),
    }
    for name, is_beyond in checks.items():
        if is_beyond(body.get(name)):
            found.append(_foreign(name))
            body[name] = None


def _message(message: _Object, where: str, found: list[Untranslated]) -> _Object:
    role = message.get("role")
    if isinstance(role, str) and role == "function":
        found.append(_foreign(f"{where}.role", "Use the role 'tool'."))
        return {"role": "user", "content": ""}
    message = _known(message, ChatMessage, where, found)
    if isinstance(content := message.get("content"), list):
        message["content"] = [_part(part, f"{where}.content[{at}]", found) for at, part in enumerate(content)]
    if isinstance(calls := message.get("tool_calls"), list):
        message["tool_calls"] = [_call(call, f"{where}.tool_calls[{at}]", found) for at, call in enumerate(calls)]
    return message


def _part(part: Any, where: str, found: list[Untranslated]) -> Any:  # noqa: ANN401  # any JSON value
    kind = _type(part)
    if kind is None:
        return part
    if kind not in _PARTS:
        found.append(_foreign(where, "Send text or images."))
        return _NO_PART
    part = _known(part, _PARTS[kind], where, found, ("type",))
    if isinstance(image := part.get("image_url"), dict):
        part["image_url"] = _known(image, ImageLocation, f"{where}.image_url", found)
    return part


def _call(call: Any, where: str, found: list[Untranslated]) -> Any:  # noqa: ANN401  # any JSON value
    kind = _type(call)
    if kind not in (None, "function"):
        found.append(_foreign(where, "Use calls of functions."))
        return {"id": str(call.get("id", "")), "type": "function", "function": {"name": "none", "arguments": ""}}
    if kind is None:
        return call
    return _nested(_known(call, ToolCallBody, where, found, ("type",)), CalledFunction, where, found)


def _tool(tool: _Object, where: str, found: list[Untranslated]) -> _Object:
    kind = _type(tool)
    if kind is None:
        return tool
    if kind != "function":
        found.append(_foreign(where, "Use tools of type 'function'."))
        return _NO_TOOL
    return _nested(_known(tool, Tool, where, found, ("type",)), FunctionDefinition, where, found)


def _nested(outer: _Object, kind: type[msgspec.Struct], where: str, found: list[Untranslated]) -> _Object:
    if isinstance(outer.get("function"), dict):
        outer["function"] = _known(outer["function"], kind, f"{where}.function", found)
    return outer


def _known(
    fields: _Object, kind: type[msgspec.Struct], where: str, found: list[Untranslated], more: Collection[str] = ()
) -> _Object:
    """Return the fields that `kind` has; name the others, unless they are null or change no answer."""
    known = {*kind.__struct_fields__, *more}
    for name, value in fields.items():
        harmless = value is None or name in _HINTS or (where and name in _OF_EARLIER_ANSWERS)
        if name not in known and not harmless:
            found.append(_foreign(f"{where}.{name}".removeprefix("."), "Remove it."))
    return {name: value for name, value in fields.items() if name in known}


def _type(value: object) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else None


def _foreign(param: str, remedy: str = "Omit it.") -> Untranslated:
    param = param[:_SHOWN]
    return Untranslated(param, f"Unsupported value: '{param}', which the model's provider does not have. {remedy}")


_SHOWN: Final = 200
