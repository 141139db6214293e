"""The bytes of the OpenAI dialect."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from chatfleet_api.domain.errors import FACTS, ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Failed, Reasoning, Start, Token, ToolCall, Usage
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.collect import collect
from chatfleet_api.web.dialects.openai.encode import ChunkEncoder, completion_body, model_object
from chatfleet_api.web.dialects.openai.errors import error_body, error_frame
from harness.clients.asgi import each

START = Start("r1", "m", 1700000000)
USAGE = Usage(input_tokens=9, output_tokens=4, reasoning_tokens=1, cache_read_tokens=5, cache_write_tokens=2)
WHOLE: tuple[Event, ...] = (START, Token("Hel"), Token('l"o\n'), Complete("stop", USAGE))
HEAD = '{"id":"chatcmpl-r1","object":"chat.completion.chunk","created":1700000000,"model":"m",'
USAGE_JSON = (
    '{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,'
    '"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}}'
)


def encoded(*events: Event, include_usage: bool = False) -> str:
    return ChunkEncoder(include_usage=include_usage).encode(Batch(1, events)).decode()


def payloads(frames: str) -> list[Any]:
    return [
        json.loads(frame.removeprefix("data: ")) for frame in frames.split("\n\n") if frame not in ("", "data: [DONE]")
    ]


def deltas(frames: str) -> list[Any]:
    return [payload["choices"][0]["delta"] for payload in payloads(frames)]


def test_a_stream_is_the_vendors_byte_for_byte() -> None:
    assert encoded(*WHOLE) == (
        f'data: {HEAD}"choices":[{{"index":0,"delta":{{"role":"assistant","content":"","refusal":null}},'
        '"logprobs":null,"finish_reason":null}]}\n\n'
        f'data: {HEAD}"choices":[{{"index":0,"delta":{{"content":"Hel"}},"logprobs":null,"finish_reason":null}}]}}\n\n'
        f'data: {HEAD}"choices":[{{"index":0,"delta":{{"content":"l\\"o\\n"}},'
        '"logprobs":null,"finish_reason":null}]}\n\n'
        f'data: {HEAD}"choices":[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"stop"}}]}}\n\n'
        "data: [DONE]\n\n"
    )


def test_usage_comes_in_a_chunk_of_its_own_if_asked_for() -> None:
    *chunks, usage, done, _ = encoded(*WHOLE, include_usage=True).split("\n\n")
    assert usage == f'data: {HEAD}"choices":[],"usage":{USAGE_JSON}}}'
    assert done == "data: [DONE]"
    assert all(chunk.endswith(',"usage":null}') for chunk in chunks)


def test_batches_make_the_same_bytes_however_they_are_cut() -> None:
    encoder = ChunkEncoder(include_usage=True)
    pieces = [encoder.encode(Batch(seq, (event,))) for seq, event in enumerate(WHOLE, 1)]
    assert b"".join(pieces).decode() == encoded(*WHOLE, include_usage=True)


def test_a_failure_is_an_error_event_and_never_done() -> None:
    frames = encoded(START, Token("Hel"), Failed.of(ChatError(Code.UPSTREAM_TRUNCATED)))
    assert frames.endswith(
        'event: error\ndata: {"error":{"message":"The upstream closed the stream before it sent a finish reason.",'
        '"type":"server_error","param":null,"code":"upstream_truncated"}}\n\n'
    )
    assert "[DONE]" not in frames


def test_reasoning_and_tool_calls_are_deltas() -> None:
    frames = encoded(START, Reasoning("hm"), ToolCall(0, "c1", "add", ""), ToolCall(0, arguments='{"a":1}'))
    assert deltas(frames)[1:] == [
        {"reasoning_content": "hm"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]},
    ]


def test_every_chunk_is_a_chunk_to_the_vendors_sdk() -> None:
    events = (START, Reasoning("hm"), ToolCall(0, "c1", "add", "{}"), Token("x"), Complete("tool_calls", USAGE))
    for payload in payloads(encoded(*events, include_usage=True)):
        ChatCompletionChunk.model_validate(payload, strict=True)


async def test_a_whole_answer_is_a_completion_to_the_vendors_sdk() -> None:
    answer = await collect(each(Batch(1, WHOLE)))
    body = completion_body(answer, {"team": "a"})
    assert body.decode() == (
        '{"id":"chatcmpl-r1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":'
        '{"role":"assistant","content":"Hell\\"o\\n","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],'
        f'"usage":{USAGE_JSON},"metadata":{{"team":"a"}}}}'
    )
    ChatCompletion.model_validate_json(body, strict=True)


async def test_tool_calls_of_a_whole_answer_are_put_together() -> None:
    pieces = (ToolCall(0, "c1", "add", ""), ToolCall(0, arguments='{"a"'), ToolCall(0, arguments=":1}"))
    answer = await collect(each(Batch(1, (START, Reasoning("hm"), *pieces, Complete("tool_calls", USAGE)))))
    message = json.loads(completion_body(answer, None))["choices"][0]["message"]
    assert message == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}],
        "reasoning_content": "hm",
    }


@pytest.mark.parametrize("events", [(START, Token("Hel")), (START, Token("Hel"), Failed.of(ChatError(Code.CANCELLED)))])
async def test_an_answer_without_its_end_is_never_whole(events: tuple[Event, ...]) -> None:
    with pytest.raises(ChatError):
        await collect(each(Batch(1, events)))


def test_a_model_is_listed_as_by_the_vendor() -> None:
    assert model_object("m") == {"id": "m", "object": "model", "created": 0, "owned_by": "chatfleet"}


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (ChatError(Code.INVALID_REQUEST, param="n"), "invalid_request_error", None),
        (ChatError(Code.MODEL_NOT_FOUND, param="model"), "invalid_request_error", "model_not_found"),
        (ChatError(Code.CONTEXT_TOO_LONG), "invalid_request_error", "context_length_exceeded"),
        (ChatError(Code.METHOD_NOT_ALLOWED), "invalid_request_error", "method_not_supported"),
        (ChatError(Code.UPSTREAM_RATE_LIMITED), "rate_limit_error", "rate_limit_exceeded"),
        (ChatError(Code.AT_CAPACITY), "server_error", "at_capacity"),
        (ChatError(Code.INTERNAL), "server_error", "internal"),
    ],
)
def test_errors_carry_the_vendors_type_and_code(error: ChatError, kind: str, code: str | None) -> None:
    told = json.loads(error_body(error))["error"]
    assert told == {"message": error.message, "type": kind, "param": error.param, "code": code}


@pytest.mark.parametrize("code", FACTS)
def test_no_error_shows_what_is_for_operators_only(code: Code) -> None:
    assert b"10.0.0.7" not in error_body(ChatError(code, detail="connect to 10.0.0.7 failed"))


def test_a_stream_that_never_got_a_run_ends_with_its_error() -> None:
    event = error_frame(ChatError(Code.STARTING), "q1")
    assert event.startswith(b'event: error\ndata: {"error":{"message":"No pod became ready in time."')
    assert event.endswith(b"}\n\n")
