"""A character whose halves come in two pieces of an answer is one character, in the terms of both vendors."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Delta, Extended, Reasoning, Token, ToolCall
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendor import StreamParser
from chatfleet_api.providers.vendors.anthropic.stream import MessageParser
from chatfleet_api.providers.vendors.openai.stream import CompletionParser

REQUEST = ChatRequest("m", (Message("user", "Hi."),))
SMILE = "\N{GRINNING FACE}"
FIRST, SECOND = "\ud83d", "\ude00"
LOST = "\N{REPLACEMENT CHARACTER}"
MESSAGE_START: dict[str, Any] = {"type": "message_start", "message": {}}
MESSAGE_END: list[dict[str, Any]] = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    {"type": "message_stop"},
]


def openai(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": delta, "finish_reason": reason}]}


def openai_call(index: int, text: str, **identity: str) -> dict[str, Any]:
    function = {"arguments": text} | ({"name": "f"} if identity else {})
    return openai({"tool_calls": [{"index": index, "function": function, **identity}]})


def anthropic(kind: str, field: str, text: str, index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: text}}


def anthropic_call(index: int) -> dict[str, Any]:
    return {
        "type": "content_block_start",
        "index": index,
        "content_block": {"type": "tool_use", "id": f"t{index}", "name": "f"},
    }


def read(parser: StreamParser, events: list[dict[str, Any]]) -> list[Delta]:
    """Return what the events bring, which clients can be sent."""
    items = list[StreamItem]()
    for event in events:
        parser.read(json.dumps(event).encode(), items)
    deltas = [item for item in items if not isinstance(item, Finish)]
    assert all(_text(item).isprintable() and _text(item).encode() is not None for item in deltas)
    return deltas


def from_openai(*chunks: dict[str, Any]) -> list[Delta]:
    return read(CompletionParser(REQUEST), [*chunks, openai({}, "stop")])


def from_anthropic(*events: dict[str, Any]) -> list[Delta]:
    return read(MessageParser(REQUEST), [MESSAGE_START, *events, *MESSAGE_END])


def _text(item: Delta) -> str:
    assert not isinstance(item, Extended)
    return item.arguments if isinstance(item, ToolCall) else item.text


def content(*texts: str) -> list[Delta]:
    return from_openai(*(openai({"content": text}) for text in texts))


def text_delta(*texts: str) -> list[Delta]:
    return from_anthropic(*(anthropic("text_delta", "text", text) for text in texts))


def reasoning_content(*texts: str) -> list[Delta]:
    return from_openai(*(openai({"reasoning_content": text}) for text in texts))


def thinking_delta(*texts: str) -> list[Delta]:
    return from_anthropic(*(anthropic("thinking_delta", "thinking", text) for text in texts))


def function_arguments(*texts: str) -> list[Delta]:
    return from_openai(openai_call(0, "", id="t0"), *(openai_call(0, text) for text in texts))


def partial_json(*texts: str) -> list[Delta]:
    deltas = (anthropic("input_json_delta", "partial_json", text) for text in texts)
    return from_anthropic(anthropic_call(0), *deltas)


FIELDS = pytest.mark.parametrize(
    "answer", [content, text_delta, reasoning_content, thinking_delta, function_arguments, partial_json]
)


@FIELDS
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((FIRST, SECOND), SMILE),
        (("a" + FIRST, SECOND + "b"), f"a{SMILE}b"),
        ((FIRST, "", SECOND), SMILE),
        ((FIRST, SECOND + FIRST, SECOND), SMILE * 2),
        (("a" + FIRST,), "a" + LOST),
        ((FIRST, "b"), LOST + "b"),
        ((FIRST, FIRST, SECOND), LOST + SMILE),
        ((SECOND, "b"), LOST + "b"),
        (("a", FIRST, SECOND, "b"), f"a{SMILE}b"),
    ],
    ids=[
        "halves",
        "within text",
        "something empty between",
        "two",
        "at the end",
        "before text",
        "twice",
        "2nd",
        "fast",
    ],
)
def test_halves_are_one_character_and_half_a_character_is_replaced_once(
    answer: Callable[..., list[Delta]], texts: tuple[str, ...], expected: str
) -> None:
    assert "".join(map(_text, answer(*texts))) == expected


def test_calls_that_take_turns_keep_their_characters_apart() -> None:
    turns = [(0, FIRST), (1, "x" + FIRST), (0, SECOND), (1, SECOND)]
    begun = [openai_call(index, "", id=f"t{index}") for index in range(2)]
    blocks = [anthropic_call(index) for index in range(2)]
    pieces = [anthropic("input_json_delta", "partial_json", text, index) for index, text in turns]
    for deltas in (
        from_openai(*begun, *(openai_call(index, text) for index, text in turns)),
        from_anthropic(*blocks, *pieces),
    ):
        arguments = ["", ""]
        for delta in deltas:
            assert isinstance(delta, ToolCall)
            arguments[delta.index] += delta.arguments
        assert arguments == [SMILE, "x" + SMILE]


def test_a_half_does_not_wait_behind_another_kind_of_output() -> None:
    expected = [Reasoning(LOST), Token("a")]
    assert from_openai(openai({"reasoning_content": FIRST}), openai({"content": "a"})) == expected
    thought = anthropic("thinking_delta", "thinking", FIRST)
    assert from_anthropic(thought, anthropic("text_delta", "text", "a")) == expected


def test_a_call_that_is_held_back_for_its_id_is_whole() -> None:
    held = [{"index": 0, "function": {"name": "f", "arguments": text}} for text in ('{"x":"' + FIRST, SECOND + '"}')]
    (call,) = from_openai(*(openai({"tool_calls": [piece]}) for piece in held))
    assert _text(call) == f'{{"x":"{SMILE}"}}'


def test_the_text_before_a_failure_is_whole() -> None:
    parser, items = CompletionParser(REQUEST), list[StreamItem]()
    with pytest.raises(ChatError):
        parser.read(json.dumps(openai({"content": "a" + SECOND}, "abort")).encode(), items)
    assert items == [Token("a" + LOST)]


def test_names_have_whole_characters() -> None:
    call = {"index": 0, "id": "i" + FIRST, "function": {"name": "n" + FIRST, "arguments": "{}"}}
    (piece,) = from_openai(openai({"tool_calls": [call]}))
    assert piece == ToolCall(0, "i" + LOST, "n" + LOST, "{}")
