"""A pod whose documents are in a collection of ChromaDB, by its protocol: token, failures, and what answers state.

A real server is in tests/clients/test_chroma.py; this one fails on command.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec

from chatfleet_contract.names import chroma_token_path
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.knowledge import Chroma, Embedding, Knowledge, OnUnavailable, Store, StoreType
from chatfleet_contract.spec.providers import Model
from chatfleet_contract.spec.secrets import SecretKeyRef
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually
from harness.upstream.embeddings import answer_of, vector_of
from harness.upstream.fake import FakeUpstream, Reply, fake_upstream

QUESTION = "Is there an outage?"
TOKEN = "ck-secret-1"
COLLECTION = "/api/v2/tenants/shop/databases/production/collections"
SOURCE = "docs/status.md"


async def respond(reply: Reply, status: int, body: object) -> None:
    await reply.head(status, "application/json")
    await reply.send(msgspec.json.encode(body))
    await reply.end()


async def serves(reply: Reply) -> None:
    """Serve embeddings, and a collection whose id is `one`."""
    request = reply.request
    if request.path.endswith("/embeddings"):
        return await respond(reply, 200, msgspec.Raw(answer_of(request.json["input"])))
    if request.headers.get("x-chroma-token") != TOKEN:
        return await respond(reply, 401, {"error": "AuthError", "message": "Unauthorized"})
    if request.path == f"{COLLECTION}/docs":
        return await respond(reply, 200, {"id": "one", "name": "docs", "dimension": 5})
    if request.path == f"{COLLECTION}/one/query":
        rows = {"ids": [["1"]], "documents": [["Each incident is reported."]], "distances": [[0.5]]}
        return await respond(reply, 200, {**rows, "metadatas": [[{"source": "status.md"}]]})
    return await respond(reply, 404, {"error": "NotFoundError", "message": "not found"})


async def is_down(reply: Reply) -> None:
    """Serve embeddings alone, and state the token in the error."""
    if reply.request.path.endswith("/embeddings"):
        return await serves(reply)
    token = reply.request.headers.get("x-chroma-token")
    return await respond(reply, 500, {"error": "InternalError", "message": f"no disk for {token}"})


def configuration(fake: FakeUpstream, folder: Path) -> RuntimeConfig:
    def model(name: str, on_unavailable: OnUnavailable) -> Model:
        ref = SecretKeyRef(name="chroma", key="token")
        chroma = Chroma(url=fake.url, collection="docs", tenant="shop", database="production", token_secret_ref=ref)
        store, embedding = Store(type=StoreType.CHROMA, chroma=chroma), Embedding(model="meaning")
        knowledge = Knowledge(store=store, embedding=embedding, on_unavailable=on_unavailable)
        return Model(name=name, provider="scripted", model="echo", knowledge=knowledge)

    up = {"name": "up", "type": "openAICompatible", "baseURL": f"{fake.url}/v1", "retries": {"max": 0}}
    base = scripted("echo")
    models = (model("strict", "fail"), model("lenient", "answer"), Model(name="meaning", provider="up", model="e"))
    update = {
        "providers": (*base.providers, RuntimeProvider.model_validate(up)),
        "models": models,
        "knowledge_folder": str(folder),
        "egress": LOOPBACK_EGRESS,
    }
    return base.model_copy(update=update)


def ask(api: ApiProcess, model: str) -> Any:  # noqa: ANN401  # JSON
    return fetch(
        f"{api.url}/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    )


def complete(api: ApiProcess, model: str) -> Any:  # noqa: ANN401  # JSON
    ident = fetch(f"{api.url}/api/v1/conversations", {}).json["id"]
    body = {"content": QUESTION, "model": model, "stream": True}
    stream = fetch(f"{api.url}/api/v1/conversations/{ident}/messages", body).body.decode()
    return json.loads(stream.rpartition("data: ")[2])


def state(api: ApiProcess) -> tuple[int, str, str]:
    shown = api.health("/health/chromadb")
    return shown.status, shown.json["state"], shown.json.get("message", "")


def require_refused_token(api: ApiProcess) -> None:
    """There is no file with a token yet."""
    eventually(lambda: state(api)[1] == "down", every=0.1)
    assert state(api)[2].startswith("collection shop/production/docs: it refuses the token (HTTP 401)")
    assert ask(api, "strict").json["error"]["code"] == "knowledge_unavailable"


def require_found(api: ApiProcess) -> None:
    eventually(lambda: state(api) == (200, "up", ""), every=0.1)
    for model in ("strict", "lenient"):
        answer = ask(api, model).json
        assert [(each["source"], each["score"]) for each in answer["citations"]] == [(SOURCE, 0.5)]
        assert "Each incident is reported." in answer["choices"][0]["message"]["content"]
    found = complete(api, "strict")
    assert [each["source"] for each in found["citations"]] == [SOURCE]
    assert "retrieval" not in found


def require_unavailable(api: ApiProcess) -> None:
    refused = ask(api, "strict")
    assert (refused.status, refused.json["error"]["code"]) == (503, "knowledge_unavailable")
    assert complete(api, "strict")["code"] == "knowledge_unavailable"
    answer = ask(api, "lenient").json
    assert (answer["retrieval"], "citations" in answer) == ("unavailable", False)
    assert answer["choices"][0]["message"]["content"] == QUESTION
    assert complete(api, "lenient")["retrieval"] == "unavailable"
    assert state(api) == (
        503,
        "down",
        "collection shop/production/docs: it responded with HTTP 500: no disk for [token]",
    )
    assert api.health("/health").json["chromadb"]["state"] == "down"
    assert "message" not in fetch(f"{api.url}/health/chromadb").json


async def test_a_collection_is_found_by_its_token_and_answers_state_when_it_fails(tmp_path: Path) -> None:
    folder = tmp_path / "knowledge"
    token = folder / chroma_token_path("chroma", "token")
    token.parent.mkdir(parents=True)
    async with fake_upstream(serves) as fake:
        with api_process(tmp_path, configuration(fake, folder)) as api:
            await asyncio.to_thread(require_refused_token, api)
            token.write_text(f"{TOKEN}\n")
            await asyncio.to_thread(require_found, api)
            (query, *_) = [each for each in fake.requests if each.path.endswith("/query")]
            assert query.json["query_embeddings"] == [vector_of(QUESTION)]
            assert query.json["n_results"] == 4
            assert query.headers["authorization"] == f"Bearer {TOKEN}"
            fake.answers(is_down)
            await asyncio.to_thread(require_unavailable, api)
            fake.answers(serves)
            await asyncio.to_thread(require_found, api)
            assert TOKEN not in api.log.read_text()
