"""Chunks that OpenAI does not send are read as what they mean, and what a client would miss is noted."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Reasoning, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendors.openai.stream import CompletionParser

REQUEST = ChatRequest("m", (Message("user", "eight by"),))
COUNTED = {"prompt_tokens": 3, "completion_tokens": 2}
ARGUMENTS = '{"city":"Paris"}'


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **more: object) -> bytes:
    return msgspec.json.encode({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more})


def choice(**fields: object) -> bytes:
    return msgspec.json.encode({"choices": [{"index": 0, **fields}]})


STOP = chunk({}, "stop")


def parsed(*payloads: bytes) -> tuple[list[StreamItem], CompletionParser]:
    parser, items = CompletionParser(REQUEST), list[StreamItem]()
    for payload in payloads:
        parser.read(payload, items)
    if not parser.done:
        items.append(parser.end())
    return items, parser


def read(*payloads: bytes) -> list[StreamItem]:
    return parsed(*payloads)[0]


def finish(*payloads: bytes) -> Finish:
    last = read(*payloads)[-1]
    assert isinstance(last, Finish)
    return last


def failure(*payloads: bytes) -> ChatError:
    with pytest.raises(ChatError) as caught:
        read(*payloads)
    return caught.value


def code_of(*payloads: bytes) -> Code | None:
    try:
        read(*payloads)
    except ChatError as error:
        return error.code
    return None


# Tool calls in OpenAI's old form


def function(**fields: object) -> dict[str, Any]:
    return {"content": None, "function_call": fields}


def calls(*payloads: bytes) -> list[tuple[str | None, str]]:
    """Return name and arguments of each call, which has an id."""
    items = [item for item in read(*payloads) if isinstance(item, ToolCall)]
    assert all(item.id for item in items)
    return [(item.name, item.arguments) for item in items]


@pytest.mark.parametrize(
    "deltas",
    [
        [function(name="weather", arguments=""), function(arguments='{"city":'), function(arguments='"Paris"}')],
        [{"role": "assistant", **function(name="weather", arguments=ARGUMENTS)}],
        [{"content": "Well.", "function_call": {"name": "weather", "arguments": ARGUMENTS}}],
    ],
    ids=["pieces", "whole", "beside text"],
)
def test_a_call_in_the_old_form_is_a_tool_call(deltas: list[dict[str, Any]]) -> None:
    payloads = [*map(chunk, deltas), chunk({}, "function_call"), b"[DONE]"]
    assert calls(*payloads) == [("weather", ARGUMENTS)]
    assert finish(*payloads).reason == "tool_calls"


def test_arguments_of_the_old_form_may_be_an_object() -> None:
    ((_, arguments),) = calls(chunk(function(name="weather", arguments={"city": "Paris"})), STOP)
    assert msgspec.json.decode(arguments) == {"city": "Paris"}


NEW = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": ARGUMENTS}}
OLD = {"name": "weather", "arguments": ARGUMENTS}


@pytest.mark.parametrize(
    "deltas",
    [
        [{"tool_calls": [NEW], "function_call": OLD}],
        [{"tool_calls": [NEW]}, {"function_call": OLD}],
        [{"function_call": OLD}, {"tool_calls": [NEW]}],
        [{"tool_calls": [{**NEW, "id": None}], "function_call": OLD}],
    ],
    ids=["together", "after", "before", "without id"],
)
@pytest.mark.parametrize("word", ["tool_calls", "function_call", "stop"])
def test_a_call_in_both_forms_counts_once(deltas: list[dict[str, Any]], word: str) -> None:
    payloads = [*map(chunk, deltas), chunk({}, word)]
    assert calls(*payloads) == [("weather", ARGUMENTS)]
    assert finish(*payloads).reason == "tool_calls"


def test_a_call_in_the_old_form_after_the_reason_is_kept() -> None:
    assert calls(STOP, chunk({"function_call": OLD}), b"[DONE]") == [("weather", ARGUMENTS)]


# Errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "x", "code": "503"}, Code.UPSTREAM_OVERLOADED),
        ({"message": "x", "code": " 429 "}, Code.UPSTREAM_RATE_LIMITED),
        ({"message": "x", "status": 503}, Code.UPSTREAM_OVERLOADED),
        ({"message": "x", "status": "504"}, Code.UPSTREAM_TIMEOUT),
        ({"message": "x", "code": "engine_busy", "status": 503}, Code.UPSTREAM_OVERLOADED),
        ({"message": "x", "code": 1302, "status_code": 429}, Code.UPSTREAM_RATE_LIMITED),
        ({"message": "x", "statusCode": 429.0}, Code.UPSTREAM_RATE_LIMITED),
        ({"message": "x", "type": "429"}, Code.UPSTREAM_RATE_LIMITED),
        ({"message": "x", "code": "rate_limit_exceeded", "status": 500}, Code.UPSTREAM_RATE_LIMITED),
        ({"message": "x", "code": "123456789012345678901234567890"}, Code.UPSTREAM_ERROR),
        ({"message": "x", "code": 200, "status": "UNAVAILABLE"}, Code.UPSTREAM_ERROR),
        ({"message": "x", "code": True}, Code.UPSTREAM_ERROR),
    ],
)
def test_a_status_is_read_wherever_and_however_it_stands(error: dict[str, object], code: Code) -> None:
    for payload in (chunk({"content": "a"}, error=error), msgspec.json.encode(error), choice(delta={}, error=error)):
        assert failure(payload).code is code
    assert failure(msgspec.json.encode({"error": {"message": "x"}, "status": 503})).code is Code.UPSTREAM_OVERLOADED


def test_an_error_of_groq_is_an_error() -> None:
    assert failure(chunk({}, "stop", x_groq={"id": "r", "error": "it broke"})).code is Code.UPSTREAM_ERROR


# Usage


@pytest.mark.parametrize(
    "payloads",
    [
        (STOP, msgspec.json.encode({"choices": [], "usage": {"input_tokens": 3, "output_tokens": 2}})),
        (chunk({}, "stop", x_groq={"id": "r", "usage": COUNTED}),),
        (chunk({}, "stop", x_groq={"id": "r", "usage": COUNTED}, usage={}),),
        (choice(delta={}, finish_reason="stop", usage=COUNTED),),
        (chunk({}, "stop", usage=COUNTED | {"input_tokens": 0, "output_tokens": 0}),),
    ],
    ids=["other names", "Groq's", "an empty one before", "Moonshot's", "zeros"],
)
def test_usage_is_found_under_other_names_and_in_other_places(payloads: tuple[bytes, ...]) -> None:
    assert finish(chunk({"content": "a"}), *payloads).usage == Usage(3, 2)


def test_parts_of_usage_have_other_names_too() -> None:
    usage = {
        "input_tokens": 9,
        "output_tokens": 5,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 3},
    }
    assert finish(STOP, chunk({}, usage=usage)).usage == Usage(9, 5, reasoning_tokens=3, cache_read_tokens=4)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"completion_tokens": 7}, Usage(2, 7, estimated=True)),
        ({"prompt_tokens": 0, "completion_tokens": 7}, Usage(2, 7, estimated=True)),
        ({"completion_tokens": 7, "total_tokens": 12}, Usage(5, 7, estimated=True)),
        ({"output_tokens": 7}, Usage(2, 7, estimated=True)),
    ],
)
def test_an_input_that_is_not_counted_is_never_shown_as_exact(usage: dict[str, int], expected: Usage) -> None:
    assert finish(chunk({"content": "a"}), STOP, chunk({}, usage=usage)).usage == expected


# Content in another form or place


@pytest.mark.parametrize(
    ("payload", "items"),
    [
        (chunk({"content": 5}), [Token("5")]),
        (chunk({"content": 7.5}), [Token("7.5")]),
        (chunk({"content": [{"type": "text", "text": 5}]}), [Token("5")]),
        (choice(message={"role": "assistant", "content": "a"}), [Token("a")]),
        (choice(delta=None, message={"content": "a", "reasoning": "hm"}), [Reasoning("hm"), Token("a")]),
        (choice(message="a"), [Token("a")]),
        (choice(text="a"), [Token("a")]),
        (chunk({"content": "a"}, x_groq="r"), [Token("a")]),
        (chunk({}, x_groq="r"), []),
        (chunk({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}), [Reasoning("hm")]),
        (chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}), [Reasoning("hm")]),
        (
            chunk({"content": "", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
            [Reasoning("hm")],
        ),
        (chunk({"content": "a", "reasoning_details": []}), [Token("a")]),
        (chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}), []),
    ],
)
def test_content_is_used_where_its_meaning_is_clear(payload: bytes, items: list[StreamItem]) -> None:
    found, parser = parsed(payload, STOP)
    assert found[:-1] == items
    assert not parser.left_out


def test_every_piece_may_come_in_a_message() -> None:
    pieces = [choice(message={"content": text}) for text in ("a", "b")]
    assert read(*pieces, choice(message={}, finish_reason="stop"))[:-1] == [Token("a"), Token("b")]


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (chunk({"content": True}), "content"),
        (chunk({"content": {"parts": ["a"]}}), "content of type None"),
        (chunk({"content": [{"type": "image_url", "image_url": {}}]}), "content of type image_url"),
        (chunk({"content": "", "images": [{"type": "image_url"}]}), "images"),
        (chunk({"audio": {"data": "x"}}), "audio"),
        (choice(message={"content": "all of it again"}), "message"),
    ],
)
def test_what_a_client_would_miss_is_noted(payload: bytes, name: str) -> None:
    items, parser = parsed(chunk({"content": "a"}), payload, STOP)
    assert items[:-1] == [Token("a")]
    assert set(parser.left_out) == {name}


def test_notes_are_bounded() -> None:
    parts = [{"type": "x" * 1_000 + str(number)} for number in range(100)]
    _, parser = parsed(chunk({"content": [{"type": str(number)} for number in range(100)]}), STOP)
    assert len(parser.left_out) <= 8
    _, parser = parsed(chunk({"content": parts}), STOP)
    assert max(map(len, parser.left_out)) <= 60


@pytest.mark.parametrize("depth", [50, 150, 250, 350, 500, 700, 900, 1_500, 100_000])
@pytest.mark.parametrize(
    "form",
    [
        b'{"content":%s}',
        b'{"content":5,"reasoning":%s}',
        b'{"function_call":{"arguments":%s}}',
        b'{"reasoning_details":[{"text":%s}]}',
    ],
)
def test_json_that_nests_too_deeply_is_read_or_malformed_but_never_a_crash(form: bytes, depth: int) -> None:
    payload = b'{"choices":[{"delta":%s}]}' % (form % (b"[" * depth + b"]" * depth))
    assert code_of(payload, STOP) in (None, Code.UPSTREAM_MALFORMED)


def test_arguments_that_nest_too_deeply_are_passed_on() -> None:
    deep = "{" + '"a":{' * 100_000
    pieces = [{"function": {"name": "f", "arguments": deep}}, {"function": {"name": "f", "arguments": "{}"}}]
    assert calls(*(chunk({"tool_calls": [piece]}) for piece in pieces), STOP) == [("f", deep + "{}")]
