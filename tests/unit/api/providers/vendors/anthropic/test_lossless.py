"""Events for a client of the same dialect: the common terms are the same as for any other, and nothing is lost."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.events import Extended, Reasoning, Token
from chatfleet_api.domain.request import MESSAGES, ChatRequest, Message, Sent
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendors.anthropic.lossless import LosslessParser, parser
from chatfleet_api.providers.vendors.anthropic.stream import MessageParser

PLAIN = ChatRequest("m", (Message("user", "Hi"),))
SENT = msgspec.structs.replace(PLAIN, sent=Sent(MESSAGES, msgspec.Raw(b"{}"), 1))
START: dict[str, Any] = {"type": "message_start", "message": {"usage": {"input_tokens": 3}}}
END: list[dict[str, Any] | bytes] = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


def opened(kind: str, index: int = 0, **more: object) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **more}}


def delta(kind: str, index: int = 0, **more: object) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **more}}


def texts(*words: str, index: int = 0) -> list[dict[str, Any]]:
    return [delta("text_delta", index, text=word) for word in words]


def read(answer: MessageParser, *events: dict[str, Any] | bytes) -> list[StreamItem]:
    items: list[StreamItem] = []
    for each in (START, *events, *END):
        answer.read(each if isinstance(each, bytes) else msgspec.json.encode(each), items)
    return items


def common(items: list[StreamItem]) -> list[StreamItem]:
    """Return the items in the common terms."""
    plain: list[StreamItem] = []
    for item in items:
        if isinstance(item, Extended):
            plain += item.pieces
        else:
            plain.append(msgspec.structs.replace(item, extra=None) if isinstance(item, Finish) else item)
    return plain


STREAMS: list[list[dict[str, Any] | bytes]] = [
    [opened("text", text=""), *texts("a", ' "text":"b"}}', "\\", "é")],
    [opened("text", text="given"), *texts("a")],
    [*texts("no", " start")],
    [opened("thinking", thinking=""), delta("thinking_delta", thinking="hm"), delta("signature_delta", signature="s")],
    [opened("tool_use", id="t", name="f", input={}), delta("input_json_delta", partial_json="{}")],
    [opened("tool_use", id="t", name="f", input={"a": 1}), {"type": "content_block_stop", "index": 0}],
    [
        opened("thinking"),
        *(delta("thinking_delta", thinking=word) for word in ("hm", ' "so"', "é")),
        opened("tool_use", 1, id="t", name="f", input={}),
        *(delta("input_json_delta", 1, partial_json=piece) for piece in ("", "{", '"a":', "1}")),
        opened("tool_use", 2, id="u", name="g", input={}),
        *(delta("input_json_delta", 2, partial_json=piece) for piece in ("{", "}")),
        *texts("late", index=0),
    ],
    [opened("server_tool_use", id="t", name="f"), delta("input_json_delta", partial_json="{}")],
    [opened("text"), opened("text", 1), *texts("second", index=1), *texts("first"), *texts("again", index=1)],
    [
        opened("text"),
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\\ud83d"}}',
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ude00"}}',
        *texts("b"),
    ],
    [opened("text"), b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\xff"}}'],
]


@pytest.mark.parametrize("events", STREAMS)
def test_the_common_terms_are_those_of_every_other_client(events: list[dict[str, Any] | bytes]) -> None:
    assert common(read(LosslessParser(SENT), *events)) == common(read(MessageParser(PLAIN), *events))


def test_only_a_client_of_the_dialect_gets_more() -> None:
    assert isinstance(parser(SENT), LosslessParser)
    assert not isinstance(parser(PLAIN), LosslessParser)


def test_plain_texts_and_thoughts_stay_what_they_are() -> None:
    items = read(LosslessParser(SENT), opened("text", text=""), *texts("a", "b"))
    assert [type(item) for item in items] == [Extended, Extended, Token, Token, Finish]
    thinking = read(LosslessParser(SENT), opened("thinking"), delta("thinking_delta", thinking="hm"))
    assert [type(item) for item in thinking] == [Extended, Extended, Reasoning, Finish]


def test_the_answer_begins_with_its_first_content() -> None:
    answer, items = LosslessParser(SENT), list[StreamItem]()
    for each in (START, opened("text", text=""), {"type": "ping"}):
        answer.read(msgspec.json.encode(each), items)
    assert not items
    answer.read(msgspec.json.encode(texts("a")[0]), items)
    assert [type(item) for item in items] == [Extended, Extended, Token]


def test_every_other_event_is_kept_whole() -> None:
    events = [
        opened("text", text="", citations=[]),
        delta("citations_delta", citation={"a": 1}),
        delta("text_delta", text="a", of_next_year=1),
        delta("compaction_delta", content="short"),
        {"type": "of_next_year", "value": [1]},
    ]
    items = read(LosslessParser(SENT), *events)
    assert [msgspec.json.decode(item.extra) for item in items if isinstance(item, Extended)] == [START, *events]
    finish = items[-1]
    assert isinstance(finish, Finish)
    assert finish.extra == END[0]
