"""Answers in one JSON document are read by the parsers of streams, in pieces of any size."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Reasoning, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers import whole
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendor import Vendor
from chatfleet_api.providers.vendors.table import ANTHROPIC, OPENAI
from chatfleet_api.providers.whole import WholeFraming, WholeParser

REQUEST = ChatRequest("m", (Message("user", "Hi."),))


def items_of(vendor: Vendor, document: dict[str, Any] | bytes) -> list[StreamItem]:
    assert vendor.events_of
    framing, parser = WholeFraming(vendor.events_of), WholeParser(vendor.parser(REQUEST))
    data = document if isinstance(document, bytes) else msgspec.json.encode(document)
    items: list[StreamItem] = []
    for byte in data:
        assert framing.feed(bytes([byte])) == []
    for payload in framing.feed(b""):
        parser.read(payload, items)
    assert parser.done
    return items


def completion(finish_reason: str | None = "stop", **message: object) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish_reason}], "usage": {"completion_tokens": 9}}


def test_a_completion_has_the_fields_of_a_stream() -> None:
    items = items_of(OPENAI, completion(content="Hi.", reasoning="Hm."))
    assert items == [Reasoning("Hm."), Token("Hi."), Finish("stop", Usage(1, 9, estimated=True))]


def test_a_completion_may_have_its_usage_elsewhere_and_its_call_in_the_old_form() -> None:
    message = {"content": "Hi.", "function_call": {"name": "f", "arguments": "{}"}}
    choice = {"message": message, "finish_reason": "function_call"}
    usage = {"input_tokens": 3, "output_tokens": 9}
    text, call, finish = items_of(OPENAI, {"choices": [choice], "x_groq": {"usage": usage}})
    assert (text, finish) == (Token("Hi."), Finish("tool_calls", Usage(3, 9)))
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("f", "{}")


def test_a_message_may_have_its_content_as_text() -> None:
    document = {"type": "message", "content": "Hi.", "stop_reason": "max_tokens", "usage": {"output_tokens": 9}}
    assert items_of(ANTHROPIC, document) == [Token("Hi."), Finish("length", Usage(1, 9, estimated=True))]


ODD = {
    b"a\\ud83d": "a\N{REPLACEMENT CHARACTER}",
    b"a\xff": "a\N{REPLACEMENT CHARACTER}",
    b"a\tb": "a\tb",
    b"\\ud83d\\ude00": "\N{GRINNING FACE}",
}


@pytest.mark.parametrize(("text", "expected"), ODD.items())
def test_odd_text_does_not_end_an_answer(text: bytes, expected: str) -> None:
    message = b'{"content":[{"type":"text","text":"%s"}],"stop_reason":"end_turn","usage":{"output_tokens":1}}' % text
    choice = b'\xef\xbb\xbf{"choices":[{"message":{"content":"%s"},"finish_reason":"stop"}]}' % text
    assert items_of(ANTHROPIC, message)[0] == items_of(OPENAI, choice)[0] == Token(expected)


@pytest.mark.parametrize(
    ("vendor", "document"), [(OPENAI, completion(None, content="Hi.")), (ANTHROPIC, {"content": "Hi."})]
)
def test_without_a_reason_to_finish_an_answer_is_not_complete(vendor: Vendor, document: dict[str, Any]) -> None:
    with pytest.raises(ChatError) as caught:
        items_of(vendor, document)
    assert caught.value.code is Code.UPSTREAM_TRUNCATED


def test_an_endless_response_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "MAX_WHOLE_BYTES", 10)
    framing = WholeFraming(lambda _: [])
    framing.feed(b"x" * 10)
    with pytest.raises(ChatError) as caught:
        framing.feed(b"x")
    assert caught.value.code is Code.UPSTREAM_MALFORMED
