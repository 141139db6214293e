"""What an answer has beside the common terms, put into the chunks and the completion that a client gets.

`Extended.extra` is a chunk with nothing else in it: `choices[0].delta` belongs to the message.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from chatfleet_api.domain.request import AnyToolCall

Fields: TypeAlias = dict[str, Any]

_NAMES: Final = frozenset({"id", "type", "role", "name", "index", "format"})
"""Fields of a delta whose text is not continued by the next one."""
_EMPTY: Final = {
    "index": 0,
    "message": {"role": "assistant", "content": None, "refusal": None, "annotations": []},
    "logprobs": None,
    "finish_reason": None,
}
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Extra:
    """One `extra`, taken apart."""

    __slots__ = ("choice", "delta", "others", "top")

    def __init__(self, raw: msgspec.Raw) -> None:
        self.top = _decode(raw)
        choices: list[Fields] = self.top.pop("choices", None) or [{}]
        self.choice, self.others = choices[0], choices[1:]
        """The fields of the first choice but for its delta, and the choices beside it."""
        self.delta: Fields = self.choice.pop("delta", {})

    def lasting(self) -> Fields:
        """Take out the fields that each later chunk has, too, such as the fingerprint of the system."""
        scalars = {name: value for name, value in self.top.items() if not isinstance(value, dict | list)}
        for name in scalars:
            del self.top[name]
        return scalars


def delta_with(delta: Fields, more: Fields) -> Fields:
    """Return `delta` with all that `more` has; pieces of the same tool call become one."""
    calls = {call["index"]: call for call in delta.get("tool_calls", ())}
    for call in more.get("tool_calls", ()):
        calls[call["index"]] = merged(calls.get(call["index"], {}), call)
    return {**delta, **more, **({"tool_calls": list(calls.values())} if calls else {})}


def completed(body: Fields, calls: dict[int, AnyToolCall], extras: Sequence[msgspec.Raw]) -> Fields:
    """Return a `chat.completion` with all that its chunks had beside the common terms."""
    (choice,) = body["choices"]
    message = choice["message"]
    tools: dict[int, Fields] = dict(zip(calls, message.get("tool_calls", ()), strict=True))
    others: dict[int, Fields] = {}
    for raw in extras:
        extra = Extra(raw)
        for other in extra.others:
            others[other["index"]] = _continued(others.get(other["index"], _EMPTY), other)
        for call in extra.delta.pop("tool_calls", ()):
            index = call.pop("index")
            tools[index] = merged(tools.get(index, {}), call)
        message = merged(message, extra.delta)
        choice = merged(choice, extra.choice, continues=False)
        body = {**body, **extra.top}
    if tools:
        message["tool_calls"] = [call for _, call in sorted(tools.items())]
    if not message["content"] and (tools or any(message.get(name) for name in ("refusal", "audio", "function_call"))):
        message["content"] = None
    rest = [_without_indexes(other) for _, other in sorted(others.items())]
    return {**body, "choices": [{**choice, "message": message}, *rest]}


def _continued(known: Fields, other: Fields) -> Fields:
    """Return a choice beside the first with its next piece."""
    delta = other.get("delta")
    message = merged(known["message"], delta if isinstance(delta, dict) else {})
    rest = {name: value for name, value in other.items() if name != "delta" and value is not None}
    return {**merged({**known, "message": {}}, rest, continues=False), "message": message}


def _without_indexes(choice: Fields) -> Fields:
    """Return a choice whose tool calls have the order of their numbers instead of these."""
    calls = sorted(choice["message"].get("tool_calls", ()), key=lambda call: call.get("index", 0))
    if calls:
        tools = [{name: value for name, value in call.items() if name != "index"} for call in calls]
        choice["message"]["tool_calls"] = tools
    return choice


def usage_with(ours: Fields, theirs: object) -> Fields:
    """Return the counts of the upstream with all of its details, in which ours go first."""
    if not isinstance(theirs, dict):
        return ours
    details = {
        name: {**theirs[name], **value}
        for name, value in ours.items()
        if isinstance(value, dict) and isinstance(theirs.get(name), dict)
    }
    return {**theirs, **ours, **details}


def merged(known: Fields, more: Fields, *, continues: bool = True) -> Fields:
    """Return `known` and what follows it: lists, and texts if they continue, are put together; all else is replaced."""
    result = dict(known)
    for name, value in more.items():
        before = known.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            result[name] = merged(before, value, continues=continues)
        elif isinstance(before, list) and isinstance(value, list):
            result[name] = _lists(before, value)
        elif continues and isinstance(before, str) and isinstance(value, str) and name not in _NAMES:
            result[name] = before + value
        else:
            result[name] = value
    return result


def _lists(known: list[Any], more: list[Any]) -> list[Any]:
    """Return both lists as one; objects with the same `index` are pieces of one."""
    result = list(known)
    for value in more:
        index = value.get("index") if isinstance(value, dict) else None
        at = next((at for at, each in enumerate(result) if isinstance(each, dict) and each.get("index") == index), None)
        if index is None or at is None:
            result.append(value)
        else:
            result[at] = merged(result[at], value)
    return result
