"""The bytes of a UI message stream, as the package `ai` 7 writes and reads them."""

import json
from typing import Any

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    Citation,
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
from chatfleet_api.web.dialects.ai_sdk.encode import UIMessageEncoder
from chatfleet_api.web.dialects.ai_sdk.errors import error_frame
from chatfleet_api.web.dialects.native.errors import error_body

START = Start("r1", "m", 1700000000, conversation="c1", message="m1")
END = Complete("stop", Usage(input_tokens=9, output_tokens=4))


def encoded(*events: Event) -> str:
    return UIMessageEncoder("q1").encode(Batch(1, events)).decode()


def parts(*events: Event) -> list[dict[str, Any]]:
    frames = encoded(*events).removesuffix("data: [DONE]\n\n")
    return [json.loads(each.removeprefix("data: ")) for each in frames.split("\n\n")[:-1]]


def test_an_answer_is_one_text_part_within_a_step_and_ends_with_done() -> None:
    assert encoded(START, Token("Hi"), Token(" you"), END) == (
        'data: {"type":"start","messageMetadata":{"conversationId":"c1","runId":"r1","model":"m"},"messageId":"m1"}\n\n'
        'data: {"type":"start-step"}\n\n'
        'data: {"type":"text-start","id":"0"}\n\n'
        'data: {"type":"text-delta","id":"0","delta":"Hi"}\n\n'
        'data: {"type":"text-delta","id":"0","delta":" you"}\n\n'
        'data: {"type":"text-end","id":"0"}\n\n'
        'data: {"type":"finish-step"}\n\n'
        'data: {"type":"finish","finishReason":"stop","messageMetadata":{"usage":{"inputTokens":9,"outputTokens":4,'
        '"totalTokens":13,"reasoningTokens":0,"cachedInputTokens":0}}}\n\n'
        "data: [DONE]\n\n"
    )


WAITING = ServerToolCall(1, "c1", "t__create", "t", "create", "{}", approval="mcpar_1")
FREE = ServerToolCall(1, "c2", "t__find", "t", "find", "{}")


def test_calls_that_wait_for_approval_are_a_part_of_data_after_the_text() -> None:
    shown = parts(Token("Hi"), RequiresAction((WAITING, FREE)), Complete("requires_action", Usage()))
    call = {"approval_request_id": "mcpar_1", "server": "t", "tool": "create", "arguments": "{}"}
    assert shown[2:4] == [
        {"type": "text-end", "id": "0"},
        {"type": "data-requires-action", "data": {"type": "requires_action", "calls": [call]}},
    ]
    assert shown[-1]["finishReason"] == "tool-calls"


def test_documents_are_sources() -> None:
    cited = Complete("stop", Usage(), citations=(Citation("desk/a.md", 2, 1.5), Citation("desk/b", 1, 1.0)))
    assert parts(Token("Hi"), cited)[3:5] == [
        {"type": "source-document", "sourceId": "desk/a.md#2", "mediaType": "text/markdown", "title": "desk/a.md"},
        {"type": "source-document", "sourceId": "desk/b#1", "mediaType": "text/plain", "title": "desk/b"},
    ]


def test_each_agent_has_a_text_of_its_own() -> None:
    shown = parts(Agent("a", "r"), Token("One"), Agent("b", "s"), Token("Two"), END)
    assert [part["type"] for part in shown[:-2]] == [
        *("data-agent", "text-start", "text-delta", "text-end"),
        *("data-agent", "text-start", "text-delta", "text-end"),
    ]
    assert [part["id"] for part in shown if part["type"] == "text-start"] == ["0", "1"]


def test_reasoning_is_a_part_of_its_own() -> None:
    shown = parts(Reasoning("hm"), Token("Hi"), Reasoning(""), END)
    assert shown[:-2] == [
        {"type": "reasoning-start", "id": "0"},
        {"type": "reasoning-delta", "id": "0", "delta": "hm"},
        {"type": "reasoning-end", "id": "0"},
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "Hi"},
        {"type": "text-end", "id": "1"},
    ]


def test_a_tool_call_comes_in_pieces_and_then_whole() -> None:
    calls = (ToolCall(0, "c1", "add", '{"a":'), ToolCall(0, arguments="1}"), ToolCall(1, "c2", "now"))
    shown = parts(Token("Hi"), *calls, Complete("tool_calls", Usage()))
    assert shown[2:-2] == [
        {"type": "text-end", "id": "0"},
        {"type": "tool-input-start", "toolCallId": "c1", "toolName": "add"},
        {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": '{"a":'},
        {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": "1}"},
        {"type": "tool-input-start", "toolCallId": "c2", "toolName": "now"},
        {"type": "tool-input-available", "toolCallId": "c1", "toolName": "add", "input": {"a": 1}},
        {"type": "tool-input-available", "toolCallId": "c2", "toolName": "now", "input": {}},
    ]
    assert shown[-1]["finishReason"] == "tool-calls"


def test_an_input_that_is_no_json_is_an_error_and_that_of_a_custom_tool_is_text() -> None:
    shown = parts(ToolCall(0, "c1", "add", "{"), ToolCall(1, "c2", "sql", "SELECT", custom=True), END)
    assert shown[2] == {
        "type": "tool-input-start",
        "toolCallId": "c2",
        "toolName": "sql",
        "inputEncoding": "text",
    }
    assert [(each["type"], each["input"]) for each in shown[4:6]] == [
        ("tool-input-error", "{"),
        ("tool-input-available", "SELECT"),
    ]


def test_pieces_that_came_with_more_are_shown_alike() -> None:
    assert encoded(Extended(msgspec.Raw(b"{}"), (Token("Hi"),))) == encoded(Token("Hi"))


def test_a_failure_closes_what_is_open_and_has_neither_finish_nor_done() -> None:
    failed = Failed.of(ChatError(Code.UPSTREAM_STALLED, "Silence."))
    ended, error = parts(Token("Hi"), failed)[2:]
    assert ended == {"type": "text-end", "id": "0"}
    assert error["type"] == "error"
    assert json.loads(error["errorText"]) == json.loads(error_body(ChatError(failed.code, "Silence."), "q1"))
    assert "[DONE]" not in encoded(Token("Hi"), failed)


def test_a_cancelled_answer_is_aborted() -> None:
    cancelled = Failed.of(ChatError(Code.CANCELLED))
    assert [each["type"] for each in parts(Token("Hi"), cancelled)][2:] == ["text-end", "abort"]
    assert "[DONE]" not in encoded(cancelled)


def test_a_stream_that_cannot_be_read_on_ends_with_the_error() -> None:
    encoder = UIMessageEncoder("q1")
    encoder.encode(Batch(1, (START, Token("Hi"))))
    frames = encoder.error_frame(ChatError(Code.STORAGE_UNAVAILABLE))
    assert frames.startswith(b'data: {"type":"text-end","id":"0"}\n\ndata: {"type":"error","errorText":"{')
    assert b'\\"code\\":\\"starting\\"' in error_frame(ChatError(Code.STARTING), "q1")


def test_a_batch_of_pieces_is_the_same_as_pieces_of_batches() -> None:
    encoder = UIMessageEncoder("q1")
    events: tuple[Event, ...] = (START, Reasoning("hm"), Token("Hi\u2028"), END)
    apart = b"".join(encoder.encode(Batch(seq, (event,))) for seq, event in enumerate(events, 1)).decode()
    assert apart == encoded(*events)
    assert "\\u2028" in apart
