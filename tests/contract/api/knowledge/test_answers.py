"""A pod whose model answers from documents: retrieval, citations in each dialect, and changes of the documents."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from chatfleet_contract.names import KNOWLEDGE_VOLUMES
from chatfleet_contract.runtime import RuntimeAgents, RuntimeMember, RuntimeSupervisor
from chatfleet_contract.spec.knowledge import DocumentsRef, Knowledge, Mode, Source, VolumeClaimRef
from chatfleet_contract.spec.providers import Model
from harness.pdf import pdf_of
from harness.pods.api_process import Answer, ApiProcess, api_process, fetch, scripted
from harness.polling import eventually

pytestmark = pytest.mark.lasts(20)

QUESTION = "How long does a refund take?"
SOURCE = "billing/refunds.md"


def model(name: str, mode: Mode, *config_maps: str, tokens: int = 8000) -> Model:
    sources = [Source(config_map_ref=DocumentsRef(name=each)) for each in config_maps]
    knowledge = Knowledge(mode=mode, sources=sources, context_tokens=tokens)
    return Model(name=name, provider="scripted", model="echo", knowledge=knowledge)


def of_volume(name: str, claim: str, path: str) -> Model:
    knowledge = Knowledge(sources=[Source(volume_claim_ref=VolumeClaimRef(name=claim, path=path))])
    return Model(name=name, provider="scripted", model="echo", knowledge=knowledge)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the mounted ConfigMaps."""
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "taxes").mkdir()
    (folder / "taxes" / "vat.txt").write_text("A refund has no VAT.")
    (folder / "billing").mkdir()
    (folder / "billing" / "refunds.md").write_text("# Refunds\nA refund takes five days.")
    (folder / "billing" / "taxes.md").write_text("# Taxes\n" + "Prices have no VAT. " * 200)
    volume = folder / KNOWLEDGE_VOLUMES / "handbook" / "current"
    volume.mkdir(parents=True)
    (volume / "terms.pdf").write_bytes(pdf_of("A refund takes seven days."))
    return folder


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Iterator[ApiProcess]:
    models = (
        model("desk", Mode.RAG, "billing"),
        model("whole", Mode.CAG, "billing", tokens=500),
        model("partly", Mode.RAG, "billing", "nowhere"),
        of_volume("manual", "handbook", "current"),
        of_volume("later", "handbook", "later"),
    )
    taxes = Knowledge(sources=[Source(config_map_ref=DocumentsRef(name="taxes"))])
    member = RuntimeMember(name="taxes", description="taxes", model="desk", instructions="Be brief.", knowledge=taxes)
    agents = RuntimeAgents(supervisor=RuntimeSupervisor(model="desk"), members=(member,))
    update = {"models": models, "knowledge_folder": str(documents), "agents": agents}
    config = scripted("echo").model_copy(update=update)
    with api_process(tmp_path_factory.mktemp("api"), config) as running:
        yield running


def errors(api: ApiProcess) -> list[str]:
    return list(api.health("/health").json["knowledgeErrors"])


def cited(citations: list[dict[str, Any]]) -> list[tuple[str, int]]:
    assert all(citation["score"] > 0 for citation in citations)
    return [(citation["source"], citation["chunk"]) for citation in citations]


@pytest.mark.feature(30)
def test_the_last_event_and_the_stored_message_have_the_citations(api: ApiProcess) -> None:
    ident = fetch(f"{api.url}/api/v1/conversations", {}).json["id"]
    messages = f"{api.url}/api/v1/conversations/{ident}/messages"
    stream = fetch(messages, {"content": QUESTION, "model": "desk", "stream": True}).body.decode()
    complete = json.loads(stream.rpartition("data: ")[2])
    assert complete["type"] == "complete"
    assert cited(complete["citations"]) == [(SOURCE, 1)]
    question, answer = fetch(messages).json["messages"]
    assert question["content"] == QUESTION
    assert "citations" not in question
    assert "A refund takes five days." in answer["content"]
    assert cited(answer["citations"]) == [(SOURCE, 1)]


