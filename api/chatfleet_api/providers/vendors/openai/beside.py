"""What a choice has beside the common terms. Pure."""

from typing import Any, Final, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.finish_reasons import UNFINISHED, finish_reason
from chatfleet_api.providers.upstream_errors import clean
from chatfleet_api.providers.vendors.openai.tool_calls import ToolCalls

Fields: TypeAlias = dict[str, Any]

_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "text"})
_DELTA: Final = frozenset({"role", "content", "tool_calls", "reasoning_content", "reasoning", "function_call"})
_CALL: Final = frozenset({"index", "id", "type", "function"})
_FUNCTION: Final = frozenset({"name", "arguments"})


class OtherChoices:
    """The choices beside the first, which are passed on as they come."""

    __slots__ = ("_awaited", "are_open")

    def __init__(self, number: int) -> None:
        """Expect `number` choices in all; servers that know no `n` send one."""
        self._awaited = set(range(1, number))
        self.are_open: set[int] = set()
        """Numbers of those that have begun and not ended."""

    def __bool__(self) -> bool:
        """Return whether some are expected that have not ended."""
        return bool(self._awaited or self.are_open)

    def taken_from(self, fields: Fields) -> list[Fields]:
        """Take them out of a chunk; raise `ChatError(UPSTREAM_TRUNCATED)` for one that ends for no known reason."""
        choices = fields.get("choices")
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            return []
        others = [_as_delta(choice) for choice in choices if choice.get("index")]
        fields["choices"] = [choice for choice in choices if not choice.get("index")]
        for choice in others:
            self.are_open.add(choice["index"])
            if isinstance(word := choice.get("finish_reason"), str):
                if finish_reason(word) is None and word.lower() not in UNFINISHED:
                    raise ChatError(Code.UPSTREAM_TRUNCATED, detail=f"a choice ended with {clean(word)}")
                self.are_open.discard(choice["index"])
                self._awaited.discard(choice["index"])
        return others


def first_choice(fields: Fields) -> Fields | None:
    """Return the answer in a chunk, in which a whole message becomes a delta."""
    choices = fields.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return _as_delta(choice) if isinstance(choice, dict) else None


def _as_delta(choice: Fields) -> Fields:
    if isinstance(message := choice.get("message"), dict) and not choice.get("delta"):
        del choice["message"]
        choice["delta"] = message
    return choice


def in_their_own_form(choice: Fields, calls: ToolCalls, *, old_form: bool) -> Fields:
    """Return what a choice has beside the common terms; take out what these have in another form."""
    moved = {name: value for name, value in choice.items() if name not in _CHOICE and value is not None}
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return moved
    more = {name: value for name, value in delta.items() if name not in _DELTA and value is not None}
    if delta.get("reasoning_content") and delta.get("reasoning"):
        more["reasoning"] = delta["reasoning"]
    if "refusal" in more and isinstance(more["refusal"], str):
        del delta["refusal"]
    if delta.get("function_call") and old_form:
        more["function_call"] = delta.pop("function_call")
    if isinstance(pieces := delta.get("tool_calls"), list) and (others := list(filter(_is_other, pieces))):
        delta["tool_calls"] = [call for call in pieces if not _is_other(call)]
        more["tool_calls"] = [{**call, "index": calls.reserved(call.get("index"))} for call in others]
    return {**moved, "delta": more} if more else moved


def add_to_calls(extra: Fields, choice: Fields, known: ToolCalls) -> None:
    """Add to `extra` what pieces of tool calls have beside the common terms, by the numbers that clients get."""
    delta = choice.get("delta")
    calls = delta.get("tool_calls") if isinstance(delta, dict) else None
    more = [found for call in calls if (found := _beside_call(call, known))] if isinstance(calls, list) else []
    if more:
        (first, *_) = extra.setdefault("choices", [{}])
        own = first.setdefault("delta", {})
        own["tool_calls"] = [*own.get("tool_calls", ()), *more]


def _beside_call(call: object, known: ToolCalls) -> Fields | None:
    if not isinstance(call, dict):
        return None
    more = {name: value for name, value in call.items() if name not in _CALL and value is not None}
    if isinstance(function := call.get("function"), dict):
        inner = {name: value for name, value in function.items() if name not in _FUNCTION and value is not None}
        more |= {"function": inner} if inner else {}
    return {"index": known.number(call.get("id"), call.get("index")), **more} if more else None


def _is_other(call: object) -> bool:
    """Return whether a piece belongs to a call of something else than a function."""
    return isinstance(call, dict) and ("custom" in call or call.get("type") not in (None, "", "function"))
