"""The events of AG-UI 1.0, as `@ag-ui/client` reads them."""

import json
from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    Complete,
    Event,
    Extended,
    Failed,
    Reasoning,
    RequiresAction,
    ServerToolCall,
    Start,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.ag_ui.encode import AgentEncoder
from chatfleet_api.web.dialects.ag_ui.errors import error_frame

START = Start("r1", "m", 1700000000, conversation="c1", message="m1")
END = Complete("stop", Usage(input_tokens=9, output_tokens=4))


def encoded(*events: Event) -> str:
    return AgentEncoder("t", "run").encode(Batch(1, (START, *events))).decode()


def shown(*events: Event) -> list[dict[str, Any]]:
    """Return the events behind the first."""
    return [json.loads(each.removeprefix("data: ")) for each in encoded(*events).split("\n\n")[1:-1]]


def test_a_run_is_one_message_between_its_start_and_its_finish() -> None:
    assert encoded(Token("Hi"), Token(""), Token(" you"), END) == (
        'data: {"type":"RUN_STARTED","threadId":"t","runId":"run","protocolVersion":"1.0",'
        '"metadata":{"conversationId":"c1","runId":"r1","model":"m"}}\n\n'
        'data: {"type":"TEXT_MESSAGE_START","messageId":"m1","role":"assistant"}\n\n'
        'data: {"type":"TEXT_MESSAGE_CONTENT","messageId":"m1","delta":"Hi"}\n\n'
        'data: {"type":"TEXT_MESSAGE_CONTENT","messageId":"m1","delta":" you"}\n\n'
        'data: {"type":"TEXT_MESSAGE_END","messageId":"m1"}\n\n'
        'data: {"type":"RUN_FINISHED","threadId":"t","runId":"run","result":{"finishReason":"stop"},'
        '"outcome":{"type":"success"},"usage":[{"model":"m","inputTokens":9,"outputTokens":4,"totalTokens":13,'
        '"reasoningTokens":0,"cachedInputTokens":0,"cacheWriteInputTokens":0}]}\n\n'
    )


def test_calls_that_wait_for_approval_are_an_event_of_our_own_after_the_text() -> None:
    waiting = ServerToolCall(1, "c1", "t__create", "t", "create", "{}", approval="mcpar_1")
    events = shown(Token("Hi"), RequiresAction((waiting,)), Complete("requires_action", Usage()))
    call = {"approval_request_id": "mcpar_1", "server": "t", "tool": "create", "arguments": "{}"}
    assert [each["type"] for each in events[2:]] == ["TEXT_MESSAGE_END", "CUSTOM", "RUN_FINISHED"]
    assert (events[3]["name"], events[3]["value"]["calls"]) == ("requires_action", [call])
    assert events[4]["result"] == {"finishReason": "requires_action"}


def test_reasoning_is_a_message_of_its_own() -> None:
    events = shown(Reasoning("hm"), Reasoning(""), Token("Hi"), END)
    assert [(each["type"], each.get("messageId")) for each in events[:-1]] == [
        ("REASONING_START", "m1"),
        ("REASONING_MESSAGE_START", "m1"),
        ("REASONING_MESSAGE_CONTENT", "m1"),
        ("REASONING_MESSAGE_END", "m1"),
        ("REASONING_END", "m1"),
        ("TEXT_MESSAGE_START", "m1-1"),
        ("TEXT_MESSAGE_CONTENT", "m1-1"),
        ("TEXT_MESSAGE_END", "m1-1"),
    ]


def test_each_agent_has_a_message_of_its_own() -> None:
    events = shown(Agent("a", "r"), Token("One"), Agent("b", "s"), Token("Two"), END)
    assert [event["type"] for event in events[:-1]] == [
        *("CUSTOM", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        *("CUSTOM", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
    ]
    assert [event["messageId"] for event in events if event["type"] == "TEXT_MESSAGE_START"] == ["m1", "m1-1"]


def test_a_tool_call_comes_in_pieces_and_is_left_to_the_client() -> None:
    events = shown(ToolCall(0, "c1", "add", "{"), ToolCall(0, arguments="}"), Complete("tool_calls", Usage()))
    assert events[:-1] == [
        {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "add", "parentMessageId": "m1"},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": "{"},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": "}"},
        {"type": "TOOL_CALL_END", "toolCallId": "c1"},
    ]
    assert events[-1]["outcome"] == {"type": "success", "pendingToolCallIds": ["c1"]}


def test_pieces_that_came_with_more_are_shown_alike() -> None:
    assert encoded(Extended(msgspec.Raw(b"{}"), (Token("Hi"),))) == encoded(Token("Hi"))


@pytest.mark.parametrize(
    ("code", "end"),
    [
        (Code.UPSTREAM_STALLED, {"type": "RUN_ERROR", "message": "No. Try again.", "code": "upstream_stalled"}),
        (Code.CANCELLED, {"type": "RUN_FINISHED", "threadId": "t", "runId": "run", "outcome": {"type": "cancelled"}}),
    ],
)
def test_a_run_that_is_not_whole_ends_without_success(code: Code, end: dict[str, Any]) -> None:
    assert shown(Token("Hi"), Failed(code, "No.", "Try again.", retryable=True))[-1] == end


def test_a_stream_that_cannot_be_read_on_ends_with_the_error() -> None:
    error = ChatError(Code.STORAGE_UNAVAILABLE)
    assert AgentEncoder("t", "run").error_frame(error) == error_frame(error, "q1")
    assert b'"code":"storage_unavailable"' in error_frame(error, "q1")
