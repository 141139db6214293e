"""The table of dialects: from a path to the dialect that owns it."""

import json
from dataclasses import replace

import pytest

from chatfleet_api.domain.errors import FACTS, Code
from chatfleet_api.web.dialect import Dialect, longest_match
from chatfleet_api.web.dialects import DIALECTS, dialect_of
from chatfleet_api.web.dialects.ag_ui import AG_UI
from chatfleet_api.web.dialects.ai_sdk import AI_SDK
from chatfleet_api.web.dialects.durable_streams import DURABLE_STREAMS
from chatfleet_api.web.dialects.messages import MESSAGES_DIALECT
from chatfleet_api.web.dialects.native import NATIVE
from chatfleet_api.web.dialects.openai import OPENAI
from chatfleet_api.web.dialects.responses import RESPONSES
from chatfleet_api.web.dialects.sessions import CHAT_STREAMS, SESSIONS
from harness.clients.asgi import ask, post
from harness.pods.api_pod import Pod
from harness.pods.dialects import EACH_DIALECT, has_codes
from harness.pods.runs import STOP, FakeProvider, text

ALWAYS = (AI_SDK, AG_UI, SESSIONS, CHAT_STREAMS)
"""Whose answers are streams only."""
PRETEND = replace(NATIVE, prefix="/v1/pretend")
"""A dialect of another vendor, whose paths lie among OpenAI's."""


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1", OPENAI),
        ("/v1/chat/completions", OPENAI),
        ("/v1/responses", RESPONSES),
        ("/v1/responses/resp_1/cancel", RESPONSES),
        ("/v1/responses2", OPENAI),
        ("/v1/messages", MESSAGES_DIALECT),
        ("/v1/messages/count_tokens", MESSAGES_DIALECT),
        ("/v1/messages/batches", MESSAGES_DIALECT),
        ("/v11", NATIVE),
        ("/api/v1/conversations", NATIVE),
        ("/api/v1/ai-sdk/c1/stream", AI_SDK),
        ("/api/v1/durable-streams/c1/r1", DURABLE_STREAMS),
        ("/chat", SESSIONS),
        ("/sessions/s1", NATIVE),
        ("/api/chat/stream", CHAT_STREAMS),
        ("/api/conversations/c1", NATIVE),
        ("", NATIVE),
        ("*", NATIVE),
    ],
)
def test_the_longest_prefix_owns_a_path(path: str, dialect: Dialect) -> None:
    assert dialect_of(path) is dialect


def test_a_dialect_may_own_paths_among_those_of_another() -> None:
    dialects = (*DIALECTS, PRETEND)
    assert longest_match(dialects, "/v1/pretend/count_tokens") is PRETEND
    assert longest_match(dialects, "/v1/models") is OPENAI


def test_prefixes_are_unique_and_one_dialect_owns_what_no_other_does() -> None:
    prefixes = [dialect.prefix for dialect in DIALECTS]
    assert len(set(prefixes)) == len(prefixes)
    assert "" in prefixes


@pytest.mark.looptime
async def test_the_hot_routes_of_a_dialect_are_its_own_and_documented() -> None:
    services = Pod(FakeProvider()).services
    for dialect in DIALECTS:
        for route in dialect.hot_routes(services):
            assert dialect_of(route.path) is dialect
            assert {"summary", "operationId", "responses"} <= route.operation.keys()


@EACH_DIALECT
@pytest.mark.parametrize("code", FACTS)
def test_the_code_that_clients_see_is_unique_among_those_of_its_status(dialect: Dialect, code: Code) -> None:
    shown = [dialect.errors.dialect_code(each) for each in FACTS if FACTS[each].status == FACTS[code].status]
    assert len(set(shown)) == (len(shown) if has_codes(dialect) else 1)


def test_the_dialects_of_today_have_codes() -> None:
    assert all(has_codes(dialect) for dialect in DIALECTS)


@EACH_DIALECT
@pytest.mark.parametrize("accept", ["", "*/*", "text/event-stream"])
@pytest.mark.parametrize("body", [b"", b"[]", b'{"stream": 1}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_valid_decides_nothing(dialect: Dialect, accept: str, body: bytes) -> None:
    assert dialect.wants_stream(accept, body) is dialect.wants_stream(accept, b"{}")


@pytest.mark.parametrize(
    ("dialect", "body", "accept", "streams"),
    [
        *((each, b'{"stream":true}', "*/*", True) for each in DIALECTS),
        *((each, b'{"stream":false}', "text/event-stream", False) for each in DIALECTS if each not in ALWAYS),
        *((each, b'{"stream":false}', "", True) for each in ALWAYS),
        (OPENAI, b"{}", "text/event-stream", False),
        (RESPONSES, b"{}", "text/event-stream", False),
        (MESSAGES_DIALECT, b"{}", "text/event-stream", False),
        (NATIVE, b"{}", "text/event-stream", True),
        (NATIVE, b"{}", "", False),
        (NATIVE, b"[]", "*/*", False),
    ],
)
def test_what_requests_a_stream(dialect: Dialect, body: bytes, accept: str, *, streams: bool) -> None:
    assert dialect.wants_stream(accept, body) is streams


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/responses", {"model": "m", "input": "Hi"}),
        ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}),
        ("/api/v1/conversations/{id}/messages", {"content": "Hi", "model": "m"}),
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
@pytest.mark.parametrize("stream", [{}, {"stream": None}, {"stream": True}, {"stream": False}])
async def test_routes_stream_what_their_dialect_takes_for_a_request_of_a_stream(
    path: str, fields: dict[str, object], accept: str, stream: dict[str, object]
) -> None:
    pod = Pod(FakeProvider(text("Hi"), [STOP]))
    made = await ask(pod.app, post("/api/v1/conversations", {}))
    version = {"anthropic-version": "2026-10-21"}
    exchange = await ask(pod.app, post(path.format(id=made.json()["id"]), fields | stream, accept=accept, **version))
    assert exchange.status == 200
    streams = exchange.headers["content-type"].startswith("text/event-stream")
    assert streams is dialect_of(path).wants_stream(accept, json.dumps(fields | stream).encode())
