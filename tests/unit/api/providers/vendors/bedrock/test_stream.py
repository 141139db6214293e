"""The events of ConverseStream become items; the usage comes after the reason, and exceptions within the stream."""

import base64
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Signature, Token, ToolCall, Usage
from chatfleet_api.domain.request import RESPONSES, ChatRequest, Message, Sent
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendors.bedrock.errors import ERROR_NAMES
from chatfleet_api.providers.vendors.bedrock.framing import EventStreamFraming
from chatfleet_api.providers.vendors.bedrock.stream import ConverseParser
from chatfleet_api.providers.vendors.bedrock.whole import events_of
from harness.upstream.event_stream import event_frame, exception_frame, frame

ASKED = ChatRequest("m", (Message("user", "Hello there."),))
START = event_frame("messageStart", {"role": "assistant"})
COUNTED = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}


def text(piece: str) -> bytes:
    return event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})


def stop(reason: str = "end_turn") -> bytes:
    return event_frame("messageStop", {"stopReason": reason})


def usage(**numbers: object) -> bytes:
    return event_frame("metadata", {"usage": COUNTED | numbers, "metrics": {"latencyMs": 1}})


def parsed(*frames: bytes, request: ChatRequest = ASKED) -> tuple[list[StreamItem], ConverseParser]:
    framing, parser = EventStreamFraming(), ConverseParser(request)
    items: list[StreamItem] = []
    for payload in framing.feed(b"".join(frames)):
        parser.read(payload, items)
    return items, parser


def failure(*frames: bytes) -> ChatError:
    with pytest.raises(ChatError) as raised:
        parsed(*frames)
    return raised.value


def test_the_usage_after_the_reason_is_part_of_the_finish() -> None:
    items, parser = parsed(START, text("Hi"), stop())
    assert (items, parser.is_ending, parser.done) == ([Token("Hi")], True, False)
    items, parser = parsed(START, text("Hi"), stop(), usage())
    assert items == [Token("Hi"), Finish("stop", Usage(5, 2))]
    assert parser.done


def test_cached_tokens_are_parts_of_the_input() -> None:
    items, _ = parsed(START, text("Hi"), stop(), usage(cacheReadInputTokens=100, cacheWriteInputTokens=20))
    expected = Usage(125, 2, cache_read_tokens=100, cache_write_tokens=20)
    assert items[-1] == Finish("stop", expected)


def test_usage_has_what_the_cache_keeps_for_an_hour() -> None:
    kept = [{"ttl": "5m", "inputTokens": 15}, {"ttl": "1h", "inputTokens": 5}]
    items, _ = parsed(START, text("Hi"), stop(), usage(cacheWriteInputTokens=20, cacheDetails=kept))
    assert items[-1] == Finish("stop", Usage(25, 2, cache_write_tokens=20, cache_write_1h_tokens=5))


def test_an_answer_that_ends_after_its_reason_is_whole_with_estimated_usage() -> None:
    _, parser = parsed(START, text("Hi"), stop())
    assert parser.end() == Finish("stop", Usage(3, 1, estimated=True))


def test_an_answer_that_ends_before_its_reason_is_not() -> None:
    _, parser = parsed(START, text("Hi"))
    with pytest.raises(ChatError) as raised:
        parser.end()
    assert raised.value.code is Code.UPSTREAM_TRUNCATED
    assert failure(START, text("Hi"), usage()).code is Code.UPSTREAM_TRUNCATED


def test_tool_calls_are_numbered_and_one_without_arguments_has_an_empty_object() -> None:
    def began(index: int, ident: str) -> bytes:
        start = {"toolUse": {"toolUseId": ident, "name": "get"}}
        return event_frame("contentBlockStart", {"contentBlockIndex": index, "start": start})

    def piece(index: int, arguments: str) -> bytes:
        return event_frame(
            "contentBlockDelta", {"contentBlockIndex": index, "delta": {"toolUse": {"input": arguments}}}
        )

    ended = event_frame("contentBlockStop", {"contentBlockIndex": 2})
    items, _ = parsed(
        START, text("Let me look."), began(1, "t1"), piece(1, '{"a"'), piece(1, ":1}"), began(2, "t2"), ended, stop()
    )
    assert items == [
        Token("Let me look."),
        ToolCall(0, "t1", "get"),
        ToolCall(0, arguments='{"a"'),
        ToolCall(0, arguments=":1}"),
        ToolCall(1, "t2", "get"),
        ToolCall(1, arguments="{}"),
    ]


REDACTED = base64.b64encode(b"secret").decode()


def reasoning(**delta: object) -> bytes:
    return event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": delta}})


THOUGHTS = (reasoning(text="Hm."), reasoning(signature="x+/=="), reasoning(redactedContent=REDACTED))


def test_reasoning_is_an_item_and_its_signature_none() -> None:
    items, _ = parsed(START, *THOUGHTS)
    assert items == [Reasoning("Hm.")]


