"""What of a message an upstream of another dialect gets: deferred tools, and edits of the context."""

import json
from typing import Any

import pytest

from chatfleet_api.domain.request import ChatRequest, TextPart
from chatfleet_api.web.dialects.messages.request import CURRENT, read_message

HI = {"role": "user", "content": "Hi"}
SEARCH = {"name": "search", "input_schema": {"type": "object"}}
DEFERRED = {"name": "clock", "input_schema": {"type": "object"}, "defer_loading": True}
FOUND = [
    HI,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "search", "input": {}}]},
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": [{"type": "tool_reference", "tool_name": "clock"}],
            }
        ],
    },
]


def read(**fields: Any) -> ChatRequest:  # noqa: ANN401  # any JSON
    body = {"model": "m", "max_tokens": 9, "messages": [HI], **fields}
    return read_message(json.dumps(body).encode(), CURRENT, None).request


def names(request: ChatRequest) -> list[str]:
    return [tool["function"]["name"] for tool in request.tools]


def beyond(request: ChatRequest) -> list[str]:
    assert request.sent
    return [part.param for part in request.sent.untranslated]


def test_a_deferred_tool_is_offered_from_the_start() -> None:
    request = read(tools=[SEARCH, DEFERRED])
    assert (names(request), beyond(request)) == (["search", "clock"], [])


def test_what_a_search_for_tools_has_found_is_text() -> None:
    request = read(tools=[SEARCH, DEFERRED], messages=FOUND)
    assert beyond(request) == []
    assert request.messages[-1].content in ("Tool clock is available.", [TextPart("Tool clock is available.")])


def test_a_search_on_the_vendors_side_is_named() -> None:
    assert beyond(read(tools=[{"type": "tool_search_tool_bm25_20251119", "name": "s"}, DEFERRED])) == ["tools[0]"]


@pytest.mark.parametrize(
    ("management", "named"),
    [
        ({"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}, []),
        ({"edits": []}, []),
        (None, []),
        ({"edits": [{"type": "clear_thinking_20251015"}, {"type": "compact_20260112"}]}, ["context_management"]),
        ({"edits": [{"type": "clear_tool_uses_20250919"}]}, ["context_management"]),
        ({"of_next_year": 1}, ["context_management"]),
        ({"edits": [], "of_next_year": 1}, ["context_management"]),
        ("all", ["context_management"]),
    ],
)
def test_edits_of_earlier_thinking_change_nothing_elsewhere(management: object, named: list[str]) -> None:
    assert beyond(read(context_management=management)) == named
