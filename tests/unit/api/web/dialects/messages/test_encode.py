"""The bytes of the Messages dialect, for answers of upstreams that speak another one."""

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from chatfleet_api.domain.errors import FACTS, ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Failed, Reasoning, Start, Token, ToolCall, Usage
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.messages.encode import MessageEncoder
from chatfleet_api.web.dialects.messages.errors import error_body, error_frame
from chatfleet_api.web.dialects.messages.message import collected
from harness.clients.asgi import each

START = Start("r1", "m", 1700000000)
USAGE = Usage(input_tokens=9, output_tokens=4, reasoning_tokens=1, cache_read_tokens=5, cache_write_tokens=2)
WHOLE: tuple[Event, ...] = (START, Token("Hel"), Token('l"o\n'), Complete("stop", USAGE))
MESSAGE = (
    '{"id":"msg_r1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,'
    '"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0,"cache_creation":null,'
    '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"inference_geo":null,"output_tokens_details":null,'
    '"server_tool_use":null,"service_tier":null},"container":null,"stop_details":null}'
)
SDK: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def encoded(*events: Event) -> str:
    return MessageEncoder("q1").encode(Batch(1, events)).decode()


def payloads(frames: str) -> list[Any]:
    return [json.loads(frame.partition("\ndata: ")[2]) for frame in frames.strip().split("\n\n")]


def test_a_stream_is_the_vendors_byte_for_byte() -> None:
    delta = (
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":'
    )
    assert encoded(*WHOLE) == (
        f'event: message_start\ndata: {{"type":"message_start","message":{MESSAGE}}}\n\n'
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        '"content_block":{"type":"text","text":"","citations":null}}\n\n'
        f'{delta}"Hel"}}}}\n\n{delta}"l\\"o\\n"}}}}\n\n'
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,'
        '"container":null,"stop_details":null},'
        '"usage":{"input_tokens":2,"cache_creation_input_tokens":2,"cache_read_input_tokens":5,"output_tokens":4,'
        '"output_tokens_details":{"thinking_tokens":1},"server_tool_use":null}}\n\n'
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


def test_batches_make_the_same_bytes_however_they_are_cut() -> None:
    encoder = MessageEncoder("q1")
    pieces = [encoder.encode(Batch(seq, (event,))) for seq, event in enumerate(WHOLE, 1)]
    assert b"".join(pieces).decode() == encoded(*WHOLE)
    assert pieces[0] == b""  # so that a failure before the first token has its HTTP status


EVENTS: tuple[Event, ...] = (
    START,
    Reasoning("hm"),
    Token("a"),
    ToolCall(0, "c1", "add"),
    ToolCall(1, "c2", "sub", "{"),
    ToolCall(1, arguments="}"),
    Token("b"),
    Complete("tool_calls", USAGE),
)


async def test_each_kind_of_piece_is_a_block() -> None:
    events = payloads(encoded(*EVENTS))
    for event in events:
        SDK.validate_python(event)
    opened = [event["index"] for event in events if event["type"] == "content_block_start"]
    assert opened == [event["index"] for event in events if event["type"] == "content_block_stop"] == [0, 1, 2, 3, 4]
    message = Message.model_validate_json(await collected(each(Batch(1, EVENTS))), strict=False)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use", "text"]
    assert message.stop_reason == "tool_use"


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("content_filter", "refusal")],
)
def test_reasons_to_stop_are_the_vendors(reason: Any, stop: str) -> None:  # noqa: ANN401  # a word
    assert payloads(encoded(START, Complete(reason, USAGE)))[-2]["delta"]["stop_reason"] == stop


def test_a_refusal_has_its_details() -> None:
    details = payloads(encoded(START, Complete("content_filter", USAGE)))[-2]["delta"]["stop_details"]
    assert details == {"type": "refusal", "category": None, "explanation": None}


def test_a_failure_is_an_error_event_and_no_end_of_a_message() -> None:
    frames = encoded(START, Token("Hel"), Failed.of(ChatError(Code.UPSTREAM_TRUNCATED)))
    assert "message_stop" not in frames
    assert frames.split("\n\n")[-2].startswith("event: error\n")
    assert payloads(frames)[-1] == {
        "type": "error",
        "error": {
            "type": "api_error",
            "message": "The upstream closed the stream before it sent a finish reason.",
            "details": {"error_code": "upstream_truncated"},
        },
        "request_id": "q1",
    }


@pytest.mark.parametrize("events", [(START, Token("Hel")), (START, Token("Hel"), Failed.of(ChatError(Code.CANCELLED)))])
async def test_an_answer_without_its_end_is_never_whole(events: tuple[Event, ...]) -> None:
    with pytest.raises(ChatError):
        await collected(each(Batch(1, events)))


@pytest.mark.parametrize("code", FACTS)
def test_no_error_shows_what_is_for_operators_only(code: Code) -> None:
    error = ChatError(code, detail="connect to 10.0.0.7 failed")
    assert b"10.0.0.7" not in error_body(error, "q1") + error_frame(error, "q1")
