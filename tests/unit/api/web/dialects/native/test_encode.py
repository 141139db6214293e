"""The bytes of our own dialect."""

import json
from decimal import Decimal
from typing import Any

import pytest

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    Complete,
    ContextUse,
    Event,
    Failed,
    Reasoning,
    Signature,
    Start,
    Thought,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_api.runs.tail import Batch
from chatfleet_api.sessions.store import Conversation, StoredMessage
from chatfleet_api.web.dialects.native.bodies import conversation_with_messages
from chatfleet_api.web.dialects.native.encode import EventEncoder
from chatfleet_api.web.dialects.native.errors import error_body, error_frame
from chatfleet_api.web.dialects.native.request import MessageRequest, read_message, read_new_conversation

USAGE = Usage(input_tokens=9, output_tokens=4, reasoning_tokens=1, cache_read_tokens=5, cache_write_tokens=2)
USAGE_JSON = (
    '{"input_tokens":9,"output_tokens":4,"reasoning_tokens":1,"cache_read_tokens":5,"cache_write_tokens":2,'
    '"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"estimated":false}'
)


def encoded(*events: Event, first: int = 1) -> str:
    return EventEncoder("r1", "q1").encode(Batch(first, events)).decode()


def test_a_stream_is_numbered_events_with_one_end() -> None:
    start = Start("r1", "m", 1700000000, conversation="c1", message="m1")
    assert encoded(start, Token("Hi"), Complete("stop", USAGE, 20, 5)) == (
        "id: r1-1\nevent: start\n"
        'data: {"type":"start","run":"r1","model":"m","created":1700000000,"conversation":"c1","message":"m1"}\n\n'
        'id: r1-2\nevent: token\ndata: {"type":"token","text":"Hi"}\n\n'
        "id: r1-3\nevent: complete\n"
        f'data: {{"type":"complete","finish_reason":"stop","usage":{USAGE_JSON},"cost_usd":null,"latency_ms":20,'
        '"time_to_first_token_ms":5,"context":null}\n\n'
    )


def test_numbers_go_on_where_the_batch_begins() -> None:
    assert encoded(Token("a"), Token("b"), first=41).split("\n")[::4] == ["id: r1-41", "id: r1-42", ""]


@pytest.mark.feature(17, 31)
def test_reasoning_and_tool_calls_are_events() -> None:
    frames = encoded(Reasoning("hm"), ToolCall(0, "c1", "add", "{}"), ToolCall(0, arguments="}"))
    assert [line for line in frames.split("\n") if line.startswith(("event", "data"))] == [
        "event: reasoning",
        'data: {"type":"reasoning","text":"hm"}',
        "event: tool_call",
        'data: {"type":"tool_call","index":0,"id":"c1","name":"add","arguments":"{}"}',
        "event: tool_call",
        'data: {"type":"tool_call","index":0,"arguments":"}"}',
    ]


def test_a_failure_tells_what_to_do_and_what_was_kept() -> None:
    failed = Failed(Code.UPSTREAM_STALLED, "Silence.", "Try again.", retryable=True, partial_saved=True, usage=USAGE)
    assert encoded(failed) == (
        "id: r1-1\nevent: error\n"
        'data: {"type":"error","code":"upstream_stalled","message":"Silence.","suggested_action":"Try again.",'
        f'"retryable":true,"request_id":"q1","retry_after":null,"partial_saved":true,"usage":{USAGE_JSON},"cost_usd":null}}\n\n'
    )


def test_a_log_that_cannot_be_read_on_ends_the_stream_with_an_event_that_is_none_of_the_runs() -> None:
    frames = EventEncoder("r1", "q1").error_frame(ChatError(Code.STORAGE_UNAVAILABLE, retry_after=2)).decode()
    assert frames.startswith('event: error\ndata: {"type":"error","code":"storage_unavailable",')
    assert '"retry_after":2' in frames
    assert "id:" not in frames


