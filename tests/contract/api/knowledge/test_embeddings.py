"""A pod whose documents are embedded by a server: it finds by meaning, counts it, and says when words had to do."""

import asyncio
import json
from pathlib import Path
from typing import Any

from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.knowledge import DocumentsRef, Embedding, Knowledge, Source
from chatfleet_contract.spec.providers import Model
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually
from harness.upstream.embeddings import embedding_by_meaning
from harness.upstream.fake import FakeUpstream, Reply, fake_upstream

QUESTION = "Is there an outage?"
SOURCE = "desk/status.txt"
CITED = ("citations", "retrieval")


async def broken(reply: Reply) -> None:
    await reply.head(500, "application/json")
    await reply.send(b"{}")
    await reply.end()


def ask(api: ApiProcess) -> Any:  # noqa: ANN401  # JSON
    body = {"model": "desk", "messages": [{"role": "user", "content": QUESTION}]}
    return fetch(f"{api.url}/v1/chat/completions", body).json


def complete(api: ApiProcess) -> Any:  # noqa: ANN401  # JSON
    ident = fetch(f"{api.url}/api/v1/conversations", {}).json["id"]
    body = {"content": QUESTION, "model": "desk", "stream": True}
    stream = fetch(f"{api.url}/api/v1/conversations/{ident}/messages", body).body.decode()
    found = json.loads(stream.rpartition("data: ")[2])
    stored = fetch(f"{api.url}/api/v1/conversations/{ident}").json["messages"][-1]
    assert [stored.get(name) for name in CITED] == [found.get(name) for name in CITED]
    return found


def require_meaning(api: ApiProcess) -> None:
    eventually(lambda: [each["source"] for each in ask(api).get("citations", [])] == [SOURCE], every=0.2)
    answer = ask(api)
    assert "retrieval" not in answer
    assert "Each incident is reported here." in answer["choices"][0]["message"]["content"]
    found = complete(api)
    assert [each["source"] for each in found["citations"]] == [SOURCE]
    assert "retrieval" not in found
    assert api.health("/health").json["knowledgeErrors"] == []


def require_words(api: ApiProcess) -> None:
    found = complete(api)
    assert (found["retrieval"], found.get("citations", [])) == ("by_words", [])
    assert ask(api)["retrieval"] == "by_words"
    (error,) = api.health("/health").json["knowledgeErrors"]
    assert error.startswith("the embedding model meaning has no vectors of a question")


async def test_documents_are_found_by_meaning_and_by_words_while_the_model_fails(tmp_path: Path) -> None:
    folder = tmp_path / "knowledge" / "desk"
    folder.mkdir(parents=True)
    (folder / "status.txt").write_text("Each incident is reported here.")
    (folder / "taxes.txt").write_text("Prices have VAT.")
    async with fake_upstream(embedding_by_meaning()) as fake:
        with api_process(tmp_path, configuration(fake, folder.parent)) as api:
            await asyncio.to_thread(require_meaning, api)
            texts = [text for request in fake.requests if request.body for text in request.json["input"]]
            assert texts.count("Prices have VAT.") == 1
            usage = await asyncio.to_thread(fetch, f"{api.url}/api/v1/usage?group_by=model")
            assert '"meaning"' in usage.body.decode()
            fake.answers(broken)
            await asyncio.to_thread(require_words, api)


def configuration(fake: FakeUpstream, folder: Path) -> Any:  # noqa: ANN401  # of `scripted`
    server = {"name": "up", "type": "openAICompatible", "baseURL": f"{fake.url}/v1", "retries": {"max": 0}}
    sources = [Source(config_map_ref=DocumentsRef(name="desk"))]
    knowledge = Knowledge(top_k=1, sources=sources, embedding=Embedding(model="meaning"))
    models = (
        Model(name="desk", provider="scripted", model="echo", knowledge=knowledge),
        Model(name="meaning", provider="up", model="e-1"),
    )
    base = scripted("echo")
    providers = (*base.providers, RuntimeProvider.model_validate(server))
    update = {"providers": providers, "models": models, "knowledge_folder": str(folder), "egress": LOOPBACK_EGRESS}
    return base.model_copy(update=update)
