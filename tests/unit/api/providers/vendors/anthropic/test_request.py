"""A request in OpenAI's terms is said in Anthropic's, or refused with the field that cannot be said."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, Function, ImagePart, ImageURL, Message, MessageToolCall, TextPart
from chatfleet_api.providers.vendors.anthropic.request import (
    API_VERSION,
    API_VERSION_WITH_SAMPLING,
    DEFAULT_MAX_TOKENS,
    body,
    version,
)

HI = (Message("user", "Hi."),)
SAID = [{"role": "user", "content": [{"type": "text", "text": "Hi."}]}]
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f"}}


def said(request: ChatRequest) -> dict[str, Any]:
    return msgspec.json.decode(body(request), type=dict[str, Any])


def more(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # the fields' own types
    """Return what `fields` add to the plainest request."""
    plain = said(ChatRequest("m", HI))
    return {name: value for name, value in said(ChatRequest("m", HI, **fields)).items() if plain.get(name) != value}


def refused(request: ChatRequest) -> tuple[Code, str | None]:
    with pytest.raises(ChatError) as caught:
        said(request)
    return caught.value.code, caught.value.param


def test_no_more_is_sent_than_was_asked() -> None:
    assert said(ChatRequest("m", HI)) == {
        "model": "m",
        "messages": SAID,
        "max_tokens": DEFAULT_MAX_TOKENS,
        "stream": True,
    }


def test_instructions_come_before_the_conversation() -> None:
    messages = (Message("system", "Be brief."), *HI, Message("developer", [TextPart("And kind.")]))
    body = said(ChatRequest("m", messages))
    assert (body["system"], body["messages"]) == ("Be brief.\n\nAnd kind.", SAID)


def test_roles_alternate_and_nothing_is_empty() -> None:
    messages = (
        Message("user", "a"),
        Message("user", [TextPart("b"), TextPart("")]),
        Message("assistant", ""),
        Message("user", "c"),
        Message("assistant", "d"),
        Message("assistant", None),
        Message("assistant", "e"),
    )
    turns = [
        (turn["role"], [part["text"] for part in turn["content"]])
        for turn in said(ChatRequest("m", messages))["messages"]
    ]
    assert turns == [("user", ["a", "b", "c"]), ("assistant", ["d", "e"])]


def test_results_of_tools_are_the_users_turn() -> None:
    calls = [MessageToolCall("1", Function("f", '{"x":1}')), MessageToolCall("2", Function("g", ""))]
    messages = (
        *HI,
        Message("assistant", "Let me see.", tool_calls=calls),
        Message("tool", "one", tool_call_id="1"),
        Message("tool", "two", tool_call_id="2"),
        Message("user", "And?"),
    )
    _, asked, answered = said(ChatRequest("m", messages))["messages"]
    assert asked["content"] == [
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "2", "name": "g", "input": {}},
    ]
    assert answered == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "one"}]},
            {"type": "tool_result", "tool_use_id": "2", "content": [{"type": "text", "text": "two"}]},
            {"type": "text", "text": "And?"},
        ],
    }


def test_images_are_sent_by_value_or_by_address() -> None:
    urls = ("data:image/webp;base64,AAAA", "https://example.com/a.png")
    messages = (Message("user", [ImagePart(ImageURL(url, "low")) for url in urls]),)
    assert [part["source"] for part in said(ChatRequest("m", messages))["messages"][0]["content"]] == [
        {"type": "base64", "media_type": "image/webp", "data": "AAAA"},
        {"type": "url", "url": "https://example.com/a.png"},
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"stop": ("a", "b")}, {"stop_sequences": ["a", "b"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"seed": 1, "presence_penalty": 1.0, "frequency_penalty": 1.0}, {}),
        ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        ({"reasoning_effort": "xhigh"}, {"output_config": {"effort": "xhigh"}}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        ({"tools": (TOOL,)}, {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
        ({"parallel_tool_calls": False}, {}),
        ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any", "disable_parallel_tool_use": False}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
            {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
        ),
    ],
)
def test_each_field_has_its_place(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert more(**fields) == expected


def test_tools_one_at_a_time_need_no_choice() -> None:
    choice = more(tools=(TOOL,), parallel_tool_calls=False)["tool_choice"]
    assert choice == {"type": "auto", "disable_parallel_tool_use": True}


def test_a_tool_keeps_its_description_schema_and_strictness() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    function = {"name": "f", "description": "d", "parameters": schema, "strict": True}
    tool = {"name": "f", "description": "d", "input_schema": schema, "strict": True}
    assert more(tools=({"type": "function", "function": function},)) == {"tools": [tool]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": (TOOL, {"type": "function"})}, "tools[1]"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"reasoning_effort": "ultra"}, "reasoning_effort"),
    ],
)
def test_what_would_change_the_answers_meaning_is_refused_by_field(fields: dict[str, Any], param: str) -> None:
    assert refused(ChatRequest("m", HI, **fields)) == (Code.INVALID_REQUEST, param)


@pytest.mark.parametrize("arguments", ["{", "[]", "7"])
def test_arguments_that_are_no_object_are_refused_by_field(arguments: str) -> None:
    call = MessageToolCall("1", Function("f", arguments))
    request = ChatRequest("m", (*HI, Message("assistant", None, tool_calls=[call])))
    assert refused(request) == (Code.INVALID_REQUEST, "messages[1].tool_calls[0].function.arguments")


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0}, {"top_p": 0.9}])
def test_the_version_is_the_newest_that_has_what_is_asked(sampling: dict[str, float]) -> None:
    headers = version(ChatRequest("m", HI, **sampling))  # type: ignore[arg-type]
    assert headers == {"anthropic-version": API_VERSION_WITH_SAMPLING if sampling else API_VERSION}
