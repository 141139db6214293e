"""Embeddings: the vendor's own SDK against the API, and what the API asks of upstreams and makes of their failures."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.vectors import EmbeddingRequest
from chatfleet_contract.spec.provider_types import ProviderType
from harness.pods.api_process import api_process, scripted
from harness.upstream.catalogue import RecordingMeter, catalogue_of, config_of, key_file, provider_of
from harness.upstream.fake import Handler, Reply, fake_upstream
from harness.upstream.wires import AZURE_V1, OpenAIWire, refusing, wire_of

WIRE = OpenAIWire()
VECTOR = [0.5, -1.0, 2.25]


def embedding(*, model: str = "gpt-x") -> Handler:
    """Return the script of an answer in floats, whatever is asked for."""

    async def script(reply: Reply) -> None:
        data = [{"object": "embedding", "index": 0, "embedding": VECTOR}]
        body = {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 2, "total_tokens": 2}}
        await reply.head(200, "application/json")
        await reply.send(json.dumps(body).encode())
        await reply.end()

    return script


def asked(**fields: object) -> EmbeddingRequest:
    return EmbeddingRequest("default", {"model": "default", "input": "hi"} | fields, "float")


async def create(catalogue: Catalogue, **fields: object) -> Any:  # noqa: ANN401  # JSON
    return json.loads(await catalogue.embedding("default").create(asked(**fields)))


async def failure(catalogue: Catalogue, model: str = "default") -> ChatError:
    with pytest.raises(ChatError) as caught:
        await catalogue.embedding(model).create(asked())
    return caught.value


async def test_the_vendors_sdk_gets_floats_whatever_the_upstream_sends(tmp_path: Path) -> None:
    async with fake_upstream(embedding()) as fake:
        config = config_of(provider_of(WIRE, fake.url))
        with api_process(tmp_path, config) as api:
            async with openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as client:
                inputs: list[Any] = ["hi", ["a", "b"], [1, 2], [[1], [2]]]
                for given in inputs:
                    made = await client.embeddings.create(model="default", input=given, dimensions=3)
                    assert (made.model, made.data[0].embedding, made.usage.prompt_tokens) == ("default", VECTOR, 2)
                    assert fake.requests[-1].json == {
                        "model": "gpt-x",
                        "input": given,
                        "dimensions": 3,
                        "encoding_format": "base64",
                    }
                plain = await client.embeddings.create(model="default", input="hi", encoding_format="float")
                assert plain.data[0].embedding == VECTOR
                with pytest.raises(openai.NotFoundError):
                    await client.embeddings.create(model="unknown", input="hi")


async def test_a_model_without_embeddings_is_refused_by_name(tmp_path: Path) -> None:
    def ask(url: str) -> openai.BadRequestError:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            with pytest.raises(openai.BadRequestError) as caught:
                client.embeddings.create(model="echo", input="hi")
            return caught.value

    with api_process(tmp_path, scripted("echo")) as api:
        assert (await asyncio.to_thread(ask, api.url)).param == "model"
    async with fake_upstream(embedding()) as fake:
        provider = provider_of(wire_of(ProviderType.ANTHROPIC), fake.url)
        async with catalogue_of(config_of(provider)) as catalogue:
            assert (await failure(catalogue)).code is Code.INVALID_REQUEST
        assert fake.requests == []


async def test_the_upstream_gets_the_key_its_own_name_and_every_field(tmp_path: Path) -> None:
    async with fake_upstream(embedding()) as fake:
        provider = provider_of(WIRE, fake.url, apiKeyFile=key_file(tmp_path))
        meter = RecordingMeter()
        async with catalogue_of(config_of(provider), meter) as catalogue:
            made = await create(catalogue, new_field={"a": 1})
    (request,) = fake.requests
    assert (request.method, request.path) == ("POST", "/v1/embeddings")
    assert request.headers["authorization"] == "Bearer k-123"
    assert request.json == {"model": "gpt-x", "input": "hi", "new_field": {"a": 1}}
    assert made["model"] == "default"
    assert (meter.attempts, meter.usage) == ([("up", "default", None)], [Usage(input_tokens=2)])


async def test_azure_is_asked_at_the_path_of_its_deployment(tmp_path: Path) -> None:
    async with fake_upstream(embedding()) as fake:
        azure = {"azure": {"apiVersion": "2024-10-21"}, "apiKeyFile": key_file(tmp_path)}
        provider = provider_of(OpenAIWire(type=ProviderType.AZURE_OPENAI, base_path=""), fake.url, **azure)
        async with catalogue_of(config_of(provider)) as catalogue:
            await create(catalogue)
    (request,) = fake.requests
    assert request.path == "/openai/deployments/gpt-x/embeddings?api-version=2024-10-21"
    assert request.headers["api-key"] == "k-123"


async def test_azures_v1_api_is_asked_by_the_name_of_the_deployment(tmp_path: Path) -> None:
    async with fake_upstream(embedding()) as fake:
        provider = provider_of(replace(AZURE_V1, base_path=""), fake.url, apiKeyFile=key_file(tmp_path))
        async with catalogue_of(config_of(provider)) as catalogue:
            await create(catalogue)
    (request,) = fake.requests
    assert (request.path, request.json["model"]) == ("/openai/v1/embeddings", "gpt-x")
    assert request.headers["api-key"] == "k-123"


async def test_what_may_pass_is_tried_again_and_what_may_not_is_not() -> None:
    async with fake_upstream(refusing(503, retry_after="0"), embedding()) as fake:
        meter = RecordingMeter()
        async with catalogue_of(config_of(provider_of(WIRE, fake.url, retries={"max": 2})), meter) as catalogue:
            assert (await create(catalogue))["data"][0]["embedding"] == VECTOR
            assert [code for *_, code in meter.attempts] == [Code.UPSTREAM_OVERLOADED, None]
            fake.answers(refusing(400))
            before = len(fake.requests)
            assert (await failure(catalogue)).code is Code.UPSTREAM_REJECTED
            assert len(fake.requests) == before + 1


@pytest.mark.parametrize("answer", [refusing(200, b"<h1>hi</h1>"), refusing(200, b'{"data":[{}]}')])
async def test_an_answer_without_vectors_is_malformed(answer: Handler) -> None:
    async with fake_upstream(answer) as fake, catalogue_of(config_of(provider_of(WIRE, fake.url))) as catalogue:
        assert (await failure(catalogue)).code is Code.UPSTREAM_MALFORMED


async def test_failures_open_the_circuit_that_answers_share() -> None:
    async with fake_upstream(refusing(503)) as fake:
        meter = RecordingMeter()
        async with catalogue_of(config_of(provider_of(WIRE, fake.url)), meter) as catalogue:
            codes = [(await failure(catalogue)).code for _ in range(11)]
        assert codes[-1] is Code.UPSTREAM_CIRCUIT_OPEN
        assert meter.circuits == [("up", True)]


async def test_a_client_that_leaves_closes_the_request_and_frees_its_slot() -> None:
    async def hanging(reply: Reply) -> None:
        await reply.head(200, "application/json")
        await reply.hang()

    async with fake_upstream(hanging) as fake:
        provider = provider_of(WIRE, fake.url, maxConcurrentRequests=1)
        async with catalogue_of(config_of(provider)) as catalogue:
            waiting = asyncio.create_task(create(catalogue))
            await fake.asked()
            assert catalogue.traffic()["up"].active_requests == 1
            waiting.cancel()
            await fake.abandoned()
            assert catalogue.traffic()["up"].active_requests == 0
