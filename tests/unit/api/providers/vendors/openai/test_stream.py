"""OpenAI's chunks become pieces; only a finish reason makes an answer whole."""

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

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
        ToolCall(1, "b", "g"),
        ToolCall(2, "c", "h"),
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


def test_usage_has_what_the_cache_keeps_for_how_long_and_audio_and_the_tier_that_answered() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {
            "cache_write_tokens": 50,
            "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 30},
            "audio_tokens": 7,
        },
        "completion_tokens_details": {"audio_tokens": 5},
    }
    finish = read(STOP, chunk(usage=usage, service_tier="flex"))[-1]
    assert isinstance(finish, Finish)
    assert finish.usage == Usage(
        100,
        20,
        cache_write_tokens=50,
        cache_write_30m_tokens=20,
        cache_write_12h_tokens=30,
        audio_input_tokens=7,
        audio_output_tokens=5,
        service_tier="flex",
    )
    usual = read(STOP, chunk(usage=usage, service_tier="default"))[-1]
    assert isinstance(usual, Finish)
    assert usual.usage.service_tier == ""


Piece: TypeAlias = dict[str, Any]


def piece(name: str | None = None, arguments: object = None, **more: object) -> Piece:
    return {"function": {"name": name, "arguments": arguments}, **more}


def together(*pieces: Piece) -> list[tuple[str | None, str | None, str]]:
    """Return id, name and arguments of each call as a client that follows the numbers gets them."""
    calls: dict[int, list[ToolCall]] = {}
    for item in read(*(chunk({"tool_calls": [each]}) for each in pieces), chunk({}, "tool_calls"))[:-1]:
        assert isinstance(item, ToolCall)
        calls.setdefault(item.index, []).append(item)
    assert list(calls) == list(range(len(calls)))
    for first, *others in calls.values():
        assert first.id
        assert first.name
        assert not any(other.id or other.name for other in others)
    return [(all_[0].id, all_[0].name, "".join(each.arguments for each in all_)) for all_ in calls.values()]


CITY, ZONE = '{"city":"Paris"}', '{"tz":"CET"}'
TWO = [("a", "weather", CITY), ("b", "clock", ZONE)]


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("weather", CITY, id="a"), piece("clock", ZONE, id="b")],
        [piece("weather", CITY, id="a", index=0), piece("clock", ZONE, id="b", index=0)],
        [piece("weather", CITY, id="a", index=1), piece("clock", ZONE, id="b", index=2)],
        [
            piece("weather", '{"city":', id="a", index=0),
            piece("clock", '{"tz":', id="b", index=1),
            piece("weather", '"Paris"}', id="a", index=0),
            piece("clock", '"CET"}', id="b", index=1),
        ],
        [
            piece("weather", '{"city":', id="a"),
            piece("clock", '{"tz":', id="b"),
            piece("weather", '"Paris"}', id="a"),
            piece("clock", '"CET"}', id="b"),
        ],
        [
            piece("", '{"city":', id="", index=0),
            piece("weather", '"Paris"}', id="", index=0),
            piece(None, "", id="a", index=0),
            piece("clock", ZONE, id="b", index=1),
        ],
        [piece("weather", {"city": "Paris"}, id="a"), piece("clock", {"tz": "CET"}, id="b")],
    ],
    ids=["ids alone", "one index", "indexes from 1", "repeated", "repeated, no index", "late", "objects"],
)
def test_tool_calls_are_kept_apart_by_what_identifies_them(pieces: list[Piece]) -> None:
    assert [(call, name, arguments.replace(" ", "")) for call, name, arguments in together(*pieces)] == TWO


@pytest.mark.parametrize("missing", [{}, {"id": None}, {"id": ""}])
def test_a_tool_call_without_id_gets_one(missing: Piece) -> None:
    wanted = [("weather", CITY), ("clock", ZONE), ("clock", ZONE)]
    calls = together(*(piece(name, arguments, **missing) for name, arguments in wanted))
    assert [call[1:] for call in calls] == wanted
    assert len({call[0] for call in calls}) == len(calls)


def test_a_made_id_is_not_repeated_in_the_next_turn() -> None:
    payloads = chunk({"tool_calls": [piece("weather", CITY)]}), chunk({}, "tool_calls")
    longer = ChatRequest("m", (*REQUEST.messages, Message("assistant", "ok"), Message("user", "again")))
    first, later = read(*payloads)[0], read(*payloads, parser=lambda _: CompletionParser(longer))[0]
    assert isinstance(first, ToolCall)
    assert isinstance(later, ToolCall)
    assert first.id != later.id


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["eos"], "stop"),
        (["STOP"], "stop"),
        (["end_turn"], "stop"),
        (["model_length"], "length"),
        (["MAX_TOKENS"], "length"),
        (["SAFETY"], "content_filter"),
        (["length", "stop"], "length"),
    ],
)
def test_the_words_of_other_vendors_are_ends(words: list[str], reason: str) -> None:
    last = read(chunk({"content": "a"}), *(chunk({}, word) for word in words), DONE)[-1]
    assert isinstance(last, Finish)
    assert last.reason == reason


@pytest.mark.parametrize("identity", [{}, {"id": "a"}])
def test_a_tool_call_after_the_reason_is_kept(identity: Piece) -> None:
    *calls, last = read(chunk({}, "stop"), chunk({"tool_calls": [piece("f", CITY, **identity)]}), DONE)
    assert [call.arguments for call in calls if isinstance(call, ToolCall)] == [CITY]
    assert isinstance(last, Finish)
    assert last.reason == "tool_calls"


