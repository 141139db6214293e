"""Anthropic's own SDK, unmodified, against the API as a process: scripted models, and upstreams of two vendors."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import pytest
from anthropic.types import MessageParam, ToolParam

from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Compatibility, Model
from harness.pods.api_process import ApiProcess, api_process, scripted
from harness.upstream.catalogue import config_of, provider_of
from harness.upstream.fake import FakeUpstream, Handler, Reply, fake_upstream
from harness.upstream.wires import AnthropicWire, event, wire_of

ANTHROPIC = AnthropicWire()
OPENAI = wire_of(ProviderType.OPENAI)
HI: MessageParam = {"role": "user", "content": "Say hello twice"}
WEATHER: ToolParam = {
    "name": "weather",
    "description": "Returns the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("api"), scripted()) as running:
        yield running


@pytest.fixture
def client(api: ApiProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=api.url, api_key="none", max_retries=0) as opened:
        yield opened


def test_a_whole_message(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="echo", max_tokens=100, messages=[HI])
    (block,) = message.content
    assert block.type == "text"
    assert block.text == HI["content"]
    assert (message.role, message.model, message.stop_reason) == ("assistant", "echo", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (3, 3)
    assert message.id.startswith("msg_")
    assert message._request_id  # noqa: SLF001  # the SDK's documented way to the request's id


def test_a_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="count", max_tokens=100, messages=[HI]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "1 2 3 4 5"
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 3, 5)


def test_a_limit_of_tokens_is_the_reason_to_stop(client: anthropic.Anthropic) -> None:
    assert client.messages.create(model="count", max_tokens=2, messages=[HI]).stop_reason == "max_tokens"


def test_an_answer_goes_back_into_the_next_question_as_it_is(client: anthropic.Anthropic) -> None:
    first = client.messages.create(model="echo", max_tokens=100, messages=[HI])
    again = client.messages.create(
        model="count", max_tokens=100, messages=[HI, {"role": "assistant", "content": first.content}, HI]
    )
    assert again.content[0].type == "text"


def test_both_versions_and_both_credentials(api: ApiProcess) -> None:
    with anthropic.Anthropic(base_url=api.url, auth_token="token", max_retries=0) as client:
        older = {"anthropic-version": "2023-06-01"}
        sampled = {"temperature": 0.5, "top_p": 0.9}
        message = client.messages.create(
            model="echo", max_tokens=9, messages=[HI], extra_headers=older, extra_body=sampled
        )
        assert message.stop_reason == "end_turn"
        for name, value in (*sampled.items(), ("top_k", 5)):
            with pytest.raises(anthropic.BadRequestError) as caught:
                client.messages.create(model="echo", max_tokens=9, messages=[HI], extra_body={name: value})
            assert f"'{name}'" in caught.value.message
        with pytest.raises(anthropic.BadRequestError, match="anthropic-version"):
            client.messages.create(
                model="echo", max_tokens=9, messages=[HI], extra_headers={"anthropic-version": "2030-01-01"}
            )


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "error", "status", "kind"),
    [
        ("nothing", anthropic.NotFoundError, 404, "not_found_error"),
        ("limited", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("overloaded", anthropic.InternalServerError, 529, "overloaded_error"),
        ("key", anthropic.InternalServerError, 500, "api_error"),
    ],
)
def test_a_failure_before_the_first_token_is_the_sdks_own_exception(
    client: anthropic.Anthropic,
    model: str,
    error: type[anthropic.APIStatusError],
    status: int,
    kind: str,
    *,
    stream: bool,
) -> None:
    with pytest.raises(error) as caught:
        client.messages.create(model=model, max_tokens=9, messages=[HI], stream=stream)
    assert caught.value.status_code == status
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"] == caught.value.request_id
    assert body["error"]["details"]["error_code"]


def test_a_cut_answer_raises_with_and_without_streaming(client: anthropic.Anthropic) -> None:
    seen: list[object] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        seen.extend(client.messages.create(model="cut", max_tokens=9, messages=[HI], stream=True))
    assert seen
    body: Any = caught.value.body
    assert body["error"]["details"]["error_code"] == "upstream_truncated"
    with pytest.raises(anthropic.InternalServerError):
        client.messages.create(model="cut", max_tokens=9, messages=[HI])


def test_models_and_counts(client: anthropic.Anthropic) -> None:
    assert {model.id for model in client.models.list()} >= {"echo", "count"}
    assert client.models.retrieve("echo").lifecycle == "active"
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.models.retrieve("nothing")
    assert caught.value.request_id
    counted = client.messages.count_tokens(model="echo", messages=[HI], tools=[WEATHER])
    assert counted.input_tokens > 3
    assert counted.model_extra == {"estimated": True}
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.list()


CALLER = {"type": "direct"}
RICH: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_theirs",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "diagnostics": {"of_next_year": 1},
            "usage": {
                "input_tokens": 5,
                "cache_read_input_tokens": 2,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
                "cache_creation_input_tokens": 3,
                "output_tokens": 1,
                "service_tier": "priority",
            },
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "think."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB+/=="}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "b64=="}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": "", "citations": []}},
    *(
        {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": word}}
        for word in ("It", " is", ' "fine"', " — sunny.")
    ),
    {"type": "content_block_delta", "index": 2, "delta": {"type": "citations_delta", "citation": {"cited_text": "x"}}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
    },
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '{"query":"a"}'}},
    {"type": "content_block_stop", "index": 3},
    {
        "type": "content_block_start",
        "index": 4,
        "content_block": {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "weather",
            "input": {},
            "caller": CALLER,
        },
    },
    {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": '{"city":'}},
    {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": '"Ulm"}'}},
    {"type": "content_block_stop", "index": 4},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None, "container": {"id": "c_1"}},
        "usage": {"output_tokens": 9, "server_tool_use": {"web_search_requests": 1}},
        "of_next_year": True,
    },
    {"type": "message_stop"},
]
CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Let me think.", "signature": "EqQB+/=="},
    {"type": "redacted_thinking", "data": "b64=="},
    {"type": "text", "text": 'It is "fine" — sunny.', "citations": [{"cited_text": "x"}]},
    {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "a"}},
    {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "weather",
        "input": {"city": "Ulm"},
        "caller": CALLER,
    },
]
USAGE = {**RICH[0]["message"]["usage"], **RICH[-2]["usage"]}
WHOLE = {
    **RICH[0]["message"],
    "content": CONTENT,
    "stop_reason": "tool_use",
    "container": {"id": "c_1"},
    "usage": USAGE,
}
REQUEST: dict[str, Any] = {
    "max_tokens": 1000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        HI,
        {"role": "system", "content": "Be kind."},
        {"role": "assistant", "content": CONTENT},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "Rain."}]},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
                {"type": "of_next_year", "value": 1},
            ],
        },
    ],
    "tools": [
        {**WEATHER, "strict": True, "defer_loading": True},
        {"type": "web_search_20260318", "name": "web_search"},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "xhigh", "task_budget": {"total": 9}},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "service_tier": "standard_only",
    "speed": "fast",
    "cache_control": {"type": "ephemeral"},
    "container": "c_1",
    "context_management": {"edits": [{"type": "compact_20260112"}]},
    "mcp_servers": [{"type": "url", "url": "https://a", "name": "a"}],
    "field_of_next_year": {"a": [1, 2.50, None]},
}


def playing(*events: bytes, kind: str = "text/event-stream") -> Handler:
    async def script(reply: Reply) -> None:
        counting = reply.request.path.endswith("/count_tokens")
        listing = reply.request.method == "GET"
        whole = [b'{"input_tokens":42}' if counting else b'{"data":[{"id":"gpt-x"}]}']
        await reply.head(content_type="application/json" if counting or listing else kind)
        await reply.send(*(whole if counting or listing else events))
        await reply.end()

    return script


def frames(events: list[dict[str, Any]]) -> list[bytes]:
    return [event(each, each["type"]) for each in events]


@asynccontextmanager
async def vendor(
    wire: Any,  # noqa: ANN401  # either vendor's
    script: Handler,
    folder: Path,
    *,
    stream: bool = True,
) -> AsyncIterator[tuple[anthropic.AsyncAnthropic, FakeUpstream]]:
    """Open the SDK on a pod with one model at an upstream that plays `script`."""
    async with fake_upstream(script) as upstream:
        compatibility = Compatibility(stream=stream)
        provider = provider_of(wire, upstream.url).model_copy(update={"compatibility": compatibility})
        models = [Model(name="default", provider="up", model="gpt-x")]
        config: RuntimeConfig = config_of(provider, models=models)
        with api_process(folder, config) as running:
            async with anthropic.AsyncAnthropic(base_url=running.url, api_key="none", max_retries=0) as client:
                yield client, upstream


def received(upstream: FakeUpstream, path: str = "/messages") -> Any:  # noqa: ANN401  # any JSON
    return next(request for request in reversed(upstream.requests) if request.path.endswith(path))


async def test_a_request_and_its_streamed_answer_are_anthropics_own(tmp_path: Path) -> None:
    async with vendor(ANTHROPIC, playing(*frames(RICH)), tmp_path) as (client, upstream):
        beta = {"anthropic-beta": "context-management-2025-06-27,mcp-client-2025-11-20"}
        raw = await client.post(
            "/v1/messages",
            body={"model": "default", "stream": True, **REQUEST},
            cast_to=object,
            options={"headers": beta},
        )
        request = received(upstream)
        assert request.json == {**REQUEST, "model": "gpt-x", "stream": True}
        assert request.headers["anthropic-version"] == "2026-10-21"
        assert request.headers["anthropic-beta"] == beta["anthropic-beta"]
        sent = [each.partition("\ndata: ") for each in str(raw).strip().split("\n\n")]
        events = [msgspec.json.decode(data) for _, _, data in sent]
        assert [name for name, *_ in sent] == [f"event: {each['type']}" for each in events]
        ours = {"id": events[0]["message"]["id"], "model": "default"}
        silent = [each for each in RICH if each["type"] != "ping"]
        usage = events[-2].pop("usage")
        assert usage.items() >= RICH[-2]["usage"].items()
        expected = [
            {**silent[0], "message": silent[0]["message"] | ours},
            *silent[1:-2],
            {name: value for name, value in silent[-2].items() if name != "usage"},
            silent[-1],
        ]
        assert events == expected


@pytest.mark.feature(31)
async def test_the_sdks_own_accumulator_understands_the_stream_and_sends_it_back(tmp_path: Path) -> None:
    async with vendor(ANTHROPIC, playing(*frames(RICH)), tmp_path) as (client, upstream):
        async with client.messages.stream(model="default", max_tokens=100, messages=[HI], tools=[WEATHER]) as stream:
            final = await stream.get_final_message()
        assert [block.type for block in final.content] == [each["type"] for each in CONTENT]
        assert final.content[0].model_dump(exclude_none=True) == CONTENT[0]
        assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("tool_use", 5, 9)
        await client.messages.create(
            model="default", max_tokens=100, messages=[HI, {"role": "assistant", "content": final.content}, HI]
        )
        assert received(upstream).json["messages"][1]["content"][:2] == CONTENT[:2]
        counted = await client.messages.count_tokens(model="default", messages=[HI], system="Be brief.")
        assert (counted.input_tokens, counted.model_extra) == (42, {})
        assert received(upstream, "/count_tokens").json == {"model": "gpt-x", "messages": [HI], "system": "Be brief."}


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_whole_message_is_anthropics_own(tmp_path: Path, *, streamed: bool) -> None:
    script = playing(*frames(RICH)) if streamed else playing(msgspec.json.encode(WHOLE), kind="application/json")
    async with vendor(ANTHROPIC, script, tmp_path, stream=streamed) as (client, _):
        body: Any = await client.post("/v1/messages", body={"model": "default", **REQUEST}, cast_to=object)
    usage = body.pop("usage")
    assert usage.items() >= USAGE.items()
    extra = {"of_next_year": True} if streamed else {}
    ours = {"id": body["id"], "model": "default"}
    assert body == {name: value for name, value in WHOLE.items() if name != "usage"} | ours | extra


async def test_each_reason_to_stop_reaches_the_client(tmp_path: Path) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "x"}
    async with vendor(ANTHROPIC, playing(), tmp_path) as (client, upstream):
        for reason in ("pause_turn", "refusal", "model_context_window_exceeded", "stop_sequence"):
            delta = {"stop_reason": reason, "stop_sequence": "END", "stop_details": details}
            end = [{"type": "content_block_stop", "index": 2}, {**RICH[-2], "delta": delta}, RICH[-1]]
            upstream.answers(playing(*frames([RICH[0], *RICH[9:11], *end])))
            message = await client.messages.create(model="default", max_tokens=9, messages=[HI])
            assert (message.stop_reason, message.stop_sequence) == (reason, "END")
            assert message.stop_details
            assert message.stop_details.model_dump() == details


CHUNKS = [
    {"delta": {"role": "assistant", "content": ""}},
    {"delta": {"reasoning_content": "Hm."}},
    {"delta": {"content": "Let me"}},
    {"delta": {"content": " look."}},
    *(
        {"delta": {"tool_calls": [{"index": at, "id": f"call_{at}", "function": {"name": "weather", "arguments": ""}}]}}
        for at in range(2)
    ),
    {"delta": {"tool_calls": [{"index": 1, "function": {"arguments": '{"city":"Ulm"}'}}]}},
    {"delta": {}, "finish_reason": "tool_calls"},
]
COUNTS = {"prompt_tokens": 10, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 4}}
STREAMED = [
    *(event({"choices": [each]}) for each in CHUNKS),
    event({"choices": [], "usage": COUNTS}),
    b"data: [DONE]\n\n",
]


PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
HINTED = {"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}}
TO_TRANSLATE: Any = {
    "model": "default",
    "max_tokens": 100,
    "system": "Be brief.",
    "messages": [
        {"role": "user", "content": [HINTED, PICTURE]},
        {"role": "assistant", "content": [CONTENT[0], CONTENT[1], {"type": "text", "text": "Well."}, CONTENT[4]]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain."}, HINTED]},
    ],
    "tools": [WEATHER],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
}


async def test_a_message_to_an_upstream_of_openais_is_translated(tmp_path: Path) -> None:
    async with vendor(OPENAI, playing(*STREAMED), tmp_path) as (client, upstream):
        await client.messages.create(**TO_TRANSLATE)
        body = received(upstream, "/chat/completions").json
    function = {"name": "weather", "description": "Returns the weather.", "parameters": WEATHER["input_schema"]}
    call = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
    url = "data:image/png;base64,iVBORw0KGgo="
    schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert body == {
        "model": "gpt-x",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": url}}],
            },
            {"role": "assistant", "content": "Well.", "tool_calls": [call]},
            {"role": "tool", "content": "Rain.", "tool_call_id": "toolu_1"},
            {"role": "user", "content": [{"type": "text", "text": "Look."}]},
        ],
        "max_completion_tokens": 100,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "stop": ["END"],
        "user": "u",
        "response_format": {"type": "json_schema", "json_schema": schema},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_of_an_upstream_of_openais_is_translated(tmp_path: Path, *, stream: bool) -> None:
    async with vendor(OPENAI, playing(*STREAMED), tmp_path) as (client, _):
        if stream:
            async with client.messages.stream(**TO_TRANSLATE) as opened:
                message: Any = await opened.get_final_message()
        else:
            message = await client.messages.create(**TO_TRANSLATE)
    blocks = [block.model_dump(exclude_none=True) for block in message.content]
    for block in blocks:
        block.pop("parsed_output", None)
    direct = {"caller": {"type": "direct"}}
    assert blocks == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "call_0", "name": "weather", "input": {}, **direct},
        {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Ulm"}, **direct},
    ]
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (6, 4, 6)


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0]"),
        ({"tools": [{**WEATHER, "of_next_year": True}]}, "tools[0].of_next_year"),
        ({"mcp_servers": REQUEST["mcp_servers"]}, "mcp_servers"),
        ({"context_management": REQUEST["context_management"]}, "context_management"),
        ({"field_of_next_year": 1}, "field_of_next_year"),
        ({"container": "c_1"}, "container"),
        ({"speed": "fast"}, "speed"),
        ({"messages": REQUEST["messages"][-1:]}, "messages[0].content[1]"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}
                ]
            },
            "messages[0].content[0].source",
        ),
    ],
)
async def test_what_only_anthropic_has_is_refused_by_name_elsewhere(
    client: anthropic.Anthropic, sent: dict[str, Any], param: str
) -> None:
    body = {"model": "echo", "max_tokens": 9, "messages": [HI], **sent}
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.post("/v1/messages", body=body, cast_to=object)
    error: Any = caught.value.body
    assert (error["error"]["type"], error["error"]["details"]["param"]) == ("invalid_request_error", param)
    assert f"'{param}'" in error["error"]["message"]


async def test_thinking_of_another_vendor_is_not_sent_to_anthropic(tmp_path: Path) -> None:
    unsigned = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    messages: list[Any] = [HI, {"role": "assistant", "content": [unsigned, CONTENT[2]]}, HI]
    async with vendor(ANTHROPIC, playing(*frames(RICH)), tmp_path) as (client, upstream):
        await client.messages.create(model="default", max_tokens=9, messages=messages)
        assert received(upstream).json["messages"][1]["content"] == [CONTENT[2]]


async def test_an_answer_that_is_cut_is_never_whole(tmp_path: Path) -> None:
    async with vendor(ANTHROPIC, playing(), tmp_path) as (client, upstream):
        for cut in (1, 4, 11, 15, 20, len(RICH) - 2, len(RICH) - 1):
            upstream.answers(playing(*frames(RICH[:cut])))
            with pytest.raises(anthropic.APIStatusError):
                async with client.messages.stream(model="default", max_tokens=9, messages=[HI]) as stream:
                    await stream.get_final_message()
            with pytest.raises(anthropic.InternalServerError):
                await client.messages.create(model="default", max_tokens=9, messages=[HI])
