"""OpenAI and those who speak its API are asked for what was asked, in the names they know."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.request import ChatRequest, Function, ImagePart, ImageURL, Message, MessageToolCall, TextPart
from chatfleet_api.providers.vendor import HTTPRequest, Vendor
from chatfleet_api.providers.vendors.table import AZURE_OPENAI, AZURE_V1, OPENAI, OPENAI_COMPATIBLE
from chatfleet_contract.spec.providers import Compatibility
from harness.upstream.vendor_rules import openai_refusal

ADDED = {"stream": True, "stream_options": {"include_usage": True}}
EVERYWHERE = pytest.mark.parametrize("vendor", [OPENAI, AZURE_OPENAI, AZURE_V1, OPENAI_COMPATIBLE])


def said(vendor: Vendor, request: ChatRequest, **compatibility: bool) -> dict[str, Any]:
    return msgspec.json.decode(vendor.body(request, Compatibility(**compatibility)), type=dict[str, Any])


@EVERYWHERE
def test_no_more_is_sent_than_was_asked_but_for_the_stream_and_its_usage(vendor: Vendor) -> None:
    messages = [{"role": "user", "content": "Hi."}]
    assert said(vendor, ChatRequest("m", (Message("user", "Hi."),))) == {"model": "m", "messages": messages, **ADDED}


@EVERYWHERE
def test_what_an_upstream_does_not_accept_is_left_out(vendor: Vendor) -> None:
    request = ChatRequest("m", (Message("user", "Hi."),))
    without_options = said(vendor, request, stream_options=False)
    assert (without_options["stream"], "stream_options" in without_options) == (True, False)
    whole = said(vendor, request, stream=False)
    assert (whole["stream"], "stream_options" in whole) == (False, False)


@EVERYWHERE
def test_what_was_asked_is_sent_even_when_it_is_nothing(vendor: Vendor) -> None:
    asked = {"temperature": 0.0, "seed": 0, "parallel_tool_calls": False, "response_format": {"type": "json_object"}}
    body = said(vendor, ChatRequest("m", (), **asked))  # type: ignore[arg-type]
    assert {name: body[name] for name in asked} == asked


def test_the_limit_has_the_name_that_each_knows() -> None:
    request = ChatRequest("m", (), max_tokens=5)
    assert said(OPENAI, request)["max_completion_tokens"] == 5
    assert said(AZURE_OPENAI, request)["max_completion_tokens"] == 5
    assert said(OPENAI_COMPATIBLE, request)["max_tokens"] == 5


def test_only_openai_knows_developers() -> None:
    request = ChatRequest("m", (Message("developer", "Be brief."),))
    assert said(OPENAI, request)["messages"][0]["role"] == "developer"
    assert said(OPENAI_COMPATIBLE, request)["messages"][0]["role"] == "system"


def test_without_a_key_no_credentials_are_sent() -> None:
    assert OPENAI_COMPATIBLE.authenticate(None, HTTPRequest("POST", "https://c", {})) == {}


@EVERYWHERE
def test_ids_of_tool_calls_that_are_too_long_for_openai_are_shortened_alike(vendor: Vendor) -> None:
    def idents(ident: str) -> tuple[str, str]:
        call = Message("assistant", tool_calls=[MessageToolCall(ident, Function("f", "{}"))])
        asked, answered = said(vendor, ChatRequest("m", (call, Message("tool", "r", tool_call_id=ident))))["messages"]
        return asked["tool_calls"][0]["id"], answered["tool_call_id"]

    long, other = (idents(f"chatcmpl-tool-{digit * 32}") for digit in "ab")
    assert long[0] == long[1] != other[0]
    assert len(long[0]) <= 40
    assert idents("call_1") == ("call_1", "call_1")


@EVERYWHERE
def test_an_image_that_a_tool_gave_is_sent_as_the_users(vendor: Vendor) -> None:
    ident = "functions.draw:" + "0" * 40
    call = Message("assistant", tool_calls=[MessageToolCall(ident, Function("f", "{}"))])
    picture = ImagePart(ImageURL("http://example.com/a.png", "low"))
    body = said(vendor, ChatRequest("m", (call, Message("tool", [picture], tool_call_id=ident))))
    assert openai_refusal(body) is None
    asked, result, images = body["messages"]
    assert asked["tool_calls"][0]["id"] in images["content"][0]["text"]
    assert result["content"] == "The images are in the next message of the user."
    assert images["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "http://example.com/a.png", "detail": "low"},
    }


@pytest.mark.parametrize(
    ("vendor", "sent"),
    [(OPENAI, "original"), (AZURE_OPENAI, "high"), (AZURE_V1, "original"), (OPENAI_COMPATIBLE, "high")],
)
def test_the_detail_of_an_image_is_the_nearest_that_an_upstream_knows(vendor: Vendor, sent: str) -> None:
    picture = ImagePart(ImageURL("https://example.com/a.png", "original"))
    (message,) = said(vendor, ChatRequest("m", (Message("user", [TextPart("a"), picture]),)))["messages"]
    assert message["content"][1]["image_url"]["detail"] == sent