@pytest.mark.parametrize("words", [["stop"], ["tool_calls", "stop"], ["stop", "stop"]])
def test_an_answer_with_tool_calls_stops_for_them(words: list[str]) -> None:
    last = read(chunk({"tool_calls": [piece("f", "{}", id="a")]}), *(chunk({}, word) for word in words))[-1]
    assert isinstance(last, Finish)
    assert last.reason == "tool_calls"


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (
            [{"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 10}],
            Usage(3, 7, reasoning_tokens=5),
        ),
        (
            [COUNTED | {"total_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}],
            Usage(3, 6, reasoning_tokens=4),
        ),
        ([COUNTED | {"total_tokens": 5}, {"prompt_tokens": 0, "completion_tokens": 0}], Usage(3, 2)),
        ([{"prompt_tokens": 3.0, "completion_tokens": "2", "total_tokens": None}], Usage(3, 2)),
        ([COUNTED, {"prompt_tokens": -1, "completion_tokens": -7, "total_tokens": -8}], Usage(3, 2)),
        ([COUNTED, "none"], Usage(3, 2)),
        ([{}], Usage(2, 1, estimated=True)),
        ([{"prompt_tokens": 0, "completion_tokens": 0}], Usage(2, 1, estimated=True)),
        ([{"prompt_tokens": 5, "completion_tokens": -1}], Usage(5, 1, estimated=True)),
        ([7, [], {"prompt_tokens_details": 5}], Usage(2, 1, estimated=True)),
    ],
)
def test_usage_is_never_wrong_for_an_odd_figure(reported: list[object], expected: Usage) -> None:
    payloads = [chunk({"content": "a"}), *(chunk(usage=usage) for usage in reported), STOP]
    assert read(*payloads)[-1] == Finish("stop", expected)


@pytest.mark.parametrize(
    ("payload", "items"),
    [
        (chunk({"content": "a"}, usage=None, error=""), [Token("a")]),
        (chunk({"content": "a"}, error={}), [Token("a")]),
        (chunk({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}), [Token("ab")]),
        (
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
            [Reasoning("hm")],
        ),
        (chunk({"content": "a", "reasoning_content": {"text": "hm"}}), [Reasoning("hm"), Token("a")]),
        (chunk({"content": "a", "role": 7, "refusal": False}), [Token("a")]),
        (b'{"choices":[{"delta":{"content":"a\\ud83d"}}]}', [Token("a"), Token("\ufffd")]),
        (b'{"choices":[{"delta":{"content":"a\xff"}}]}', [Token("a\ufffd")]),
        (b"", []),
        (b"{}", []),
    ],
)
def test_an_odd_value_that_nobody_needs_ends_no_answer(payload: bytes, items: list[StreamItem]) -> None:
    assert read(payload, STOP, b"[DONE] ")[:-1] == items


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"object": "error", "message": "too many", "type": "RateLimit", "code": 429}, Code.UPSTREAM_RATE_LIMITED),
        ({"message": "overloaded", "code": 503}, Code.UPSTREAM_OVERLOADED),
        ({"message": "broken", "type": "server_error"}, Code.UPSTREAM_ERROR),
        ({"error": {"message": {"why": "broken"}, "code": [1]}}, Code.UPSTREAM_ERROR),
        ({"error": {"foo": 1}}, Code.UPSTREAM_ERROR),
        ({"error": True}, Code.UPSTREAM_ERROR),
        ({"object": "error", "message": "overloaded", "code": 503, "choices": []}, Code.UPSTREAM_OVERLOADED),
        ({"error_code": 503, "error_msg": "overloaded"}, Code.UPSTREAM_OVERLOADED),
        ({"error_message": "broken"}, Code.UPSTREAM_ERROR),
    ],
)
def test_a_flat_error_is_an_error_even_after_a_reason(body: dict[str, object], code: Code) -> None:
    assert failure(STOP, msgspec.json.encode(body), DONE).code is code


@pytest.mark.parametrize("field", ["delta", "usage", "error"])
def test_json_that_nests_too_deeply_is_malformed(field: str) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert failure(b'{"choices":[{"delta":{}}],"%s":%s}' % (field.encode(), deep)).code is Code.UPSTREAM_MALFORMED


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
    own = partial(CompletionParser, finish_reasons=MappingProxyType({"own_length": "length"}))
    assert read(chunk({}, "own_length"), parser=own)[-1] == Finish("length", Usage(2, 0, estimated=True))
    assert failure(chunk({}, "own_length")).code is Code.UPSTREAM_TRUNCATED
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


@pytest.mark.parametrize("payload", [b"{", b"[]", b'{"choices":{}}', b'{"choices":[{"delta":"x"}]}', b'"\xff"'])
def test_what_is_no_chunk_is_malformed(payload: bytes) -> None:
    assert failure(payload).code is Code.UPSTREAM_MALFORMED


def test_calls_of_custom_tools_become_tool_calls_that_are_marked() -> None:
    first = {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "run", "input": ""}}
    pieces = read(
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "a{"}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "f", "arguments": "{}"}}]}, "tool_calls"),
        DONE,
    )
    assert pieces[:3] == [
        ToolCall(0, "c1", "run", custom=True),
        ToolCall(0, arguments="a{"),
        ToolCall(1, "c2", "f", "{}"),
    ]


def test_a_call_of_a_custom_tool_in_an_odd_chunk_is_read_too() -> None:
    call = {"id": "c1", "type": "custom", "custom": {"name": "run", "input": "a"}}
    document = {"choices": [{"message": {"content": "Hi", "tool_calls": [call]}, "finish_reason": "stop"}]}
    _, made, finish = read(msgspec.json.encode(document), DONE)
    assert made == ToolCall(0, "c1", "run", "a", custom=True)
    assert isinstance(finish, Finish)
    assert finish.reason == "tool_calls"
