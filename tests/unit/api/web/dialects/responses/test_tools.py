"""Tools of a response become those of a chat completion; what only the dialect has is named."""

from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import CHAT, RESPONSES
from chatfleet_api.web.dialects.responses.tools import read_tools, shown_tools

ADD = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": True, "description": "Adds."}
LARK = {"syntax": "lark", "definition": "start: /a+/"}
RUN = {"type": "custom", "name": "run", "format": {"type": "grammar", **LARK}}


def test_functions_and_custom_tools_are_those_of_chat_completions() -> None:
    read = read_tools([ADD, RUN, {"type": "custom", "name": "free", "format": {"type": "text"}}], "required")
    assert read.tools == (
        {"type": "function", "function": {name: value for name, value in ADD.items() if name != "type"}},
        {"type": "custom", "custom": {"name": "run", "format": {"type": "grammar", "grammar": LARK}}},
        {"type": "custom", "custom": {"name": "free", "format": {"type": "text"}}},
    )
    assert read.choice == "required"
    assert [part.param for part in read.untranslated] == ["tools[1]", "tools[2]"]
    assert {part.known_to for part in read.untranslated} == {(CHAT, RESPONSES)}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "function", "name": "add"}, {"type": "function", "function": {"name": "add"}}),
        ({"type": "custom", "name": "run"}, {"type": "custom", "custom": {"name": "run"}}),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "add"}]},
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "add"}}]},
            },
        ),
        ("auto", "auto"),
        (None, None),
    ],
)
def test_a_choice_is_that_of_chat_completions(choice: Any, expected: Any) -> None:  # noqa: ANN401  # any JSON
    assert read_tools([ADD, RUN], choice).choice == expected


@pytest.mark.parametrize(
    "kind",
    ["web_search", "file_search", "computer", "code_interpreter", "mcp", "image_generation", "shell", "namespace", "x"],
)
def test_a_tool_of_the_vendor_is_named_for_other_upstreams(kind: str) -> None:
    (part,) = read_tools([{"type": kind, "of_its_own": 1}], None).untranslated
    assert (part.param, part.known_to) == ("tools[0]", ())
    assert f"type '{kind}'" in part.message


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        ([{"type": "function"}], None, "tools[0].name"),
        (
            [ADD, {"type": "custom", "name": "a", "format": {"type": "grammar", "syntax": "abnf"}}],
            None,
            "tools[1].format",
        ),
        ([ADD], {"type": "function"}, "tool_choice.name"),
        ([ADD], {"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
    ],
)
def test_a_tool_in_a_wrong_form_is_refused_by_field(tools: list[Any], choice: Any, param: str) -> None:  # noqa: ANN401  # any JSON
    with pytest.raises(ChatError) as caught:
        read_tools(tools, choice)
    assert caught.value.code is Code.INVALID_REQUEST
    assert (caught.value.param or "").startswith(param)


def test_tools_are_shown_as_they_came() -> None:
    least = {"type": "function", "name": "add"}
    assert shown_tools([ADD, RUN, least]) == [
        ADD,
        RUN,
        {**least, "description": None, "parameters": None, "strict": None},
    ]
