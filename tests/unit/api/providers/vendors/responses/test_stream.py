"""Answers of OpenAI's Responses API in the common terms, and the ends that are none."""

import json
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Reasoning, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendors.responses.stream import ResponseParser

REQUEST = ChatRequest("m", (Message("user", "Hi"),))
CREATED = {"type": "response.created", "response": {"status": "in_progress", "output": []}}
TEXT = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": ""}


def completed(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a response
    status = fields.get("status", "completed")
    return {"type": f"response.{status}", "response": {"status": status, "output": [], **fields}}


def added(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def read(*events: dict[str, Any] | bytes) -> list[StreamItem]:
    parser, items = ResponseParser(REQUEST), list[StreamItem]()
    for event in (CREATED, *events):
        parser.read(event if isinstance(event, bytes) else json.dumps(event).encode(), items)
    assert parser.done
    return items


def failure(*events: dict[str, Any] | bytes) -> ChatError:
    with pytest.raises(ChatError) as caught:
        read(*events)
    return caught.value


def test_usage_is_in_our_terms() -> None:
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 16,
    }
    assert read(TEXT, completed(usage=usage)) == [Token("Hi"), Finish("stop", Usage(10, 6, 5, 4, 3))]


def test_usage_has_the_tier_that_answered() -> None:
    finish = read(TEXT, completed(usage={"input_tokens": 10, "output_tokens": 6}, service_tier="flex"))[-1]
    assert isinstance(finish, Finish)
    assert finish.usage == Usage(10, 6, service_tier="flex")


def test_without_usage_it_is_estimated() -> None:
    (_, finish) = read(TEXT, completed())
    assert isinstance(finish, Finish)
    assert finish.usage == Usage(1, 1, estimated=True)


def test_a_call_in_pieces_is_numbered_and_ends_in_tool_calls() -> None:
    piece = {"type": "response.function_call_arguments.delta", "output_index": 2}
    pieces = [{**piece, "delta": part} for part in ('{"a"', ":1}")]
    whole = {"type": "response.function_call_arguments.done", "output_index": 2, "arguments": '{"a":1}'}
    *items, finish = read(TEXT, added(CALL, 2), *pieces, whole, done({**CALL, "arguments": '{"a":1}'}, 2), completed())
    assert items == [
        Token("Hi"),
        ToolCall(0, "call_1", "f"),
        ToolCall(0, arguments='{"a"'),
        ToolCall(0, arguments=":1}"),
    ]
    assert isinstance(finish, Finish)
    assert finish.reason == "tool_calls"


def test_a_call_whose_arguments_come_at_once_and_one_without_any_have_them_once() -> None:
    bare = {**CALL, "call_id": "call_2"}
    *items, _ = read(done({**CALL, "arguments": '{"a":1}'}), added(bare, 1), done(bare, 1), completed())
    assert items == [
        ToolCall(0, "call_1", "f"),
        ToolCall(0, arguments='{"a":1}'),
        ToolCall(1, "call_2", "f"),
        ToolCall(1, arguments="{}"),
    ]


def test_a_call_of_a_custom_tool_is_free_text() -> None:
    call = {"type": "custom_tool_call", "call_id": "c", "name": "shell", "input": ""}
    piece = {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "ls"}
    *items, _ = read(added(call), piece, done({**call, "input": "ls"}), completed())
    assert items == [ToolCall(0, "c", "shell", custom=True), ToolCall(0, arguments="ls")]


def test_thoughts_and_summaries_are_reasoning_and_refusals_text() -> None:
    thoughts = [
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "One."},
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "Two."},
    ]
    refusal = {"type": "response.refusal.delta", "output_index": 1, "delta": "No."}
    *items, _ = read(*thoughts, refusal, completed())
    assert items == [Reasoning("One."), Reasoning("\n\n"), Reasoning("Two."), Token("No.")]


def test_items_that_come_without_pieces_are_read_once() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    whole = completed(output=[thought, message])
    for events in ([done(thought), done(message, 1), whole], [whole]):
        *items, _ = read(*events)
        assert items == [Reasoning("Hm."), Token("Hi")]
    *items, _ = read(TEXT, done(message), completed(output=[message]))
    assert items == [Token("Hi")]


@pytest.mark.parametrize(("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
def test_an_incomplete_response_has_its_reason(reason: str, finish: str) -> None:
    (*_, end) = read(TEXT, completed(status="incomplete", incomplete_details={"reason": reason}))
    assert isinstance(end, Finish)
    assert end.reason == finish


@pytest.mark.parametrize("details", [None, {"reason": "steered"}, {"reason": "max_messages"}, {}])
def test_an_incomplete_response_for_another_reason_is_no_success(details: object) -> None:
    error = failure(TEXT, completed(status="incomplete", incomplete_details=details))
    assert error.code is Code.UPSTREAM_TRUNCATED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "server_error", "message": "It broke."}, Code.UPSTREAM_ERROR),
        ({"code": "rate_limit_exceeded", "message": "Slow down."}, Code.UPSTREAM_RATE_LIMITED),
        ({"code": "invalid_prompt", "message": "No."}, Code.UPSTREAM_REJECTED),
        ({"code": "bio_policy", "message": "No."}, Code.CONTENT_FILTERED),
        (None, Code.UPSTREAM_ERROR),
    ],
)
def test_a_failed_response_is_its_error(error: object, code: Code) -> None:
    assert failure(TEXT, completed(status="failed", error=error)).code is code


def test_the_status_of_a_response_counts_more_than_the_name_of_its_event() -> None:
    event = {**completed(status="failed", error={"code": "server_error", "message": "x"}), "type": "response.completed"}
    assert failure(TEXT, event).code is Code.UPSTREAM_ERROR


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None},
        {"type": "error", "error": {"type": "rate_limit_error", "code": None, "message": "Slow down."}},
        {"error": {"type": "rate_limit_error", "message": "Slow down."}},
    ],
)
def test_an_error_is_read_flat_and_nested(event: dict[str, Any]) -> None:
    assert failure(TEXT, event).code is Code.UPSTREAM_RATE_LIMITED


def test_only_its_event_ends_a_response() -> None:
    parser, items = ResponseParser(REQUEST), list[StreamItem]()
    parser.read(json.dumps(TEXT).encode(), items)
    parser.read(b"[DONE]", items)
    assert not parser.done
    with pytest.raises(ChatError) as caught:
        parser.end()
    assert caught.value.code is Code.UPSTREAM_TRUNCATED


def test_odd_values_and_unknown_events_end_no_answer() -> None:
    odd = {**TEXT, "output_index": "0", "delta": "Hi", "logprobs": 7}
    other = {"type": "response.new.thing", "response": "x", "item": 5}
    hosted = done({"type": "web_search_call", "id": "ws_1"}, 3)
    *items, _ = read(odd, other, hosted, completed(usage={"input_tokens": "7", "output_tokens": None}, output="x"))
    assert items == [Token("Hi")]


def test_arguments_without_a_call_are_malformed() -> None:
    piece = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"}
    assert failure(piece).code is Code.UPSTREAM_MALFORMED
