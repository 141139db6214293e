"""Chunks for a client of the same dialect: the common terms are the same as for any other, and nothing is lost."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Extended, Reasoning, Token, ToolCall
from chatfleet_api.domain.request import CHAT, ChatRequest, Message, Sent
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendors.openai.lossless import MAX_MISSES, LosslessParser, parser
from chatfleet_api.providers.vendors.openai.stream import CompletionParser

PLAIN = ChatRequest("m", (Message("user", "Hi"),))
SENT = msgspec.structs.replace(PLAIN, sent=Sent(CHAT, msgspec.Raw(b"{}"), 1))
STOP: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def chunk(delta: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None, **more}


def read(answer: CompletionParser, *chunks: dict[str, Any] | bytes) -> list[StreamItem]:
    items: list[StreamItem] = []
    for each in chunks:
        answer.read(each if isinstance(each, bytes) else msgspec.json.encode(each), items)
    if not answer.done:
        items.append(answer.end())
    return items


def common(items: list[StreamItem]) -> list[StreamItem]:
    """Return the items in the common terms."""
    plain: list[StreamItem] = []
    for item in items:
        if isinstance(item, Extended):
            plain += item.pieces
        elif isinstance(item, Finish):
            plain.append(msgspec.structs.replace(item, extra=None))
        else:
            plain.append(Reasoning(item.text) if isinstance(item, Reasoning) else item)
    return plain


CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
STREAMS: list[list[dict[str, Any] | bytes]] = [
    [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in ("a", ' "content":"b"', "\\")),
        STOP,
    ],
    [*(chunk({"content": word}, id=str(number)) for number, word in enumerate("many words" * MAX_MISSES)), STOP],
    [*(chunk({"reasoning": word}) for word in "hm"), chunk({"reasoning_content": "x", "content": "y"}), STOP],
    [*(chunk({"content": word}, obfuscation=word * 3) for word in "abc"), STOP],
    [*(chunk({"content": word}, usage={"prompt_tokens": 1, "completion_tokens": 1}) for word in "abc"), STOP],
    [chunk({"tool_calls": [CALL]}), *(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),), STOP],
    [chunk({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}), STOP],
    [
        chunk({"content": "a"}),
        *(chunk({"tool_calls": [CALL | {"index": at, "id": str(at)}]}) for at in range(2)),
        *(chunk({"tool_calls": [{"index": 1, "function": {"arguments": piece}}]}) for piece in ("{", '"a":', "1}")),
        *(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in ("{", "}")),
        chunk({"content": "b"}),
        STOP,
    ],
    [*(chunk({"tool_calls": [CALL | {"function": {"name": "f", "arguments": "{}"}, "id": at}]}) for at in "abc"), STOP],
    [chunk({"content": "a"}), chunk({"content": ""}), chunk({"content": "b"}), STOP, b"[DONE]"],
    [b'{"choices":[{"delta":{"content":"a\\ud83d"}}]}', b'{"choices":[{"delta":{"content":"\\ude00"}}]}', STOP],
    [b'{"choices":[{"delta":{"content":"a\xff"}}]}', STOP],
    [{"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}, b"[DONE]"],
]


@pytest.mark.parametrize("chunks", STREAMS)
def test_the_common_terms_are_those_of_every_other_client(chunks: list[dict[str, Any] | bytes]) -> None:
    assert common(read(LosslessParser(SENT), *chunks)) == common(read(CompletionParser(PLAIN), *chunks))


def test_only_a_client_of_the_dialect_gets_more() -> None:
    assert isinstance(parser(SENT), LosslessParser)
    assert not isinstance(parser(PLAIN), LosslessParser)


def test_equal_fields_beside_the_text_are_found_once_and_repeated() -> None:
    filtered = {"content_filter_results": {"hate": False}}
    chunks = [chunk({"content": word}) for word in "abc"]
    for each in chunks:
        each["choices"][0] |= filtered
    items = read(LosslessParser(SENT), *chunks, STOP)
    extended = [item for item in items if isinstance(item, Extended)]
    assert [item.pieces for item in extended] == [(Token(word),) for word in "abc"]
    assert extended[1].extra is extended[2].extra
    assert [msgspec.json.decode(item.extra) for item in extended] == [{"choices": [filtered]}] * 3


def test_a_field_that_changes_is_reported_again() -> None:
    chunks = [chunk({"content": "a"}, service_tier=tier) for tier in ("flex", "flex", "default")]
    tiers = [item.extra for item in read(LosslessParser(SENT), *chunks, STOP) if isinstance(item, Extended)]
    assert [msgspec.json.decode(tier) for tier in tiers] == [{"service_tier": "flex"}, {"service_tier": "default"}]


def test_the_answer_begins_with_its_first_content() -> None:
    answer, items = LosslessParser(SENT), list[StreamItem]()
    answer.read(msgspec.json.encode(chunk({"role": "assistant"}, prompt_filter_results=[1])), items)
    assert not items
    answer.read(msgspec.json.encode(chunk({"content": "a"})), items)
    assert [type(item) for item in items] == [Extended, Token]


def test_halves_of_a_character_are_joined_beside_what_they_came_with() -> None:
    halves = [
        b'{"choices":[{"delta":{"content":"%b"},"token_ids":[%d]}]}' % half
        for half in ((b"\\ud83d", 1), (b"\\ude00", 2))
    ]
    items = read(LosslessParser(SENT), *halves, STOP)
    assert [item for item in common(items) if isinstance(item, Token)] == [Token("\U0001f600")]
    extras = [msgspec.json.decode(item.extra) for item in items if isinstance(item, Extended)]
    assert extras == [{"choices": [{"token_ids": [1]}]}, {"choices": [{"token_ids": [2]}]}]


def test_custom_tool_calls_have_numbers_among_the_functions() -> None:
    custom = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "run", "input": "a"}}
    function = CALL | {"index": 1}
    items = read(LosslessParser(SENT), chunk({"tool_calls": [custom]}), chunk({"tool_calls": [function]}), STOP)
    assert isinstance(items[0], Extended)
    assert msgspec.json.decode(items[0].extra)["choices"][0]["delta"] == {"tool_calls": [custom]}
    assert items[1] == ToolCall(1, "a", "f")
    assert isinstance(items[-1], Finish)
    assert items[-1].reason == "tool_calls"


def test_an_error_beside_other_fields_is_an_error() -> None:
    with pytest.raises(ChatError):
        read(LosslessParser(SENT), chunk({"content": "a"}), {"error": {"message": "x"}, "choices": [], "provider": "p"})
