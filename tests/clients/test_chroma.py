"""A real ChromaDB server has the documents of a model: they are found, and answers state when it is gone."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.knowledge import Chroma, Embedding, Knowledge, OnUnavailable, Store, StoreType
from chatfleet_contract.spec.providers import Model
from harness.clients.chroma import COLLECTIONS, chroma_request, chroma_server, fill, install_chroma
from harness.net import LOOPBACK_EGRESS, free_port
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually
from harness.upstream.embeddings import embedding_by_meaning, vector_of
from harness.upstream.fake import fake_upstream

pytestmark = pytest.mark.timeout(300)

REQUIREMENTS = Path(__file__).parent / "chroma" / "requirements.txt"
TEXTS = {"status.md": "Each incident is reported here.", "taxes.md": "Prices have VAT."}
QUESTION = "Is there an outage?"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_chroma(REQUIREMENTS, tmp_path_factory.mktemp("chroma"))


def configuration(chroma: str, upstream: str) -> RuntimeConfig:
    def model(name: str, collection: str, on_unavailable: OnUnavailable = "fail") -> Model:
        store = Store(type=StoreType.CHROMA, chroma=Chroma(url=chroma, collection=collection))
        embedding = Embedding(model="meaning")
        knowledge = Knowledge(store=store, top_k=1, embedding=embedding, on_unavailable=on_unavailable)
        return Model(name=name, provider="scripted", model="echo", knowledge=knowledge)

    up = {"name": "up", "type": "openAICompatible", "baseURL": f"{upstream}/v1", "retries": {"max": 0}}
    base = scripted("echo")
    models = (
        *(model("desk", "docs"), model("lenient", "docs", "answer"), model("narrow", "narrow", "answer")),
        Model(name="meaning", provider="up", model="e"),
    )
    providers = (*base.providers, RuntimeProvider.model_validate(up))
    return base.model_copy(update={"providers": providers, "models": models, "egress": LOOPBACK_EGRESS})


def ask(api: ApiProcess, model: str) -> Any:  # noqa: ANN401  # JSON
    return fetch(
        f"{api.url}/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    )


def chromadb(api: ApiProcess) -> Any:  # noqa: ANN401  # JSON
    return api.health("/health/chromadb").json


def require_found(api: ApiProcess) -> None:
    eventually(lambda: chromadb(api)["state"] == "up", every=0.1)
    assert chromadb(api)["latencyMilliseconds"] > 0
    answer = ask(api, "desk").json
    assert answer["citations"] == [{"source": "docs/status.md", "chunk": 1, "score": 1.0}]
    assert "Each incident is reported here." in answer["choices"][0]["message"]["content"]


def require_names(api: ApiProcess) -> None:
    """Each cause is named: no such collection, then one whose vectors are of another model."""
    eventually(lambda: "narrow" in chromadb(api).get("message", ""), every=0.1)
    assert "Collection [narrow] does not exist" in chromadb(api)["message"]
    assert ask(api, "narrow").json["retrieval"] == "unavailable"


def require_dimensions(api: ApiProcess) -> None:
    eventually(lambda: chromadb(api)["state"] == "up", every=0.1)
    assert ask(api, "narrow").json["retrieval"] == "unavailable"
    (error,) = api.health("/health").json["knowledgeErrors"]
    assert "narrow of ChromaDB refuses a question" in error
    assert "dimension of 2, got 5" in error


def require_gone(api: ApiProcess) -> None:
    assert ask(api, "desk").json["error"]["code"] == "knowledge_unavailable"
    assert ask(api, "lenient").json["retrieval"] == "unavailable"
    assert chromadb(api)["state"] == "down"


@pytest.mark.feature(4, 26, 30)
async def test_documents_of_a_real_server_are_found_and_answers_state_when_it_is_gone(
    packages: Path, tmp_path: Path
) -> None:
    port, data = free_port(), tmp_path / "data"
    records = {source: (text, vector_of(text)) for source, text in TEXTS.items()}
    async with fake_upstream(embedding_by_meaning()) as fake:
        with chroma_server(packages, data, port) as (url, server):
            fill(url, "docs", records)
            with api_process(tmp_path, configuration(url, fake.url)) as api:
                await asyncio.to_thread(require_names, api)
                fill(url, "narrow", {"a": ("An incident.", [1.0, 2.0])})
                await asyncio.to_thread(require_dimensions, api)
                await asyncio.to_thread(require_found, api)
                chroma_request(f"{url}{COLLECTIONS}/docs", method="DELETE")
                fill(url, "docs", records)  # with another id
                await asyncio.to_thread(require_found, api)
                server.kill()
                await asyncio.to_thread(require_gone, api)
                with chroma_server(packages, data, port):
                    await asyncio.to_thread(require_found, api)
