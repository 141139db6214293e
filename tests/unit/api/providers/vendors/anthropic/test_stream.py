"""Anthropic's events become pieces; only `message_stop` after a reason to stop makes a message whole."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendors.anthropic.stream import MessageParser

REQUEST = ChatRequest("m", (Message("user", "eight by"),))


def event(kind: str, **fields: object) -> bytes:
    return msgspec.json.encode({"type": kind, **fields})


def block(kind: str, index: int = 0, **fields: object) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(kind: str, index: int = 0, **fields: object) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def end(index: int = 0) -> bytes:
    return event("content_block_stop", index=index)


def ending(reason: str | None = "end_turn", **usage: Any) -> bytes:  # noqa: ANN401  # numbers, and objects of numbers
    return event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 4, **usage})


START = event("message_start", message={"id": "msg_1", "usage": {"input_tokens": 7, "output_tokens": 1}})
STOP = event("message_stop")


def read(*payloads: bytes) -> list[StreamItem]:
    answer, pieces = MessageParser(REQUEST), list[StreamItem]()
    for payload in payloads:
        answer.read(payload, pieces)
    if not answer.done:
        pieces.append(answer.end())
    return pieces


def failure(*payloads: bytes) -> ChatError:
    with pytest.raises(ChatError) as caught:
        read(*payloads)
    return caught.value


def test_text_and_thinking_become_pieces() -> None:
    pieces = read(
        START,
        event("ping"),
        block("thinking", thinking="", signature=""),
        delta("thinking_delta", thinking="Hm."),
        delta("signature_delta", signature="abc"),
        end(),
        block("redacted_thinking", 1, data="x"),
        end(1),
        block("text", 2, text="Well, "),
        delta("text_delta", 2, text="yes"),
        delta("citations_delta", 2, citation={}),
        end(2),
        event("an_event_of_tomorrow", index=3),
        ending(),
        STOP,
    )
    assert pieces == [
        Reasoning("Hm."),
        Token("Well, "),
        Token("yes"),
        Finish("stop", Usage(input_tokens=7, output_tokens=4)),
    ]


def test_tool_calls_are_counted_apart_from_other_blocks_and_always_have_arguments() -> None:
    pieces = read(
        START,
        block("text", text=""),
        end(),
        block("tool_use", 1, id="toolu_1", name="f", input={}),
        delta("input_json_delta", 1, partial_json=""),
        delta("input_json_delta", 1, partial_json='{"x"'),
        delta("input_json_delta", 1, partial_json=":1}"),
        end(1),
        block("server_tool_use", 2, id="srv", name="web_search", input={}),
        delta("input_json_delta", 2, partial_json='{"q":1}'),
        end(2),
        block("tool_use", 3, id="toolu_2", name="g", input={}),
        end(3),
        ending("tool_use"),
        STOP,
    )
    assert pieces[:-1] == [
        ToolCall(0, "toolu_1", "f"),
        ToolCall(0, arguments='{"x"'),
        ToolCall(0, arguments=":1}"),
        ToolCall(1, "toolu_2", "g"),
        ToolCall(1, arguments="{}"),
    ]


def test_usage_is_the_last_word_on_each_number_and_the_cache_is_part_of_the_input() -> None:
    start = event("message_start", message={"usage": {"input_tokens": 7, "cache_read_input_tokens": 5}})
    last = ending(cache_creation_input_tokens=2, output_tokens_details={"thinking_tokens": 3})
    assert read(start, ending("end_turn"), last, STOP)[-1] == Finish(
        "stop",
        Usage(input_tokens=14, output_tokens=4, reasoning_tokens=3, cache_read_tokens=5, cache_write_tokens=2),
    )


def test_usage_that_never_comes_is_estimated_and_marked() -> None:
    silent = event("message_delta", delta={"stop_reason": "end_turn"})
    pieces = read(event("message_start", message={}), block("text"), delta("text_delta", text="a"), end(), silent, STOP)
    assert pieces[-1] == Finish("stop", Usage(input_tokens=2, output_tokens=1, estimated=True))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_each_reason_to_stop_has_its_finish_reason(said: str, meant: FinishReason) -> None:
    finish = read(START, ending(said), STOP)[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == meant


@pytest.mark.parametrize(
    "payloads",
    [
        (START,),
        (START, ending()),
        (START, STOP),
        (START, ending(None), STOP),
        (START, ending("pause_turn"), STOP),
        (STOP,),
    ],
    ids=["nothing", "no stop", "no reason", "an empty reason", "a pause", "a stop alone"],
)
def test_an_end_without_reason_or_stop_is_none(payloads: tuple[bytes, ...]) -> None:
    assert failure(*payloads).code is Code.UPSTREAM_TRUNCATED


@pytest.mark.parametrize("first", [block("text"), delta("text_delta", text="a"), ending()])
def test_a_message_begins_with_its_start(first: bytes) -> None:
    assert failure(first).code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[DONE]", b'{"type":1}', b'{"delta":{}}', b'{"type":"ping","index":"1"}']
)
def test_what_is_no_event_is_malformed(payload: bytes) -> None:
    assert failure(START, payload).code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("overloaded_error", Code.UPSTREAM_OVERLOADED),
        ("rate_limit_error", Code.UPSTREAM_RATE_LIMITED),
        ("api_error", Code.UPSTREAM_ERROR),
        ("timeout_error", Code.UPSTREAM_TIMEOUT),
        ("invalid_request_error", Code.UPSTREAM_REJECTED),
        ("authentication_error", Code.UPSTREAM_AUTHENTICATION),
    ],
)
def test_an_error_inside_the_stream_is_told_apart_by_its_type(kind: str, code: Code) -> None:
    assert failure(START, event("error", error={"type": kind, "message": "x"})).code is code
