"""What a script answers to a request: text, reasoning, tool calls, JSON. Pure; equal requests get equal answers."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, takewhile
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from chatfleet_api.domain.events import FinishReason, Piece, Reasoning, Token, ToolCall
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.vendors.scripted.instances import Named, instance_of
from chatfleet_api.providers.vendors.scripted.router import route
from chatfleet_api.providers.vendors.scripted.script import Script

WORD: Final = re.compile(r"\s*\S+")
"""A token."""

_CALL: Final = re.compile(r"^\s*([A-Za-z0-9_.-]{1,128})\s+(\{.*\})\s*$", re.MULTILINE)
"""A line of the user's that names a tool and its arguments."""
_NUMBER: Final = re.compile(r"(?<![\w.])-?\d{1,12}(?:\.\d{1,6})?(?![\w.]\w)")
_QUOTED: Final = re.compile(r"(?<!\w)['\"]([^'\"\n]{1,60})['\"](?!\w)")
_REFUSAL: Final = "I cannot help with that."
_STORY: Final = (
    "A ship's radio operator kept a notebook in which she wrote down every word that came through the static, "
    "each with its number. One night the lightning took her set in the middle of a message. The captain of the "
    "ship behind had heard the same call, and had numbered it as she did; so when her lamp blinked over to him "
    "asking for everything after word forty-one, he read her the rest, and not one word twice. In the morning "
    "both notebooks said the same thing. The harbour master, who had sent the message, never learned that "
    "anything had happened at all, and that, she said later, pouring the coffee, is what a good night's work "
    "looks like."
)


class Answer(NamedTuple):
    """A whole answer. Each piece is a token."""

    pieces: Sequence[Piece]
    reason: FinishReason = "stop"


class _Called(NamedTuple):
    name: str
    arguments: str


def answer_of(script: Script, request: ChatRequest) -> Answer:
    """Return what `script` answers to `request`."""
    return _ANSWERS[script.answer](script, request)


def text_of(message: Message) -> str:
    parts = message.content or ""
    return parts if isinstance(parts, str) else " ".join(getattr(part, "text", "") for part in parts)


def _count(script: Script, request: ChatRequest) -> Answer:
    return _text([f" {number}" if number > 1 else "1" for number in range(1, script.last + 1)], request)


def _echo(_: Script, request: ChatRequest) -> Answer:
    return _text(WORD.findall(_last_words(request.messages)), request)


def _story(_: Script, request: ChatRequest) -> Answer:
    return _text(WORD.findall(_STORY), request)


def _refuse(_: Script, request: ChatRequest) -> Answer:
    return _text(WORD.findall(_REFUSAL), request, "content_filter")


def _reason(script: Script, request: ChatRequest) -> Answer:
    return _after_reasoning(request, _echo(script, request))


def _schema(script: Script, request: ChatRequest) -> Answer:
    """Return an instance of the schema that the request has; an echo when it has none."""
    wanted = request.response_format or {}
    match wanted.get("type"):
        case "json_schema":
            value = instance_of((wanted.get("json_schema") or {}).get("schema"), _seed(request), _named(request))
        case "json_object":
            words = _last_words(request.messages)
            value = dict.fromkeys(_QUOTED.findall(words) or ("answer",), words)
        case _:
            return _echo(script, request)
    return _text(WORD.findall(json.dumps(value, ensure_ascii=False)), request)


def _tools(script: Script, request: ChatRequest) -> Answer:
    """Return the next tool calls of the turn; when it has none, what the tools returned, or an echo."""
    turn = _turn(_without_beginning(request.messages))
    results = [text_of(message) for message in turn if message.role == "tool"]
    calls = _calls(request, turn)
    due = calls[len(results) :][:1] if request.parallel_tool_calls is False else calls if not results else []
    if due:
        return Answer([*_called(due, _seed(request))], "tool_calls")
    if results and not request.response_format:
        return _text(WORD.findall("\n".join(results)), request)
    return _schema(script, request)


def _instructions(_: Script, request: ChatRequest) -> Answer:
    return _text(WORD.findall(_system(request)), request)


def _router(script: Script, request: ChatRequest) -> Answer:
    """Return the agent that a routing request is after; an echo of any other request."""
    chosen = route(request, _system(request), _last_words(request.messages))
    return _echo(script, request) if chosen is None else _text(WORD.findall(json.dumps(chosen)), request)


