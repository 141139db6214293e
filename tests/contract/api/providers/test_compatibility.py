"""An upstream that rejects a part of the usual request, or never streams, answers all the same: over connections."""

import msgspec
import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Reasoning, Token, ToolCall, Usage
from chatfleet_api.providers.provider import Finish
from chatfleet_contract.report import Dependency, State
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.upstream.catalogue import ask, catalogue_of, config_of, provider_of
from harness.upstream.fake import Handler, Reply, Request, fake_upstream
from harness.upstream.wires import WIRES, WORDS, OpenAIWire, Wire, answering, refusing, whole, wire_of

WITH_STREAM_OPTIONS = [wire for wire in WIRES if isinstance(wire, OpenAIWire)]
TOOL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "reasoning_content": "Hm.",
                "refusal": None,
                "tool_calls": [TOOL, {**TOOL, "id": "call_2"}],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11},
}
MESSAGE: dict[str, object] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "text", "text": "Let me look.", "citations": None},
        {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "call_2", "name": "weather", "input": {"city": "Paris"}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 7, "output_tokens": 4},
}
CALL = {"type": "function_call", "status": "completed", "name": "weather", "arguments": '{"city":"Paris"}'}
RESPONSE: dict[str, object] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "error": None,
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Let me look."}],
        },
        {**CALL, "id": "fc_1", "call_id": "call_1"},
        {**CALL, "id": "fc_2", "call_id": "call_2"},
    ],
    "usage": {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11},
}
CONVERSED: dict[str, object] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "x"}}},
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Paris"}}},
                {"toolUse": {"toolUseId": "call_2", "name": "weather", "input": {"city": "Paris"}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 7, "outputTokens": 4, "totalTokens": 11},
    "metrics": {"latencyMs": 120},
}
DOCUMENTS: dict[str, dict[str, object]] = {"anthropic": MESSAGE, "responses": RESPONSE, "bedrock": CONVERSED}


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> Wire:
    value: Wire = request.param
    return value


def document(wire: Wire) -> dict[str, object]:
    return dict(DOCUMENTS.get(wire.name, COMPLETION))


def wants_stream(request: Request) -> bool:
    """Return whether a request is for a stream: in its body, or at Bedrock in its path."""
    return bool(request.json.get("stream", request.path.endswith("/converse-stream")))


