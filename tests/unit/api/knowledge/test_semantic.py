"""A base with vectors finds by meaning; what fails leaves it words, names the model, and is tried again."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.knowledge import semantic as module
from chatfleet_api.knowledge.base import READS, KnowledgeBase
from chatfleet_api.knowledge.embedding import ChunkVectors
from chatfleet_api.knowledge.semantic import PAUSE_SECONDS, REPORTED_SECONDS, RETRY_SECONDS, Semantic
from chatfleet_api.knowledge.vector_store import NoStore
from chatfleet_api.providers.vectors import EmbeddingModel, EmbeddingRequest
from chatfleet_contract.spec.knowledge import DocumentsRef, Embedding, Knowledge, Mode, Source
from harness.upstream.embeddings import answer_of

OUTAGE = ["Is there an outage?"]


class Model:
    """A model by the table of the harness."""

    space = "one"
    error: ChatError | None = None
    hangs = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def create(self, request: EmbeddingRequest) -> bytes:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.asked += request.fields["input"]
        return answer_of(request.fields["input"])


class Pod:
    """A base, its model, and its clock."""

    def __init__(self, folder: Path, mode: Mode = Mode.RAG) -> None:
        self.now, self.model, self.desk = 1000.0, Model(), folder / "desk"
        self.desk.mkdir()
        sources = [Source(config_map_ref=DocumentsRef(name="desk"))]
        knowledge = Knowledge(mode=mode, top_k=1, sources=sources, embedding=Embedding(model="e"))
        self.base = KnowledgeBase(knowledge, folder, semantic=Semantic("e", self.find, lambda: self.now))
        self.vectors = ChunkVectors(NoStore(), lambda *_: None, READS)
        self.find_model: Callable[[], EmbeddingModel] = lambda: self.model

    def find(self, name: str) -> EmbeddingModel:
        assert name == "e"
        return self.find_model()

    def write(self, **documents: str) -> None:
        for name, text in documents.items():
            (self.desk / f"{name}.txt").write_text(text)

    async def look(self, *, after: float = 0.0) -> None:
        self.now += after
        await self.base.refresh()
        await self.base.embed(self.vectors)

    async def found(self) -> tuple[list[str], bool]:
        passages = await self.base.passages(OUTAGE)
        return [each.source for each in passages.retrieved], passages.by_words


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    made = Pod(tmp_path)
    made.write(status="Each incident is on the status page.", taxes="Prices have VAT.")
    return made


async def test_what_means_the_same_is_found_without_a_word_in_common(pod: Pod) -> None:
    await pod.base.refresh()
    assert await pod.found() == ([], True)
    await pod.look()
    assert await pod.found() == (["desk/status.txt"], False)
    assert pod.base.problems == ()


async def test_only_what_has_changed_is_embedded_again(pod: Pod) -> None:
    await pod.look()
    pod.model.asked.clear()
    pod.write(weather="Rain.")
    await pod.base.refresh()
    assert (await pod.found())[1]
    await pod.look()
    assert pod.model.asked == ["Rain."]
    assert await pod.found() == (["desk/status.txt"], False)


async def test_vectors_of_another_model_are_not_compared(pod: Pod) -> None:
    await pod.look()
    pod.model = Model()
    pod.model.space = "two"
    assert await pod.found() == ([], True)
    await pod.look()
    assert len(pod.model.asked) == 2
    assert await pod.found() == (["desk/status.txt"], False)


async def test_a_model_that_fails_is_named_and_tried_again(pod: Pod) -> None:
    pod.model.error = ChatError(Code.UPSTREAM_ERROR, detail="out of memory.")
    await pod.look()
    (problem,) = pod.base.problems
    assert problem.startswith("the embedding model e has no vectors of documents: out of memory; answers are found by")
    pod.model.error = None
    await pod.look(after=RETRY_SECONDS - 1)
    assert pod.base.problems
    await pod.look(after=1)
    assert pod.base.problems == ()
    assert await pod.found() == (["desk/status.txt"], False)


async def test_a_model_that_is_not_in_the_catalogue_is_named(pod: Pod) -> None:
    def missing() -> EmbeddingModel:
        raise ChatError(Code.MODEL_NOT_FOUND, "There is no model e.")

    pod.find_model = missing
    await pod.look()
    assert "There is no model e; answers" in pod.base.problems[0]


async def test_a_question_does_not_wait_for_a_model_that_hangs(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    await pod.look()
    monkeypatch.setattr(module, "QUESTION_SECONDS", 0.01)
    pod.model.hangs = True
    assert await pod.found() == ([], True)
    assert "has no vectors of a question: no answer within" in pod.base.problems[0]
    pod.model.hangs = False
    assert await pod.found() == ([], True)
    pod.now += PAUSE_SECONDS
    assert await pod.found() == (["desk/status.txt"], False)
    assert pod.base.problems == ()


async def test_a_failed_question_is_forgotten_when_none_follows(pod: Pod) -> None:
    await pod.look()
    pod.model.error = ChatError(Code.UPSTREAM_ERROR)
    await pod.found()
    assert pod.base.problems
    pod.now += REPORTED_SECONDS
    assert pod.base.problems == ()


async def test_hybrid_ranks_its_core_by_vectors_too(tmp_path: Path) -> None:
    pod = Pod(tmp_path, Mode.HYBRID)
    pod.write(status="Each incident is on the status page.", taxes="Prices have VAT.")
    await pod.look()
    passages = await pod.base.passages(OUTAGE)
    assert [each.source for each in passages.cited] == ["desk/status.txt"]
    assert passages.retrieved == ()
