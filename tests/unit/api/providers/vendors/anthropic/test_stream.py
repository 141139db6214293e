"""Anthropic's events become pieces; only `message_stop` after a reason to stop makes a message whole."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.made_ids import made_id
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


def test_usage_has_what_the_cache_keeps_for_an_hour_and_the_tier_and_the_place_that_answered() -> None:
    last = ending(
        cache_creation_input_tokens=9,
        cache_creation={"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 6},
        service_tier="priority",
        inference_geo="us",
    )
    assert read(START, last, STOP)[-1] == Finish(
        "stop",
        Usage(16, 4, cache_write_tokens=9, cache_write_1h_tokens=6, service_tier="priority", region="us"),
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
        ("length", "length"),
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


DEEP = b'{"type":"content_block_delta","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("payload", [b"{", b"[]", b"7", b'{"type":1}', b'{"delta":{}}', DEEP, DEEP[:50_000]])
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


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"type":"error","message":"Busy."}', "Busy."),
        (b'{"type":"error","error":"Busy."}', "Busy."),
        (b'{"error":{"message":"Busy.","code":503}}', "Busy."),
        (b'{"type":"error","error":{"type":"api_error","message":{"detail":"Busy."}}}', "Busy."),
    ],
)
def test_an_error_in_any_form_keeps_its_words(payload: bytes, message: str) -> None:
    assert message in (failure(START, payload).detail or "")


TEXT = [Token("a"), Finish("stop", Usage(input_tokens=7, output_tokens=4))]


@pytest.mark.parametrize(
    "harmless",
    [
        b"",
        b" ",
        b"[DONE]",
        b'{"type":"ping","index":"1"}',
        b'{"type":"ping","delta":7,"usage":[],"content_block":"x","message":"x","error":7}',
        b'{"type":"content_block_delta","index":0,"delta":null}',
        b'{"type":"content_block_delta","index":null,"delta":{"type":"text_delta","text":null}}',
        b'{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":null,"text":null}}',
        b'{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":null}}',
        b'{"type":"content_block_delta","delta":{"type":"delta_of_tomorrow","data":"b"}}',
        b'{"type":"content_block_delta","delta":{"type":"compaction_delta","content":"c"}}',
        b'{"type":"content_block_delta","delta":{"type":"citations_delta","citation":{"cited_text":"c"}}}',
        b'{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"c"}}',
        b'{"type":"content_block_start","index":3,"content_block":{"type":"text","text":null}}',
        b'{"type":"content_block_stop","index":9}',
        b'{"type":"message_delta","delta":null,"usage":null}',
        b'{"type":"message_delta","delta":{"stop_reason":null},"usage":{}}',
        b'{"type":"message_delta","usage":{"input_tokens":-1,"output_tokens":-7}}',
        b'{"type":"message_delta","usage":{"input_tokens":"many","output_tokens":true,"output_tokens_details":null}}',
        b'{"type":"message_delta","usage":{"output_tokens":1e999,"cache_read_input_tokens":123456789012345678901234}}',
    ],
)
def test_what_says_nothing_changes_nothing(harmless: bytes) -> None:
    payloads = (START, block("text", text=""), delta("text_delta", text="a"), ending())
    assert read(*payloads[:3], harmless, payloads[3], STOP) == TEXT
    assert read(*payloads, harmless, STOP) == TEXT


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ([{"type": "text", "text": "a"}, "b"], "ab"),
        ({"text": "a"}, "a"),
    ],
)
def test_text_in_parts_is_text(said: object, meant: str) -> None:
    assert read(START, delta("text_delta", text=said), ending(), STOP)[0] == Token(meant)


@pytest.mark.parametrize(
    ("brought", "items"),
    [
        ({"text": "a"}, [Token("a")]),
        ("a", [Token("a")]),
        ({"type": "text", "text": "a"}, [Token("a")]),
        ({"type": "delta_of_tomorrow", "text": "a"}, [Token("a")]),
        ({"type": "text_delta", "content": "a"}, [Token("a")]),
        ({"type": "text_delta", "text": "", "content": [{"type": "text", "text": "a"}, "b"]}, [Token("ab")]),
        ({"type": "thinking_delta", "text": "a"}, [Reasoning("a")]),
        ({"type": "text_delta", "thinking": "a", "text": "b"}, [Reasoning("a"), Token("b")]),
    ],
)
def test_a_delta_is_what_it_holds_whatever_its_type(brought: object, items: list[StreamItem]) -> None:
    assert read(START, event("content_block_delta", delta=brought), ending(), STOP)[:-1] == items


@pytest.mark.parametrize("block", ["a", {"type": "text", "text": "a"}, {"type": "block_of_tomorrow", "text": "a"}])
def test_text_that_begins_a_block_is_kept(block: object) -> None:
    assert read(START, event("content_block_start", content_block=block), ending(), STOP) == TEXT


@pytest.mark.parametrize("index", [0, 7], ids=["of the text", "of no block"])
def test_arguments_with_a_wrong_index_are_of_the_call_that_began_last(index: int) -> None:
    piece = delta("input_json_delta", index, partial_json='{"x":1}')
    assert calls(block("text"), block("tool_use", 1, id="t", name="f"), piece) == [("t", "f", '{"x":1}')]


@pytest.mark.parametrize("begun", [(), (block("text"),)])
def test_arguments_without_a_call_are_not_lost_in_silence(begun: tuple[bytes, ...]) -> None:
    lost = delta("input_json_delta", partial_json='{"x":1}')
    assert failure(START, *begun, lost).code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize(
    ("text", "pieces"), [(rb"\ud83d", [Token("a"), Token("\ufffd")]), (b"\xff", [Token("a\ufffd")])]
)
def test_what_is_no_character_is_replaced(text: bytes, pieces: list[StreamItem]) -> None:
    broken = b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"a' + text + b'"}}'
    assert read(START, broken, ending(), STOP)[:-1] == pieces


def test_a_later_zero_does_not_undo_a_figure() -> None:
    zeros: dict[str, Any] = {"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": None}
    start = event("message_start", message={"usage": {"input_tokens": 7, "cache_read_input_tokens": 5}})
    finish = read(start, ending(**zeros), event("message_delta", usage={"output_tokens": 0}), STOP)[-1]
    assert finish == Finish("stop", Usage(input_tokens=12, output_tokens=4, cache_read_tokens=5))


@pytest.mark.parametrize("usage", [None, {}, {"output_tokens": 0}, {"output_tokens": -3}])
def test_an_output_that_is_not_counted_at_the_end_is_estimated(usage: object) -> None:
    silent = event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)
    texts = [delta("text_delta", text="a")] * 3
    assert read(START, *texts, silent, STOP)[-1] == Finish(
        "stop", Usage(input_tokens=7, output_tokens=3, estimated=True)
    )


def calls(*payloads: bytes) -> list[tuple[str | None, str | None, str]]:
    """Return id, name and whole arguments of the calls, by their numbers, which begin with 0."""
    made: list[tuple[str | None, str | None, str]] = []
    for piece in read(START, *payloads, ending("tool_use"), STOP):
        if isinstance(piece, ToolCall) and piece.index == len(made):
            made.append((piece.id, piece.name, piece.arguments))
        elif isinstance(piece, ToolCall):
            ident, name, arguments = made[piece.index]
            made[piece.index] = (ident, name, arguments + piece.arguments)
    return made


@pytest.mark.parametrize("given", [{"x": 1}, '{"x":1}'])
@pytest.mark.parametrize("last", [(end(5),), ()], ids=["stopped", "never stopped"])
def test_an_input_that_comes_whole_is_kept(given: object, last: tuple[bytes, ...]) -> None:
    assert calls(block("tool_use", 5, id="t", name="f", input=given), *last) == [("t", "f", '{"x":1}')]


def test_pieces_go_before_an_input_that_came_with_the_start() -> None:
    start = block("tool_use", id="t", name="f", input={"x": 1})
    assert calls(start, delta("input_json_delta", partial_json='{"x":2}'), end()) == [("t", "f", '{"x":2}')]


def test_arguments_in_one_object_are_kept() -> None:
    start = block("tool_use", id="t", name="f", input=None)
    assert calls(start, delta("input_json_delta", partial_json={"x": 2}), end()) == [("t", "f", '{"x": 2}')]


def test_blocks_that_overlap_keep_their_arguments() -> None:
    assert calls(
        block("tool_use", 1, id="a", name="f", input={}),
        block("tool_use", 2, id="b", name="g", input={}),
        block("tool_use", 3, id="c", name="h", input={}),
        delta("input_json_delta", 1, partial_json='{"x"'),
        delta("input_json_delta", 2, partial_json='{"y"'),
        delta("input_json_delta", 1, partial_json=":1}"),
        end(1),
        delta("input_json_delta", 2, partial_json=":2}"),
        end(3),
    ) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}'), ("c", "h", "{}")]


@pytest.mark.parametrize("index", [0, None])
def test_a_block_that_begins_is_a_call_of_its_own_whatever_its_index(index: int | None) -> None:
    payloads = [
        event("content_block_start", index=index, content_block={"type": "tool_use", "id": ident, "name": "f"})
        for ident in ("a", "b")
    ]
    piece = event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": '{"x":1}'})
    assert calls(payloads[0], payloads[1], piece) == [("a", "f", "{}"), ("b", "f", '{"x":1}')]


def test_a_block_that_begins_twice_is_one_call() -> None:
    start = block("tool_use", id="t", name="f", input={})
    assert calls(start, start, delta("input_json_delta", partial_json='{"x":1}'), end()) == [("t", "f", '{"x":1}')]


def test_a_call_without_id_gets_one() -> None:
    ((ident, *call),) = calls(block("tool_use", name="f"), end())
    assert ident == made_id(REQUEST, 0)
    assert call == ["f", "{}"]


def test_an_input_that_is_not_counted_is_never_shown_as_exact() -> None:
    last = read(event("message_start", message={"usage": {"input_tokens": 0}}), ending(), STOP)[-1]
    assert last == Finish("stop", Usage(input_tokens=2, output_tokens=4, estimated=True))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "x", "code": "503"}, Code.UPSTREAM_OVERLOADED),
        ({"message": "x", "status": 429}, Code.UPSTREAM_RATE_LIMITED),
        ([{"message": "x", "code": 504}], Code.UPSTREAM_TIMEOUT),
    ],
)
def test_a_status_is_read_wherever_and_however_it_stands(error: object, code: Code) -> None:
    assert failure(START, event("error", error=error)).code is code
    if isinstance(error, dict):
        assert failure(START, event("error", **error)).code is code


@pytest.mark.parametrize("depth", [450, 600, 800, 950])
def test_text_in_parts_that_nest_too_deeply_is_malformed(depth: int) -> None:
    nested = b'{"type":"content_block_delta","delta":{"type":"text_delta","text":%s}}' % (b"[" * depth + b"]" * depth)
    assert failure(START, nested).code in (Code.UPSTREAM_MALFORMED, Code.UPSTREAM_TRUNCATED)


def test_a_block_that_a_client_would_miss_is_noted() -> None:
    parser, items = MessageParser(REQUEST), list[StreamItem]()
    for payload in (START, block("image", source={}), block("redacted_thinking", 1), ending(), STOP):
        parser.read(payload, items)
    assert parser.left_out == {"block of type image"}


def test_arguments_after_the_end_of_a_call_without_any_are_not_lost_in_silence() -> None:
    late = (block("tool_use", id="t", name="f"), end(), delta("input_json_delta", partial_json="{}"))
    assert failure(START, *late).code is Code.UPSTREAM_MALFORMED


def test_an_answer_with_tool_calls_stops_for_them() -> None:
    finish = read(START, block("tool_use", id="t", name="f"), end(), ending("end_turn"), STOP)[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == "tool_calls"