@pytest.fixture
def client(api: ApiProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def test_responses_have_them_as_annotations(client: openai.OpenAI) -> None:
    expected = [("file_citation", SOURCE, SOURCE, 0)]
    with client.responses.stream(model="desk", input=QUESTION) as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    added = [event.annotation for event in events if event.type == "response.output_text.annotation.added"]
    assert len(added) == 1
    for response in (
        streamed,
        client.responses.retrieve(streamed.id),
        client.responses.create(model="desk", input=QUESTION),
    ):
        (item,) = response.output
        assert isinstance(item, ResponseOutputMessage)
        (part,) = item.content
        assert isinstance(part, ResponseOutputText)
        assert [(each.type, each.file_id, each.filename, each.index) for each in part.annotations] == expected  # type: ignore[union-attr]
    turns: Any = [*(item.model_dump() for item in streamed.output), {"role": "user", "content": QUESTION}]
    again = client.responses.create(model="desk", input=turns)
    assert "A refund takes five days." in again.output_text


def test_chat_completions_have_them_beside_the_vendors_fields(client: openai.OpenAI) -> None:
    question: Any = [{"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(model="desk", messages=question)
    assert "A refund takes five days." in (whole.choices[0].message.content or "")
    assert whole.model_extra is not None
    assert cited(whole.model_extra["citations"]) == [(SOURCE, 1)]
    chunks = list(client.chat.completions.create(model="desk", messages=question, stream=True))
    extras = [chunk.model_extra["citations"] for chunk in chunks if chunk.model_extra]
    assert [cited(each) for each in extras] == [[(SOURCE, 1)]]


@pytest.mark.feature(30)
def test_a_member_answers_from_its_own_documents_alone(client: openai.OpenAI) -> None:
    question: Any = [{"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(model="agent:taxes", messages=question)
    assert whole.model_extra is not None
    assert cited(whole.model_extra["citations"]) == [("taxes/vat.txt", 1)]
    assert "five days" not in (whole.choices[0].message.content or "")


def test_messages_are_answered_from_documents(api: ApiProcess) -> None:
    with anthropic.Anthropic(base_url=api.url, api_key="none", max_retries=0) as claude:
        message = claude.messages.create(model="desk", max_tokens=100, messages=[{"role": "user", "content": QUESTION}])
    (block,) = message.content
    assert block.type == "text"
    assert "A refund takes five days." in block.text


def test_documents_that_do_not_fit_are_refused_and_what_is_missing_is_reported(api: ApiProcess) -> None:
    refused = fetch(
        f"{api.url}/v1/chat/completions", {"model": "whole", "messages": [{"role": "user", "content": "Hi"}]}
    )
    assert (refused.status, refused.json["error"]["code"]) == (503, "knowledge_unavailable")

    expected = ("knowledge.contextTokens is 500", "ConfigMap nowhere does not exist")
    eventually(lambda: all(error in str(errors(api)) for error in expected))
    assert fetch(f"{api.url}/health").json["knowledgeErrors"] == []


@pytest.mark.feature(30)
def test_a_model_does_not_answer_without_its_folder_and_keeps_what_it_has_read(
    api: ApiProcess, documents: Path
) -> None:
    folder, missing = documents / KNOWLEDGE_VOLUMES / "handbook" / "later", "folder later of volume claim handbook"
    body = {"model": "later", "messages": [{"role": "user", "content": QUESTION}]}

    def answer() -> Answer:
        return fetch(f"{api.url}/v1/chat/completions", body)

    refused = answer()
    assert (refused.status, refused.json["error"]["code"]) == (503, "knowledge_unavailable")
    assert f"{missing} does not exist; create it or correct path" in errors(api)
    metrics = api.health("/metrics").body.decode()
    assert 'chatfleet_retrievals_total{model="later",result="unavailable"} 1.0' in metrics
    folder.mkdir()
    eventually(lambda: answer().status == 200, every=0.2)
    assert f"{missing} has no documents" in str(errors(api))
    (folder / "terms.md").write_text("A refund takes ten days.")
    eventually(lambda: "ten days" in str(answer().json), every=0.2)
    assert missing not in str(errors(api))
    shutil.rmtree(folder)
    eventually(lambda: f"{missing} does not exist" in str(errors(api)), every=0.2)
    assert "ten days" in str(answer().json)


@pytest.mark.feature(30)
def test_a_pdf_on_a_volume_is_cited_and_its_next_version_follows(api: ApiProcess, documents: Path) -> None:
    def found() -> tuple[list[tuple[str, int]], str]:
        body = {"model": "manual", "messages": [{"role": "user", "content": QUESTION}]}
        answer = fetch(f"{api.url}/v1/chat/completions", body).json
        return cited(answer.get("citations", [])), answer["choices"][0]["message"]["content"]

    citations, text = found()
    assert citations == [("handbook/current/terms.pdf", 1)]
    assert "A refund takes seven days." in text
    folder = documents / KNOWLEDGE_VOLUMES / "handbook" / "current"
    (folder / "new.pdf").write_bytes(pdf_of("A refund takes eight days."))
    (folder / "new.pdf").rename(folder / "terms.pdf")
    eventually(lambda: "eight days" in found()[1], every=0.2)


def test_a_change_is_served_without_a_restart(api: ApiProcess, documents: Path) -> None:
    (documents / "billing" / "refunds.md").write_text("# Refunds\nA refund takes nine days.")

    def answer() -> str:
        body = {"model": "desk", "messages": [{"role": "user", "content": QUESTION}]}
        return str(fetch(f"{api.url}/v1/chat/completions", body).json["choices"][0]["message"]["content"])

    eventually(lambda: "nine days" in answer(), every=0.2)
