"""OpenAI and those who speak its API are asked for what was asked, in the names they know."""

from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.vendors.openai.request import AzureOpenAI, Compatible, OpenAI

ADDED = {"stream": True, "stream_options": {"include_usage": True}}
EVERYWHERE = pytest.mark.parametrize("dialect", [OpenAI(), AzureOpenAI("https://a", "1"), Compatible("https://c")])


def said(dialect: OpenAI, request: ChatRequest) -> dict[str, Any]:
    return msgspec.json.decode(dialect.body(request), type=dict[str, Any])


@EVERYWHERE
def test_no_more_is_sent_than_was_asked_but_for_the_stream_and_its_usage(dialect: OpenAI) -> None:
    messages = [{"role": "user", "content": "Hi."}]
    assert said(dialect, ChatRequest("m", (Message("user", "Hi."),))) == {"model": "m", "messages": messages, **ADDED}


@EVERYWHERE
def test_what_was_asked_is_sent_even_when_it_is_nothing(dialect: OpenAI) -> None:
    asked = {"temperature": 0.0, "seed": 0, "parallel_tool_calls": False, "response_format": {"type": "json_object"}}
    body = said(dialect, ChatRequest("m", (), **asked))  # type: ignore[arg-type]
    assert {name: body[name] for name in asked} == asked


def test_the_limit_has_the_name_that_each_knows() -> None:
    request = ChatRequest("m", (), max_tokens=5)
    assert said(OpenAI(), request)["max_completion_tokens"] == 5
    assert said(AzureOpenAI("https://a", "1"), request)["max_completion_tokens"] == 5
    assert said(Compatible("https://c"), request)["max_tokens"] == 5


def test_only_openai_knows_developers() -> None:
    request = ChatRequest("m", (Message("developer", "Be brief."),))
    assert said(OpenAI(), request)["messages"][0]["role"] == "developer"
    assert said(Compatible("https://c"), request)["messages"][0]["role"] == "system"


def test_without_a_key_no_credentials_are_sent() -> None:
    assert Compatible("https://c").headers(None) == {}
