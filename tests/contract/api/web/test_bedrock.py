"""Anthropic's dialect loses nothing with its models on Bedrock; other models and clients get Converse."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anthropic
import msgspec
import pytest

from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.asgi import Exchange, ask, post
from harness.clients.events import EventParser
from harness.pods.api_pod import Pod
from harness.upstream.catalogue import catalogue_of, config_of, key_file, provider_of
from harness.upstream.event_stream import chunk_frame, exception_frame
from harness.upstream.fake import FakeUpstream, Handler, fake_upstream, playing
from harness.upstream.wires import refusing, wire_of

WIRE = wire_of(ProviderType.BEDROCK)
CLAUDE = "eu.anthropic.claude-haiku-5-5-v1:0"
USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 1}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": USAGE}
BLOCKS: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    (
        {"type": "thinking", "thinking": "", "signature": ""},
        [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "EqQB+/=="}],
    ),
    ({"type": "redacted_thinking", "data": "EvAF+/=="}, []),
    ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Hi"}, {"type": "text_delta", "text": " you."}]),
    ({"type": "of_next_year", "value": {"a": [1, 2.5]}}, []),
]
STOP = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": USAGE}
FIELDS: dict[str, Any] = {
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "thinking": {"type": "adaptive", "display": "summarized"},
    "tools": [{"type": "bash_20250124", "name": "bash"}],
    "metadata": {"user_id": "ann"},
    "messages": [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x+/=="},
                {"type": "text", "text": "Yes?"},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}
            ],
        },
    ],
    "field_of_next_year": {"a": [1, 2.50, None]},
}


def events() -> list[dict[str, Any]]:
    """Return the events of an answer, as Anthropic streams them."""
    made: list[dict[str, Any]] = [{"type": "message_start", "message": MESSAGE}]
    for index, (block, deltas) in enumerate(BLOCKS):
        made.append({"type": "content_block_start", "index": index, "content_block": block})
        made += ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        made.append({"type": "content_block_stop", "index": index})
    return [*made, STOP, {"type": "message_stop"}]


def framed(answer: Sequence[dict[str, Any]]) -> Handler:
    return playing(*map(chunk_frame, answer), "end")


@asynccontextmanager
async def asked(
    script: Handler, body: dict[str, Any], *, model: str = CLAUDE, **settings: object
) -> AsyncIterator[tuple[Exchange, FakeUpstream]]:
    """Answer a request for a message."""
    models = [Model(name="default", provider="up", model=model)]
    async with fake_upstream(script) as upstream:
        config = config_of(provider_of(WIRE, upstream.url, **settings), models=models)
        async with catalogue_of(config) as catalogue:
            headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "b-1, b-2"}
            request = post("/v1/messages", {"model": "m", **body}, **headers)
            yield await ask(Pod(catalogue.provider("default")).app, request), upstream


@pytest.mark.parametrize("stream", [True, False])
async def test_each_field_arrives_as_it_was_sent_and_model_and_versions_have_their_places(*, stream: bool) -> None:
    async with asked(framed(events()), FIELDS | {"stream": stream}) as (exchange, upstream):
        assert exchange.status == 200, exchange.body
    (request,) = upstream.requests
    assert request.path == f"/bedrock/model/{CLAUDE.replace(':', '%3A')}/invoke-with-response-stream"
    assert request.json == FIELDS | {"anthropic_version": "2026-10-21", "anthropic_beta": ["b-1", "b-2"]}


async def test_each_event_comes_as_it_was_sent() -> None:
    async with asked(framed(events()), FIELDS | {"stream": True}) as (exchange, _):
        received = [msgspec.json.decode(event.data) for event in EventParser().feed(exchange.body)]
    ours = {"id", "model"}
    for got, sent in zip(received, events(), strict=True):
        if got["type"] == "message_start":
            got["message"] = {name: value for name, value in got["message"].items() if name not in ours}
            assert got["message"].items() >= {"role": "assistant", "content": []}.items()
        else:
            assert got.pop("usage", {}).items() >= sent.get("usage", {}).items()
            assert got == {name: value for name, value in sent.items() if name != "usage"}


@pytest.mark.parametrize("streams", [True, False])
async def test_a_whole_answer_has_every_block(streams: bool) -> None:  # noqa: FBT001  # a parameter of pytest
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "EqQB+/=="},
        {"type": "redacted_thinking", "data": "EvAF+/=="},
        {"type": "text", "text": "Hi you."},
        {"type": "of_next_year", "value": {"a": [1, 2.5]}},
    ]
    whole = msgspec.json.encode(MESSAGE | {"content": content, "stop_reason": "end_turn"})
    script = framed(events()) if streams else refusing(200, whole)
    async with asked(script, FIELDS, compatibility={"stream": streams}) as (exchange, upstream):
        assert exchange.status == 200, exchange.body
        assert exchange.json()["content"] == content
    assert upstream.requests[0].path.endswith("/invoke-with-response-stream" if streams else "/invoke")


async def test_a_request_is_that_of_anthropics_own_sdk_for_bedrock(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"max_tokens": 9, "messages": FIELDS["messages"], "thinking": {"type": "disabled"}}
    whole = MESSAGE | {"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    settings: dict[str, Any] = {
        "apiKeyFile": key_file(tmp_path, "bedrock-key"),
        "compatibility": {"stream": False},
    }
    async with asked(refusing(200, msgspec.json.encode(whole)), fields, **settings) as (exchange, upstream):
        assert exchange.status == 200, exchange.body
        client = anthropic.AsyncAnthropicBedrock(
            api_key="bedrock-key", aws_region="eu-central-1", base_url=f"{upstream.url}{WIRE.base_path}", max_retries=0
        )
        async with client:
            await client.messages.create(model=CLAUDE, extra_headers={"anthropic-beta": "b-1, b-2"}, **fields)
    ours, theirs = upstream.requests
    assert unquote(ours.path) == unquote(theirs.path)
    assert ours.headers["authorization"] == theirs.headers["authorization"] == "Bearer bedrock-key"
    beta = {"anthropic_beta": [name.strip() for name in theirs.json["anthropic_beta"]]}
    assert ours.json == theirs.json | beta


async def test_an_older_client_gets_the_older_version_of_bedrock() -> None:
    body = {"max_tokens": 9, "messages": FIELDS["messages"][:1], "temperature": 0.5}
    async with fake_upstream(framed(events())) as upstream:
        models = [Model(name="default", provider="up", model=CLAUDE)]
        async with catalogue_of(config_of(provider_of(WIRE, upstream.url), models=models)) as catalogue:
            request = post("/v1/messages", {"model": "m", **body}, **{"anthropic-version": "2023-06-01"})
            assert (await ask(Pod(catalogue.provider("default")).app, request)).status == 200
    assert upstream.requests[0].json == body | {"anthropic_version": "bedrock-2023-05-31"}


async def test_an_exception_in_the_stream_is_an_error_of_the_dialect() -> None:
    frames = [*map(chunk_frame, events()[:9]), exception_frame("throttlingException", {"message": "Slow down."})]
    async with asked(playing(*frames, "end"), FIELDS | {"stream": True}) as (exchange, _):
        *_, last = [msgspec.json.decode(event.data) for event in EventParser().feed(exchange.body)]
    assert (last["type"], last["error"]["type"]) == ("error", "rate_limit_error")


async def test_an_answer_without_its_end_is_not_whole() -> None:
    async with asked(framed(events()[:-1]), FIELDS) as (exchange, _):
        assert (exchange.status, exchange.json()["error"]["type"]) == (500, "api_error")


async def test_another_model_gets_converse_and_what_it_does_not_have_is_refused_by_name() -> None:
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    answer = playing(*WIRE.begin(), WIRE.token("Hi"), *WIRE.finish(), "end")
    async with asked(answer, body, model="amazon.nova-pro-v1:0") as (exchange, upstream):
        assert [block["text"] for block in exchange.json()["content"]] == ["Hi"]
        assert upstream.requests[0].path.endswith("/converse-stream")
    async with asked(answer, FIELDS, model="amazon.nova-pro-v1:0") as (exchange, upstream):
        assert exchange.status == 400
        assert "'field_of_next_year'" in exchange.json()["error"]["message"]
        assert upstream.requests == []


async def test_files_and_fields_of_converse_reach_it_from_chat_completions() -> None:
    pdf = "JVBERi0xLjc="
    parts = [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{pdf}"}},
        {"type": "text", "text": "Read.", "cache_control": {"type": "ephemeral"}},
    ]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    own = {"additionalModelRequestFields": {"top_k": 5}, "requestMetadata": {"team": "a"}}
    answer = playing(*WIRE.begin(), WIRE.token("Hi"), *WIRE.finish(), "end")
    async with fake_upstream(answer) as upstream:
        models = [Model(name="default", provider="up", model="amazon.nova-pro-v1:0")]
        async with catalogue_of(config_of(provider_of(WIRE, upstream.url), models=models)) as catalogue:
            app = Pod(catalogue.provider("default")).app
            taken = await ask(app, post("/v1/chat/completions", {"model": "m", "messages": messages, **own}))
            refused = await ask(
                app, post("/v1/chat/completions", {"model": "m", "messages": messages, "logprobs": True})
            )
    assert (taken.status, refused.status, refused.json()["error"]["param"]) == (200, 400, "logprobs")
    document = {"document": {"format": "pdf", "name": "a", "source": {"bytes": pdf}}}
    point = {"cachePoint": {"type": "default"}}
    assert [request.json for request in upstream.requests] == [
        {
            "system": [{"text": "Be brief."}],
            "messages": [{"role": "user", "content": [document, {"text": "Read."}, point]}],
            **own,
        }
    ]
