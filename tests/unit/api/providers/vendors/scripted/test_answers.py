"""What the scripts answer: calls of tools with arguments that their schemas allow, reasoning, instances of a schema."""

import json
from typing import Any

import jsonschema
import pytest

from chatfleet_api.domain.events import Piece, Reasoning, Token, ToolCall
from chatfleet_api.domain.request import ChatRequest, Function, Message, MessageToolCall
from chatfleet_api.providers.vendors.scripted.answers import Answer, answer_of
from chatfleet_api.providers.vendors.scripted.script import script_of

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (
    {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "clock"}},
)
ASKED = Message("user", "How is it?")
ORDERED = Message("user", 'First:\nclock {"tz": "CET"}\nweather {"city": "Paris"}\nradio {}\nclock {no json}')


def answer(model: str, *messages: Message, **more: Any) -> Answer:  # noqa: ANN401  # fields of the request
    return answer_of(script_of(model), ChatRequest(model, messages, **more))


def calls(pieces: Answer) -> list[tuple[str, Any]]:
    found: list[tuple[str, str]] = []
    for piece in pieces.pieces:
        assert isinstance(piece, ToolCall)
        if piece.name:
            assert piece.id
            found.append((piece.name, ""))
        name, arguments = found[piece.index]
        found[piece.index] = (name, arguments + piece.arguments)
    return [(name, json.loads(arguments)) for name, arguments in found]


def called(*ids: str) -> Message:
    return Message("assistant", tool_calls=[MessageToolCall(each, Function("clock", "{}")) for each in ids])


def text(found: Answer) -> str:
    return "".join(piece.text for piece in found.pieces if isinstance(piece, Token))


@pytest.mark.parametrize("model", ["tools", "assistant"])
def test_an_offered_tool_is_called_with_arguments_that_its_schema_allows(model: str) -> None:
    found = answer(model, ASKED, tools=TOOLS)
    ((name, arguments),) = calls(found)
    assert (name, found.reason) == ("weather", "tool_calls")
    jsonschema.validate(arguments, WEATHER)


def test_equal_requests_get_equal_calls_and_others_have_other_ids() -> None:
    first, again = answer("tools", ASKED, tools=TOOLS), answer("tools", ASKED, tools=TOOLS)
    other = answer("tools", Message("user", "And now?"), tools=TOOLS)
    assert first == again
    assert first.pieces[0] != other.pieces[0]


def test_arguments_are_the_numbers_and_the_quoted_texts_of_the_user() -> None:
    wanted = {"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer", "minimum": 2}}}
    tool = {"type": "function", "function": {"name": "order", "parameters": wanted}}
    asked = Message("user", "It's 1 order(7) of 3.5 for '你好' (call the tool)")
    assert calls(answer("tools", asked, tools=(tool,))) == [("order", {"name": "你好", "size": 7})]


def test_the_chosen_tool_is_called() -> None:
    choice = {"type": "function", "function": {"name": "clock"}}
    assert calls(answer("tools", ASKED, tools=TOOLS, tool_choice=choice)) == [("clock", {})]


def test_lines_of_the_user_name_the_calls() -> None:
    ordered = [("clock", {"tz": "CET"}), ("weather", {"city": "Paris"})]
    assert calls(answer("tools", ORDERED, tools=TOOLS)) == ordered


def test_one_at_a_time_where_no_parallel_calls_are_wanted() -> None:
    alone: dict[str, Any] = {"tools": TOOLS, "parallel_tool_calls": False}
    assert calls(answer("tools", ORDERED, **alone)) == [("clock", {"tz": "CET"})]
    noon = Message("tool", "noon", tool_call_id="a")
    assert calls(answer("tools", ORDERED, called("a"), noon, **alone)) == [("weather", {"city": "Paris"})]
    sunny = Message("tool", "sunny", tool_call_id="b")
    assert text(answer("tools", ORDERED, called("a"), noon, called("b"), sunny, **alone)) == "noon\nsunny"


def test_results_end_the_turn_whatever_else_is_written_beside_them() -> None:
    turn = [ORDERED, called("a", "b"), Message("tool", "noon", tool_call_id="a"), Message("tool", "sunny"), ASKED]
    found = answer("tools", *turn, tools=TOOLS)
    assert (text(found), found.reason) == ("noon\nsunny", "stop")


def test_the_next_question_is_a_turn_of_its_own() -> None:
    before = [ORDERED, called("a"), Message("tool", "noon"), Message("assistant", "It is noon.")]
    assert [name for name, _ in calls(answer("tools", *before, ASKED, tools=TOOLS))] == ["weather"]


@pytest.mark.parametrize("more", [{}, {"tools": TOOLS, "tool_choice": "none"}])
def test_without_a_tool_to_call_the_answer_is_an_echo(more: dict[str, Any]) -> None:
    assert text(answer("tools", ASKED, **more)) == "How is it?"


@pytest.mark.parametrize("model", ["schema", "assistant", "tools"])
def test_a_schema_gets_an_instance(model: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": WEATHER}}
    jsonschema.validate(json.loads(text(answer(model, ASKED, response_format=wanted))), WEATHER)


def test_a_json_object_is_one() -> None:
    found = text(answer("schema", ASKED, response_format={"type": "json_object"}))
    assert json.loads(found) == {"answer": "How is it?"}


def test_quoted_words_are_the_keys_of_a_json_object() -> None:
    found = text(answer("schema", Message("user", "With \"a\" and 'b'."), response_format={"type": "json_object"}))
    assert list(json.loads(found)) == ["a", "b"]


@pytest.mark.parametrize(("effort", "reasons"), [(None, False), ("none", False), ("low", True)])
def test_an_assistant_reasons_when_an_effort_is_set(effort: str | None, reasons: bool) -> None:  # noqa: FBT001
    pieces: list[Piece] = list(answer("assistant", ASKED, reasoning_effort=effort).pieces)
    assert isinstance(pieces[0], Reasoning) == reasons
    assert pieces[-3:] == [Token("How"), Token(" is"), Token(" it?")]


def test_a_text_that_was_begun_is_continued() -> None:
    assert text(answer("assistant", ASKED, Message("assistant", "How is"))) == " it?"
