"""Spans of requests, turns and attempts: their tree, their names and attributes, and what is never in them."""

import io
import json
import logging
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.pod.logs import JSONLines
from chatfleet_api.providers.policies.traced import Traced, TracedModel
from chatfleet_api.providers.provider import Provider
from chatfleet_contract.spec import GenAIConventions
from chatfleet_contract.spec.provider_types import ProviderType
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, loop_clock, text
from harness.pods.spans import Spans

pytestmark = pytest.mark.looptime
CHAT = {"model": "m", "messages": [{"role": "user", "content": "my secret question"}], "max_tokens": 7}
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SILENT = CALLER[:-2] + "00"
ROUTE = "POST /v1/chat/completions"


def traced(inner: Provider, type_: ProviderType = ProviderType.AZURE_OPENAI) -> Traced:
    return Traced(inner, TracedModel("azure", "gpt-x", type_, "llm.example.com"), loop_clock)


async def asked(spans: Spans, provider: Provider, **headers: str) -> Exchange:
    sent = post("/v1/chat/completions", CHAT)
    sent.scope["headers"] += [(name.encode(), value.encode()) for name, value in headers.items()]
    return await ask(Pod(traced(provider), tracer=spans.tracer).app, sent)


def about(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> str:
    assert span.parent
    return f"{span.parent.span_id:016x}"


def number(span: ReadableSpan) -> tuple[str, str]:
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


async def test_request_turn_and_attempt_are_a_tree_below_the_caller() -> None:
    spans = Spans()
    await asked(spans, FakeProvider(text("a", "b"), [STOP]), traceparent=CALLER)
    server, turn, attempt = spans.named(ROUTE), spans.named("turn"), spans.named("chat gpt-x")
    assert {number(span)[0] for span in spans.ended} == {"0af7651916cd43dd8448eb211c80319c"}
    assert [parent(span) for span in (server, turn, attempt)] == [
        *("b7ad6b7169203331", number(server)[1], number(turn)[1]),
    ]
    assert [span.kind for span in (server, turn, attempt)] == [SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT]
    assert server.resource.attributes["service.name"] == "support"
    assert server.resource.attributes["k8s.pod.name"] == "pod-1"


async def test_a_request_has_what_http_conventions_want_and_no_path() -> None:
    spans = Spans()
    answer = await asked(spans, FakeProvider([STOP]))
    assert about(spans.named(ROUTE)) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "chatfleet.request.id": answer.headers["x-request-id"],
        "chatfleet.tenant": "default",
    }


@pytest.mark.parametrize(
    ("conventions", "expected"),
    [
        (GenAIConventions.CURRENT, {"gen_ai.system": "azure.ai.openai"}),
        (
            GenAIConventions.LATEST,
            {
                "gen_ai.provider.name": "azure.ai.openai",
                "gen_ai.request.stream": True,
                "gen_ai.response.time_to_first_chunk": 2.0,
                "gen_ai.usage.cache_read.input_tokens": 0,
                "gen_ai.usage.cache_creation.input_tokens": 0,
                "gen_ai.usage.reasoning.output_tokens": 0,
            },
        ),
    ],
)
async def test_an_attempt_follows_the_conventions_that_are_wanted(
    conventions: GenAIConventions, expected: dict[str, Any]
) -> None:
    spans = Spans(conventions=conventions)
    await asked(spans, FakeProvider(2.0, text("a"), [STOP]))
    usage = STOP.usage
    assert about(spans.named("chat gpt-x")) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.max_tokens": 7,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "server.address": "llm.example.com",
        "chatfleet.provider": "azure",
        **expected,
    }


async def test_a_provider_that_the_conventions_do_not_know_keeps_its_name() -> None:
    model = TracedModel("vllm", "m", ProviderType.OPENAI_COMPATIBLE, None)
    assert model.attributes(ChatRequest("m", ()), GenAIConventions.LATEST)["gen_ai.provider.name"] == "vllm"


@pytest.mark.parametrize(
    "steps", [(ChatError(Code.UPSTREAM_ERROR),), (text("a"), ChatError(Code.UPSTREAM_ERROR))], ids=["before", "amid"]
)
async def test_a_failure_is_that_of_its_attempt_and_of_the_turn(steps: tuple[Any, ...]) -> None:
    spans = Spans()
    await asked(spans, FakeProvider(*steps))
    for name in ("turn", "chat gpt-x"):
        span = spans.named(name)
        assert (span.status.status_code, about(span)["error.type"]) == (StatusCode.ERROR, "upstream_error")


async def test_an_answer_that_is_cancelled_ends_its_spans() -> None:
    spans = Spans()
    pod = Pod(traced(FakeProvider(text("a"), 100.0, [STOP])), tracer=spans.tracer)
    sent = post("/v1/chat/completions", {**CHAT, "stream": True})
    sent.left.set()
    await ask(pod.app, sent)
    await pod.pool.idle(200)
    assert about(spans.named("chat gpt-x"))["error.type"] == "cancelled"
    assert about(spans.named("turn"))["error.type"] == "cancelled"


async def test_content_is_in_spans_only_if_it_is_wanted() -> None:
    without, with_it = Spans(), Spans(captures_content=True)
    for spans in (without, with_it):
        await asked(spans, FakeProvider(text("my ", "answer"), [STOP]))
    for span in without.ended:
        assert "my" not in str(span.to_json())
    found = about(with_it.named("chat gpt-x"))
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "my secret question"}]}
    ]
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "my answer"}]


async def test_what_the_caller_does_not_sample_is_not_exported() -> None:
    spans = Spans()
    await asked(spans, FakeProvider([STOP]), traceparent=SILENT)
    assert spans.ended == []


async def test_the_ratio_is_for_requests_without_a_caller_in_a_trace() -> None:
    spans = Spans(ratio=0.0)
    await asked(spans, FakeProvider([STOP]))
    assert spans.ended == []
    await asked(spans, FakeProvider([STOP]), traceparent=CALLER)
    assert len(spans.ended) == 3


@pytest.mark.parametrize("header", ["nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "é", CALLER + "x" * 9000])
async def test_a_header_that_is_not_valid_begins_a_new_trace(header: str) -> None:
    spans = Spans()
    await asked(spans, FakeProvider([STOP]), traceparent=header)
    assert spans.named(ROUTE).parent is None


async def test_probes_have_no_spans_and_an_unknown_method_does_not_name_one() -> None:
    spans = Spans()
    pod = Pod(FakeProvider(), tracer=spans.tracer)
    for path in ("/live", "/ready", "/metrics", "/health"):
        await ask(pod.app, get(path))
    assert spans.ended == []
    await ask(pod.app, Exchange("SECRETWORD", "/v1/models"))
    (span,) = spans.ended
    assert "SECRETWORD" not in str(span.to_json())


async def test_log_lines_name_their_trace() -> None:
    spans, written = Spans(), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JSONLines())
    logger = logging.getLogger("chatfleet_api.chat.turn")
    logger.addHandler(handler)
    try:
        await asked(spans, FakeProvider(ChatError(Code.UPSTREAM_ERROR, detail="broken")))
    finally:
        logger.removeHandler(handler)
    line = json.loads(written.getvalue())
    assert (line["trace_id"], line["span_id"]) == number(spans.named("turn"))


async def test_without_a_tracer_the_provider_is_opened_as_it_is() -> None:
    inner = FakeProvider(text("a"), [STOP])
    opening = traced(inner).open(ChatRequest("m", (Message("user", "x"),)))
    assert type(opening) is type(inner.open(ChatRequest("m", ())))
    async with opening:
        pass
