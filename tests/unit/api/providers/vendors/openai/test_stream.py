"""OpenAI's chunks become pieces; only a finish reason makes an answer whole."""

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Reasoning, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendor import StreamParser
from chatfleet_api.providers.vendors.openai.stream import CompletionParser

REQUEST = ChatRequest("m", (Message("user", "eight by"),))
DONE = b"[DONE]"


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return msgspec.json.encode({"id": "1", "choices": choices, **more})


def read(*payloads: bytes, parser: Callable[[ChatRequest], StreamParser] = CompletionParser) -> list[StreamItem]:
    answer, pieces = parser(REQUEST), list[StreamItem]()
    for payload in payloads:
        answer.read(payload, pieces)
    if not answer.done:
        pieces.append(answer.end())
    return pieces


def failure(*payloads: bytes, parser: Callable[[ChatRequest], StreamParser] = CompletionParser) -> ChatError:
    with pytest.raises(ChatError) as caught:
        read(*payloads, parser=parser)
    return caught.value


STOP = chunk({}, "stop")
COUNTED = {"prompt_tokens": 3, "completion_tokens": 2}


def test_text_reasoning_and_refusals_become_pieces_and_empty_deltas_none() -> None:
    pieces = read(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm,"}),
        chunk({"reasoning": " yes."}),
        chunk({"content": "Yes", "reasoning": None}),
        chunk({"refusal": "No"}),
        chunk({"reasoning": "both", "content": "!"}),
        STOP,
        DONE,
    )
    said = [Reasoning("Hm,"), Reasoning(" yes."), Token("Yes"), Token("No"), Reasoning("both"), Token("!")]
    assert pieces[:-1] == said


def test_tool_calls_become_pieces_by_their_index() -> None:
    pieces = read(
        chunk(
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x":1}'}}]}),
        chunk({"tool_calls": [{"id": "b", "function": {"name": "g"}}, {"id": "c", "function": {"name": "h"}}]}),
        chunk({}, "tool_calls"),
    )
    assert pieces[:-1] == [
        ToolCall(0, "a", "f"),
        ToolCall(0, arguments='{"x":1}'),
        ToolCall(0, "b", "g"),
        ToolCall(1, "c", "h"),
    ]
    assert isinstance(pieces[-1], Finish)
    assert pieces[-1].reason == "tool_calls"


@pytest.mark.parametrize(
    "payloads",
    [
        (STOP, chunk(usage=COUNTED), DONE),
        (chunk({}, "stop", usage=COUNTED), DONE),
        (chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1}), STOP, chunk(usage=COUNTED)),
        (STOP, chunk(usage=COUNTED)),
        (chunk(usage=COUNTED), STOP, DONE),
    ],
    ids=["a chunk of its own", "with the reason", "in every chunk", "no mark of the end", "before the reason"],
)
def test_usage_is_heard_wherever_it_comes(payloads: tuple[bytes, ...]) -> None:
    assert read(*payloads)[-1] == Finish("stop", Usage(input_tokens=3, output_tokens=2))


def test_usage_tells_cached_and_reasoning_tokens_as_parts_of_the_totals() -> None:
    usage = COUNTED | {
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1, "audio_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert read(STOP, chunk(usage=usage))[-1] == Finish(
        "stop",
        Usage(input_tokens=3, output_tokens=2, reasoning_tokens=1, cache_read_tokens=2, cache_write_tokens=1),
    )


def test_usage_that_never_comes_is_estimated_and_marked() -> None:
    pieces = read(chunk({"content": "a"}), chunk({"content": "b"}), chunk({"content": "c"}), STOP, DONE)
    assert pieces[-1] == Finish("stop", Usage(input_tokens=2, output_tokens=3, estimated=True))


def test_chunks_of_azure_without_delta_or_choices_are_passed_over() -> None:
    filtered = msgspec.json.encode({"choices": [{"index": 0, "content_filter_results": {}, "finish_reason": None}]})
    assert read(chunk(prompt_filter_results=[]), filtered, chunk({"content": "a"}), STOP)[0] == Token("a")


@pytest.mark.parametrize("payloads", [(), (DONE,), (chunk({"content": "a"}), DONE), (chunk({"content": "a"}),)])
def test_an_end_without_a_reason_is_none(payloads: tuple[bytes, ...]) -> None:
    assert failure(*payloads).code is Code.UPSTREAM_TRUNCATED


@pytest.mark.parametrize("reason", ["abort", "error", "something_new"])
def test_a_reason_that_is_not_known_to_be_an_end_is_none(reason: str) -> None:
    error = failure(chunk({"content": "a"}, reason), DONE)
    assert error.code is Code.UPSTREAM_TRUNCATED
    assert reason in (error.detail or "")


def test_a_vendor_may_have_its_own_reasons_instead() -> None:
    own = partial(CompletionParser, finish_reasons=MappingProxyType({"model_length": "length"}))
    assert read(chunk({}, "model_length"), parser=own)[-1] == Finish("length", Usage(2, 0, estimated=True))
    assert failure(chunk({}, "model_length")).code is Code.UPSTREAM_TRUNCATED
    assert failure(STOP, parser=own).code is Code.UPSTREAM_TRUNCATED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "x", "type": "server_error", "code": None}, Code.UPSTREAM_ERROR),
        ({"message": "x", "type": "tokens", "code": "rate_limit_exceeded"}, Code.UPSTREAM_RATE_LIMITED),
        ({"message": "x", "type": "BadRequestError", "code": 400}, Code.UPSTREAM_REJECTED),
        ({"message": "x", "type": "invalid_request_error"}, Code.UPSTREAM_REJECTED),
        ("plainly broken", Code.UPSTREAM_ERROR),
    ],
)
def test_an_error_inside_the_stream_is_an_error_even_after_a_reason(error: object, code: Code) -> None:
    assert failure(STOP, chunk(error=error)).code is code


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"choices":{}}', b'{"choices":[{"delta":"x"}]}', b'"\xff"'])
def test_what_is_no_chunk_is_malformed(payload: bytes) -> None:
    assert failure(payload).code is Code.UPSTREAM_MALFORMED
