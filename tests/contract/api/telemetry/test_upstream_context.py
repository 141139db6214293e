"""Upstreams get the W3C context of the attempt that reaches them, and none where nothing is traced."""

import json

import pytest

from chatfleet_api.domain import trace
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.trace import Kind, Place
from chatfleet_api.providers.vectors import EmbeddingRequest
from harness.pods.spans import Spans
from harness.upstream.catalogue import ask, catalogue_of, config_of, provider_of
from harness.upstream.fake import FakeUpstream, Reply, fake_upstream
from harness.upstream.wires import WIRES, OpenAIWire, Wire, answering, refusing

CALLER = Place("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=a1")
WIRE = OpenAIWire()


def place(upstream: FakeUpstream, number: int) -> tuple[str, str]:
    headers = upstream.requests[number].headers
    return headers["traceparent"], headers["tracestate"]


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
async def test_each_vendor_gets_the_context_of_its_attempt(wire: Wire) -> None:
    spans = Spans()
    async with (
        fake_upstream(answering(wire)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as c,
    ):
        with trace.active(spans.tracer.begin("turn", Kind.INTERNAL, parent=CALLER)):
            outcome = await ask(c.provider("default"))
    assert outcome.code is None
    context = spans.named("chat gpt-x").context
    assert place(upstream, 0) == (f"00-{context.trace_id:032x}-{context.span_id:016x}-01", "vendor=a1")


async def test_each_retry_is_an_attempt_of_its_own() -> None:
    spans = Spans()
    overloaded = refusing(503, b'{"error": {"message": "later"}}', Retry_After="0")
    async with fake_upstream(overloaded, answering(WIRE)) as upstream:
        provider = provider_of(WIRE, upstream.url, retries={"max": 1})
        async with catalogue_of(config_of(provider)) as catalogue:
            with trace.active(spans.tracer.begin("turn", Kind.INTERNAL, parent=CALLER)):
                assert (await ask(catalogue.provider("default"))).code is None
    attempts = [span for span in spans.ended if span.name == "chat gpt-x"]
    assert [dict(span.attributes or {}).get("error.type") for span in attempts] == [Code.UPSTREAM_OVERLOADED, None]
    assert place(upstream, 0) != place(upstream, 1)


async def test_embeddings_are_attempts_too() -> None:
    async def embedding(reply: Reply) -> None:
        data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        await reply.head(200, "application/json")
        await reply.send(json.dumps({"object": "list", "data": data, "model": "gpt-x", "usage": usage}).encode())
        await reply.end()

    spans = Spans()
    async with (
        fake_upstream(embedding) as upstream,
        catalogue_of(config_of(provider_of(WIRE, upstream.url))) as catalogue,
    ):
        with trace.active(spans.tracer.begin("request", Kind.SERVER, parent=CALLER)):
            request = EmbeddingRequest("default", {"model": "default", "input": "my secret text"}, "float")
            await catalogue.embedding("default").create(request)
    span = spans.named("embeddings gpt-x")
    assert place(upstream, 0)[0].split("-")[2] == f"{span.context.span_id:016x}"
    assert "secret" not in str(span.to_json())


async def test_nothing_is_sent_where_nothing_is_traced() -> None:
    async with (
        fake_upstream(answering(WIRE)) as upstream,
        catalogue_of(config_of(provider_of(WIRE, upstream.url))) as catalogue,
    ):
        assert (await ask(catalogue.provider("default"))).code is None
    assert not {"traceparent", "tracestate"} & upstream.requests[0].headers.keys()