def test_a_client_that_gives_reasoning_back_gets_signatures_byte_for_byte() -> None:
    asked = replace(ASKED, sent=Sent(RESPONSES, msgspec.Raw(b"{}"), 1))
    items, _ = parsed(START, *THOUGHTS, request=asked)
    assert items == [
        Reasoning("Hm."),
        Reasoning("", signature=Signature("m", "x+/==")),
        Reasoning("", signature=Signature("m", REDACTED, redacted=True)),
    ]
    whole = {
        "output": {
            "message": {
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "x+/=="}}},
                    {"reasoningContent": {"redactedContent": REDACTED}},
                    {"of_next_year": 1},
                ]
            }
        },
        "stopReason": "end_turn",
    }
    parser, read = ConverseParser(asked), list[StreamItem]()
    for payload in events_of(msgspec.json.encode(whole)):
        parser.read(payload, read)
    assert read[:3] == items


@pytest.mark.parametrize(
    ("word", "reason"),
    {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "guardrail_intervened": "content_filter",
        "content_filtered": "content_filter",
    }.items(),
)
def test_reasons_to_stop(word: str, reason: FinishReason) -> None:
    items, _ = parsed(START, stop(word), usage())
    assert items == [Finish(reason, Usage(5, 2))]


@pytest.mark.parametrize("word", ["malformed_model_output", "malformed_tool_use", "of_next_year", ""])
def test_any_other_reason_means_that_the_answer_is_not_whole(word: str) -> None:
    assert failure(START, text("Hi"), stop(word)).code is Code.UPSTREAM_TRUNCATED


@pytest.mark.parametrize(
    ("kind", "code"),
    {
        "internalServerException": Code.UPSTREAM_ERROR,
        "modelStreamErrorException": Code.UPSTREAM_ERROR,
        "modelTimeoutException": Code.UPSTREAM_TIMEOUT,
        "serviceUnavailableException": Code.UPSTREAM_OVERLOADED,
        "throttlingException": Code.UPSTREAM_RATE_LIMITED,
        "validationException": Code.UPSTREAM_REJECTED,
        "exceptionOfNextYearException": Code.UPSTREAM_ERROR,
    }.items(),
)
def test_an_exception_inside_the_stream_is_an_error_with_its_code(kind: str, code: Code) -> None:
    error = failure(START, text("Hi"), exception_frame(kind, {"message": "It broke."}))
    assert error.code is code
    assert "It broke." in (error.detail or "")
    assert error.message == ("It broke." if code is Code.UPSTREAM_REJECTED else error.facts.message)


def test_an_input_that_is_too_long_is_named_so() -> None:
    said = {"message": "Input is too long for requested model."}
    assert failure(exception_frame("validationException", said)).code is Code.CONTEXT_TOO_LONG


def test_an_error_without_a_type_is_an_error() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "It broke."}
    error = failure(START, frame(headers, b""))
    assert (error.code, "It broke." in (error.detail or "")) == (Code.UPSTREAM_ERROR, True)


@pytest.mark.parametrize("begun", [text("Hi"), stop(), event_frame("contentBlockStart", {"contentBlockIndex": 0})])
def test_an_answer_begins_with_its_message(begun: bytes) -> None:
    assert failure(begun).code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize(
    "event",
    [
        event_frame("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": "{}"}}}),
        event_frame("contentBlockDelta", b"{nonsense"),
        event_frame("contentBlockDelta", b"7"),
        event_frame("metadata", b"[" * 100_000),
    ],
    ids=["arguments of no call", "no JSON", "a number", "too deep"],
)
def test_what_cannot_be_an_event_is_malformed(event: bytes) -> None:
    assert failure(START, event).code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize(
    "delta",
    [
        {"contentBlockIndex": 0, "delta": {"text": "Hi", "toolUse": 7}},
        {"contentBlockIndex": None, "delta": {"text": "Hi", "reasoningContent": []}},
        {"contentBlockIndex": 0, "delta": {"text": "Hi"}, "of_next_year": {"a": [1]}},
    ],
)
def test_fields_of_another_type_are_left_out(delta: dict[str, Any]) -> None:
    items, _ = parsed(START, event_frame("contentBlockDelta", delta), event_frame("ofNextYear", {"a": 1}))
    assert items == [Token("Hi")]


@pytest.mark.parametrize("number", [0, -1, None, 2**60, "7", True])
def test_a_number_that_is_no_count_leaves_an_estimate(number: object) -> None:
    items, _ = parsed(START, text("Hi"), stop(), usage(outputTokens=number))
    assert items[-1] == Finish("stop", Usage(5, 1, estimated=True))


def test_halves_of_a_character_are_joined_and_none_waits_for_ever() -> None:
    def escaped(piece: bytes) -> bytes:
        return event_frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"' + piece + b'"}}')

    items, _ = parsed(START, escaped(rb"A\ud83d"), escaped(rb"\ude00B\ud83d"), stop(), usage())
    joined = "".join(item.text for item in items if isinstance(item, Token))
    assert joined == "A\N{GRINNING FACE}B\N{REPLACEMENT CHARACTER}"


def test_every_documented_error_has_a_code() -> None:
    documented = {
        *("AccessDeniedException", "InternalServerException", "ModelErrorException", "ModelNotReadyException"),
        *("ModelStreamErrorException", "ModelTimeoutException", "ResourceNotFoundException"),
        *("ServiceQuotaExceededException", "ServiceUnavailableException", "ThrottlingException"),
    }
    assert documented <= set(ERROR_NAMES)  # the status stands for ValidationException


def test_an_estimate_counts_pieces() -> None:
    assert msgspec.json.encode(parsed(START, text("a"), text("b"), stop())[1].end().usage.output_tokens) == b"2"