def unstreamed(body: object, *, pieces: int = 3, **headers: str) -> Handler:
    """Return the script of an upstream that gives its answer as one document, whose bytes come in `pieces`."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)

    async def script(reply: Reply) -> None:
        await reply.head(**{"content_type": "application/json; charset=utf-8", **headers})  # type: ignore[arg-type]
        step = -(-len(data) // pieces)
        for at in range(0, len(data), step):
            await reply.send(data[at : at + step])
        await reply.end()

    return script


def only_unstreamed(wire: Wire) -> Handler:
    """Return the script of an upstream that rejects a request for a stream."""
    said = b'{"error":{"message":"This model cannot be streamed.","type":"invalid_request_error","param":"stream"}}'

    async def script(reply: Reply) -> None:
        await (refusing(400, said) if wants_stream(reply.request) else unstreamed(document(wire)))(reply)

    return script


def without_stream_options(wire: Wire) -> Handler:
    """Return the script of an upstream that rejects `stream_options`, and streams without usage."""
    said = (
        b'{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error"}}'
    )

    async def script(reply: Reply) -> None:
        if "stream_options" in reply.request.json:
            await refusing(400, said)(reply)
            return
        await reply.head()
        await reply.send(*[event for event in whole(wire) if b'"prompt_tokens"' not in event])
        await reply.end()

    return script


async def test_a_whole_answer_is_the_same_items_as_a_stream(wire: Wire) -> None:
    async with fake_upstream(only_unstreamed(wire)) as upstream:
        provider = provider_of(wire, upstream.url, compatibility={"stream": False})
        async with catalogue_of(config_of(provider)) as catalogue:
            outcome = await ask(catalogue.provider("default"))
            again = await ask(catalogue.provider("default"))
    assert (outcome.error, again.pieces) == (None, outcome.pieces)
    joined: dict[int, ToolCall] = {}
    for item in outcome.pieces:
        if isinstance(item, ToolCall):
            so_far = joined.get(item.index, ToolCall(item.index))
            joined[item.index] = ToolCall(
                item.index, so_far.id or item.id, so_far.name or item.name, so_far.arguments + item.arguments
            )
    assert [item for item in outcome.pieces if not isinstance(item, ToolCall)] == [
        Reasoning("Hm."),
        Token("Let me look."),
        Finish("tool_calls", Usage(input_tokens=7, output_tokens=4), "up", "gpt-x"),
    ]
    assert list(joined.values()) == [
        ToolCall(0, "call_1", "weather", '{"city":"Paris"}'),
        ToolCall(1, "call_2", "weather", '{"city":"Paris"}'),
    ]
    assert upstream.connections == 1
    assert "stream_options" not in upstream.requests[0].json


async def test_a_whole_answer_is_understood_although_a_stream_was_requested(wire: Wire) -> None:
    async with (
        fake_upstream(unstreamed(document(wire))) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"))
    assert (outcome.error, outcome.text) == (None, "Hm.Let me look.")
    assert wants_stream(upstream.requests[0])


async def test_a_stream_is_understood_although_none_was_requested(wire: Wire) -> None:
    async with fake_upstream(answering(wire)) as upstream:
        provider = provider_of(wire, upstream.url, compatibility={"stream": False})
        async with catalogue_of(config_of(provider)) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    assert (outcome.error, outcome.text) == (None, "".join(WORDS))


async def test_a_whole_answer_without_usage_is_estimated_by_its_length(wire: Wire) -> None:
    body = {name: value for name, value in document(wire).items() if name != "usage"}
    async with fake_upstream(unstreamed(body)) as upstream:
        provider = provider_of(wire, upstream.url, compatibility={"stream": False})
        async with catalogue_of(config_of(provider)) as catalogue:
            finish = (await ask(catalogue.provider("default"))).pieces[-1]
    assert isinstance(finish, Finish)
    assert finish.usage == Usage(input_tokens=3, output_tokens=12, estimated=True)


UNUSABLE = {
    b"": Code.UPSTREAM_TRUNCATED,
    b"<html>": Code.UPSTREAM_MALFORMED,
    b"[" * 100_000: Code.UPSTREAM_MALFORMED,
    b'{"usage":' + b"[" * 100_000: Code.UPSTREAM_MALFORMED,
    b"[]": Code.UPSTREAM_MALFORMED,
    b"{}": Code.UPSTREAM_TRUNCATED,
    b'{"type":"error","error":{"type":"overloaded_error","message":"Busy."}}': Code.UPSTREAM_OVERLOADED,
    b'{"error":{"type":"rate_limit_error","message":"Slow down."}}': Code.UPSTREAM_RATE_LIMITED,
}


@pytest.mark.parametrize("body", UNUSABLE, ids=range(len(UNUSABLE)))
async def test_what_is_no_whole_answer_is_never_a_success(wire: Wire, body: bytes) -> None:
    async with fake_upstream(unstreamed(body, pieces=1)) as upstream:
        provider = provider_of(wire, upstream.url, compatibility={"stream": False})
        async with catalogue_of(config_of(provider)) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    assert outcome.code is UNUSABLE[body]


async def test_a_whole_answer_that_is_cut_is_truncated(wire: Wire) -> None:
    data = msgspec.json.encode(document(wire))

    async def closed(reply: Reply) -> None:
        await reply.head(content_type="application/json")
        await reply.send(data[:50])
        reply.cut()

    for script in (closed, unstreamed(data[:50])):
        async with fake_upstream(script) as upstream:
            provider = provider_of(wire, upstream.url, compatibility={"stream": False})
            async with catalogue_of(config_of(provider)) as catalogue:
                assert (await ask(catalogue.provider("default"))).code is Code.UPSTREAM_TRUNCATED


async def test_a_whole_answer_has_until_the_total_timeout(wire: Wire) -> None:
    async def slow(reply: Reply) -> None:
        await reply.head(content_type="application/json")
        await reply.hang()

    for script in (slow, Reply.hang):
        async with fake_upstream(script) as upstream:
            settings = {
                "compatibility": {"stream": False},
                "timeouts": {"firstTokenSeconds": 30, "stallSeconds": 30, "totalSeconds": 0.5},
                "retries": {"max": 3},
            }
            async with catalogue_of(config_of(provider_of(wire, upstream.url, **settings))) as catalogue:
                assert (await ask(catalogue.provider("default"))).code is Code.UPSTREAM_TIMEOUT
            await upstream.abandoned()
            assert len(upstream.requests) == 1  # an answer that takes so long is paid each time


async def test_a_whole_answer_need_not_come_within_the_timeout_of_a_first_token(wire: Wire) -> None:
    timeouts = {"firstTokenSeconds": 0.001, "stallSeconds": 0.001, "totalSeconds": 30}
    async with fake_upstream(unstreamed(document(wire))) as upstream:
        provider = provider_of(wire, upstream.url, compatibility={"stream": False}, timeouts=timeouts)
        async with catalogue_of(config_of(provider)) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    assert outcome.error is None


@pytest.mark.parametrize("wire", WITH_STREAM_OPTIONS, ids=lambda wire: wire.name)
async def test_an_upstream_without_stream_options_answers_with_estimated_usage(wire: Wire) -> None:
    async with fake_upstream(without_stream_options(wire)) as upstream:
        provider = provider_of(wire, upstream.url, compatibility={"streamOptions": False})
        async with catalogue_of(config_of(provider)) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    assert (outcome.error, outcome.text) == (None, "".join(WORDS))
    finish = outcome.pieces[-1]
    assert isinstance(finish, Finish)
    assert finish.usage == Usage(input_tokens=3, output_tokens=4, estimated=True)


@pytest.mark.parametrize("wire", WITH_STREAM_OPTIONS, ids=lambda wire: wire.name)
async def test_usage_that_comes_without_stream_options_is_exact(wire: Wire) -> None:
    async with fake_upstream(answering(wire)) as upstream:
        provider = provider_of(wire, upstream.url, compatibility={"streamOptions": False})
        async with catalogue_of(config_of(provider)) as catalogue:
            finish = (await ask(catalogue.provider("default"))).pieces[-1]
    assert isinstance(finish, Finish)
    assert finish.usage == Usage(input_tokens=7, output_tokens=4)


# What an upstream refuses, without the setting


async def test_the_reason_of_a_refused_stream_and_its_remedy_reach_client_and_condition(wire: Wire) -> None:
    async with (
        fake_upstream(only_unstreamed(wire)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"))
        upstream.answers(refusing(200))
        seen = (await catalogue.check())["up"]
        upstream.answers(answering(wire))
        await ask(catalogue.provider("default"))
        upstream.answers(refusing(200))
        later = (await catalogue.check())["up"]
    assert outcome.error is not None
    assert outcome.code is Code.UPSTREAM_REJECTED
    assert outcome.error.message == (
        "This model cannot be streamed. Set compatibility.stream of the provider to false."
    )
    assert seen.state is State.DOWN
    assert "requests for model gpt-x fail: HTTP 400" in (seen.message or "")
    assert "This model cannot be streamed.; set compatibility.stream to false" in (seen.message or "")
    assert later == Dependency(state=State.UP)


@pytest.mark.parametrize("wire", WITH_STREAM_OPTIONS, ids=lambda wire: wire.name)
async def test_the_reason_of_refused_stream_options_reaches_client_and_condition(wire: Wire) -> None:
    async with (
        fake_upstream(without_stream_options(wire)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"))
        upstream.answers(refusing(200))
        seen = (await catalogue.check())["up"]
    assert outcome.error is not None
    assert outcome.error.message == (
        "Unrecognized request argument supplied: stream_options."
        " Set compatibility.streamOptions of the provider to false."
    )
    assert seen.state is State.DOWN
    assert "set compatibility.streamOptions to false" in (seen.message or "")


async def test_a_key_that_only_the_list_of_models_accepts_is_down(wire: Wire) -> None:
    async with (
        fake_upstream(refusing(401)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        await ask(catalogue.provider("default"))
        upstream.answers(refusing(200))
        seen = (await catalogue.check())["up"]
    assert seen.state is State.DOWN
    assert "HTTP 401" in (seen.message or "")


async def test_one_model_that_is_missing_is_a_note_beside_those_that_answer(wire: Wire) -> None:
    models = [Model(name=name, provider="up", model=name) for name in ("default", "gone")]
    async with (
        fake_upstream(answering(wire), refusing(404), refusing(200)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url), models=models)) as catalogue,
    ):
        await ask(catalogue.provider("default"))
        assert (await ask(catalogue.provider("gone"))).code is Code.MODEL_NOT_FOUND
        seen = (await catalogue.check())["up"]
    assert seen.state is State.UP
    assert "requests for model gone fail: HTTP 404" in (seen.message or "")


async def test_a_check_does_not_take_a_web_page_for_a_list_of_models(wire: Wire) -> None:
    async with (
        fake_upstream(unstreamed(b"<html>", content_type="text/html")) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        seen = (await catalogue.check())["up"]
    assert seen.state is (State.UP if wire.type is ProviderType.OPENAI_COMPATIBLE else State.DOWN)
    assert "returned HTTP 200 with a web page" in (seen.message or "")


async def test_a_check_without_a_list_of_models_reports_what_it_did_not_try() -> None:
    wire = wire_of(ProviderType.OPENAI_COMPATIBLE)
    async with (
        fake_upstream(refusing(404), answering(wire), refusing(404)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        before = (await catalogue.check())["up"]
        await ask(catalogue.provider("default"))
        after = (await catalogue.check())["up"]
    assert before.state is State.UP
    assert (before.message or "").startswith("only the connection was checked")
    assert after == Dependency(state=State.UP)