@pytest.mark.feature(24)
def test_an_error_tells_code_message_remedy_and_request() -> None:
    told = json.loads(error_body(ChatError(Code.INVALID_REQUEST, "No.", param="limit", detail="secret"), "q1"))
    assert told == {
        "code": "invalid_request",
        "message": "No.",
        "suggested_action": "Correct the request.",
        "retryable": False,
        "request_id": "q1",
        "param": "limit",
    }


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"content": "Hi"}, MessageRequest(NewMessage("Hi"), None)),
        ({"message": "Hi", "stream": False}, MessageRequest(NewMessage("Hi"), stream=False)),
        (
            {"content": "Hi", "model": "m", "stream": True, "temperature": 0, "top_p": 1, "max_tokens": 9},
            MessageRequest(NewMessage("Hi", "m", 0.0, 1.0, 9), stream=True),
        ),
    ],
)
def test_a_message_is_text_and_how_to_answer_it(body: dict[str, Any], sent: MessageRequest) -> None:
    assert read_message(json.dumps(body).encode()) == sent


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "content"),
        ({"content": "a", "message": "b"}, "content"),
        ({"content": ""}, "content"),
        ({"message": 5}, "message"),
        ({"content": "a", "temperature": 3}, "temperature"),
        ({"content": "a", "history": []}, "history"),
    ],
)
def test_a_message_that_cannot_be_is_refused_by_field(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ChatError) as caught:
        read_message(json.dumps(body).encode())
    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.param == param


def test_a_conversation_needs_no_body() -> None:
    assert read_new_conversation(b"") == read_new_conversation(b"{}")


@pytest.mark.parametrize(
    "body", [b'{"title":""}', b'{"metadata":[]}', b'{"metadata":' + b'{"a":' * 99 + b"1" + b"}" * 100]
)
def test_a_conversation_that_cannot_be_is_refused(body: bytes) -> None:
    with pytest.raises(ChatError) as caught:
        read_new_conversation(body)
    assert caught.value.param in {"title", "metadata"}


@pytest.mark.feature(33)
def test_a_stored_message_is_shown_with_the_names_of_both_vendors_and_an_unknown_price() -> None:
    conversation = Conversation("c1", "u1", "t", {"a": 1}, "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")
    stored = StoredMessage("m1", "assistant", "Hi", "2026-01-01T00:00:00+00:00", run="r1", model="m", usage=USAGE)
    (shown,) = conversation_with_messages(conversation, (stored,)).messages
    assert shown.usage is not None
    assert (shown.prompt_tokens, shown.completion_tokens, shown.total_tokens) == (9, 4, 13)
    assert (shown.usage.input_tokens, shown.usage.output_tokens) == (9, 4)
    assert shown.conversation_id == "c1"
    assert shown.cost_usd is None


@pytest.mark.feature(33, 42)
def test_a_known_price_is_shown_in_decimal_digits() -> None:
    priced = Usage(1, 1, cost_usd=Decimal("0.00000012"))
    assert '"cost_usd":"0.00000012"' in encoded(Complete("stop", priced, 20, 5))


def test_the_end_has_what_the_model_got_of_the_conversation() -> None:
    end = Complete("stop", USAGE, context=ContextUse(12, 30))
    assert '"context":{"messages":12,"left_out":30}}' in encoded(end)


def test_the_reasoning_of_a_hand_over_stays_with_the_models() -> None:
    to = Agent("technical", "A crash.", (Thought("hm", Signature("m", "seal")),))
    assert encoded(to).endswith('data: {"type":"agent","name":"technical","reason":"A crash."}\n\n')


def test_a_stream_that_never_got_a_run_ends_with_its_error() -> None:
    event = error_frame(ChatError(Code.STARTING), "q1")
    assert event.startswith(b'event: error\ndata: {"type":"error","code":"starting"')
    assert event.endswith(b"}\n\n")
