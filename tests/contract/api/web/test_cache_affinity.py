"""The turns of a conversation go where their prompt may be in a cache: same key, same beginning, same upstream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.asgi import ask, post
from harness.pods.api_pod import Pod
from harness.upstream.catalogue import catalogue_of, config_of, provider_of
from harness.upstream.fake import FakeUpstream, Handler, fake_upstream
from harness.upstream.wires import AZURE, AZURE_V1, AnthropicWire, OpenAIWire, ResponsesWire, Wire, answering, refusing

OPENAI, RESPONSES = OpenAIWire(), ResponsesWire()
COMPATIBLE = OpenAIWire("compatible", ProviderType.OPENAI_COMPATIBLE)


@asynccontextmanager
async def pod_of(wire: Wire, *scripts: Handler) -> AsyncIterator[tuple[Pod, FakeUpstream, FakeUpstream]]:
    """Open a pod whose model is at the first upstream, and falls back to one at the second."""
    async with fake_upstream(*scripts) as first, fake_upstream(answering(OPENAI)) as second:
        models = [
            Model(name="default", provider="up", model="a", fallbacks=["spare"]),
            Model(name="spare", provider="other", model="b"),
        ]
        config = config_of(provider_of(wire, first.url), provider_of(OPENAI, second.url, name="other"), models=models)
        async with catalogue_of(config) as catalogue:
            yield Pod(catalogue.provider("default")), first, second


async def turn(pod: Pod, text: str, previous: str | None = None, **fields: object) -> str:
    body = {"model": "m", "input": text, "instructions": "Be brief.", "previous_response_id": previous, **fields}
    answer = (await ask(pod.app, post("/v1/responses", body))).json()
    assert answer["status"] == "completed"
    return str(answer["id"])


@pytest.mark.parametrize("wire", [OPENAI, AZURE_V1, RESPONSES], ids=lambda wire: wire.name)
async def test_all_turns_of_a_conversation_have_one_key_and_begin_alike(wire: Wire) -> None:
    async with pod_of(wire, answering(wire)) as (pod, upstream, _):
        first = await turn(pod, "One?")
        await turn(pod, "Two?", first)
        await turn(pod, "Other?")
        await turn(pod, "Own?", prompt_cache_key="mine")
    one, two, other, own = (request.json for request in upstream.requests)
    assert one["prompt_cache_key"] == two["prompt_cache_key"] != other["prompt_cache_key"]
    assert own["prompt_cache_key"] == "mine"
    if wire is not RESPONSES:  # of a text alone, that API has a form of its own
        assert two["messages"][: len(one["messages"])] == one["messages"]
    rest = {"input", "messages"}
    assert {name: one[name] for name in one.keys() - rest} == {name: two[name] for name in two.keys() - rest}


async def test_a_compatible_server_gets_the_header_of_its_routers() -> None:
    async with pod_of(COMPATIBLE, answering(COMPATIBLE)) as (pod, upstream, _):
        await turn(pod, "Two?", await turn(pod, "One?"))
    keys = {request.headers["x-session-affinity"] for request in upstream.requests}
    assert len(keys) == 1
    assert not any("prompt_cache_key" in request.json for request in upstream.requests)


@pytest.mark.parametrize("wire", [AZURE, AnthropicWire()], ids=lambda wire: wire.name)
async def test_an_upstream_that_knows_no_hint_gets_none(wire: Wire) -> None:
    async with pod_of(wire, answering(wire)) as (pod, upstream, _):
        await turn(pod, "One?")
    assert "prompt_cache_key" not in upstream.requests[0].json
    assert "x-session-affinity" not in upstream.requests[0].headers


async def test_a_conversation_that_failed_over_stays_there_while_that_upstream_answers() -> None:
    async with pod_of(OPENAI, refusing(503), answering(OPENAI)) as (pod, upstream, spare):
        first = await turn(pod, "One?")
        second = await turn(pod, "Two?", first)
        assert (len(upstream.requests), len(spare.requests)) == (1, 2)
        await turn(pod, "Another conversation?")
        assert (len(upstream.requests), len(spare.requests)) == (2, 2)
        spare.answers(refusing(503))
        await turn(pod, "Three?", second)
        assert (len(upstream.requests), len(spare.requests)) == (3, 3)