def _assistant(script: Script, request: ChatRequest) -> Answer:
    answer = _tools(script, request)
    return answer if request.reasoning_effort in (None, "none") else _after_reasoning(request, answer)


_ANSWERS: Final[Mapping[str, Callable[[Script, ChatRequest], Answer]]] = MappingProxyType(
    {
        "assistant": _assistant,
        "count": _count,
        "echo": _echo,
        "instructions": _instructions,
        "reason": _reason,
        "refuse": _refuse,
        "router": _router,
        "schema": _schema,
        "story": _story,
        "tools": _tools,
    }
)


def _text(tokens: Sequence[str], request: ChatRequest, reason: FinishReason = "stop") -> Answer:
    """Return an answer of text, without what the last message has of it already."""
    sent = _already_sent(tokens, request.messages[-1]) if request.messages else 0
    return Answer([Token(token) for token in tokens[sent:]], reason)


def _after_reasoning(request: ChatRequest, answer: Answer) -> Answer:
    words = WORD.findall(f"The user wrote: {_last_words(request.messages)}")
    return Answer([*map(Reasoning, words), *answer.pieces], answer.reason)


def _called(calls: Sequence[_Called], seed: str) -> Iterator[ToolCall]:
    """Yield calls in pieces: first the name, then the arguments, word by word."""
    for index, call in enumerate(calls):
        yield ToolCall(index, f"call_{seed[:22]}{index:02d}", call.name)
        for piece in WORD.findall(call.arguments):
            yield ToolCall(index, arguments=piece)


def _calls(request: ChatRequest, turn: Sequence[Message]) -> list[_Called]:
    """Return the calls of a turn: those that the user's lines name, else one of the tool that is chosen."""
    offered: dict[str, Any] = {}
    for tool in request.tools:
        function = tool.get("function") or {}
        offered[str(function.get("name"))] = function.get("parameters") or {"type": "object"}
    if not offered or request.tool_choice == "none":
        return []
    lines = [line for message in turn if message.role == "user" for line in _CALL.findall(text_of(message))]
    named = [_Called(name, arguments) for name, arguments in lines if name in offered and _is_json(arguments)]
    if named:
        return named
    chosen = _chosen(request.tool_choice)
    name = chosen if chosen in offered else next(iter(offered))
    value = instance_of(offered[name], _seed(request), _named(request))
    return [_Called(name, json.dumps(value if isinstance(value, dict) else {}, ensure_ascii=False))]


def _chosen(choice: str | dict[str, Any] | None) -> str | None:
    function = choice.get("function") if isinstance(choice, dict) else None
    return str(function.get("name")) if isinstance(function, dict) else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _without_beginning(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages without the beginning of the answer that is to be continued."""
    begun = messages and messages[-1].role == "assistant" and not messages[-1].tool_calls
    return messages[:-1] if begun else messages


def _turn(messages: Sequence[Message]) -> list[Message]:
    """Return the messages since the last answer that was not a tool call."""
    ends = takewhile(lambda message: message.role != "assistant" or message.tool_calls, reversed(messages))
    return list(ends)[::-1]


def _already_sent(tokens: Sequence[str], last: Message) -> int:
    """Return how many of `tokens` are in the assistant's message `last`."""
    sent = text_of(last) if last.role == "assistant" else ""
    ends = accumulate(map(len, tokens))
    number = next((number for number, end in enumerate(ends, 1) if end >= len(sent)), 0) if sent else 0
    return number if "".join(tokens[:number]) == sent else 0


def _last_words(messages: Sequence[Message]) -> str:
    return next((text_of(message) for message in reversed(messages) if message.role == "user"), "")


def _system(request: ChatRequest) -> str:
    return "\n".join(text_of(message) for message in request.messages if message.role in {"system", "developer"})


def _named(request: ChatRequest) -> Named:
    """Return the numbers and the quoted texts of the last user message."""
    words = _last_words(request.messages)
    return Named([float(number) for number in _NUMBER.findall(words)], _QUOTED.findall(words))


def _seed(request: ChatRequest) -> str:
    """Return what equal requests have in common, in hexadecimal digits."""
    given = [request.model, request.seed, request.messages]
    return hashlib.blake2b(msgspec.json.encode(given), digest_size=16).hexdigest()
