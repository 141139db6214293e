"""A collection of ChromaDB as a model's documents: what is retrieved, what failures lead to, and what is reported."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.knowledge.chroma import ChromaCollection, ChromaError, RefusedError
from chatfleet_api.knowledge.collection import REPORTED_SECONDS, CollectionBase
from chatfleet_api.knowledge.grounding import Grounded
from chatfleet_api.pod.collections import as_component, as_dependency
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.policies.circuit_breaker import FIRST_PAUSE_SECONDS, SUSPECTED_MIN_ATTEMPTS
from chatfleet_api.providers.provider import Finish
from chatfleet_api.providers.vectors import EmbeddingModel
from chatfleet_contract.report import ComponentHealth, ComponentState, Dependency, State
from chatfleet_contract.spec.knowledge import Chroma, Embedding, Knowledge, OnUnavailable, Store, StoreType
from harness.pods.runs import STOP, FakeProvider
from harness.upstream.catalogue import ask
from harness.upstream.embeddings import vector_of

QUESTION = ["Is there an outage?"]
NAME = "default_tenant/default_database/docs"


class Server:
    """A collection that responds as a test wants it."""

    name = NAME

    def __init__(self) -> None:
        self.error: ChromaError | None = None
        self.refuses: ChromaError | None = None
        self.asked: list[tuple[list[float], int]] = []
        self.records: list[tuple[str, str | None, float | None, dict[str, Any] | None]] = [
            ("a", "Each incident is reported.", 0.25, {"source": "status.md", "chunk": 2}),
            ("b", None, 0.5, None),
            ("c", "Rain.", 1.5, None),
        ]

    async def check(self) -> None:
        if self.error:
            raise self.error

    async def find(self, vector: Sequence[float], limit: int) -> bytes:
        self.asked.append(([*vector], limit))
        if found := self.error or self.refuses:
            raise found
        ids, documents, distances, metadatas = zip(*self.records, strict=True)
        rows = {"ids": [ids], "documents": [documents], "distances": [distances], "metadatas": [metadatas]}
        return msgspec.json.encode({**rows, "include": ["documents"], "embeddings": None, "uris": None})


class Model:
    space = "one"
    error: ChatError | None = None

    async def create(self, request: Any) -> bytes:  # noqa: ANN401  # a port's
        if self.error:
            raise self.error
        assert request.encoding == "float"
        return msgspec.json.encode({"data": [{"index": 0, "embedding": vector_of(request.fields["input"][0])}]})


class Pod:
    """A base with its server, its embedding model and its clocks."""

    def __init__(self, on_unavailable: OnUnavailable = "fail", tokens: int = 8000) -> None:
        self.now, self.server, self.model = 1000.0, Server(), Model()
        store = Store(type=StoreType.CHROMA, chroma=Chroma(url="http://chroma", collection="docs"))
        self.knowledge = Knowledge(
            store=store,
            top_k=3,
            context_tokens=tokens,
            embedding=Embedding(model="e"),
            on_unavailable=on_unavailable,
        )
        self.base = CollectionBase(
            self.knowledge,
            cast("ChromaCollection", self.server),
            lambda _: cast("EmbeddingModel", self.model),
            clock=lambda: self.now,
            now=lambda: datetime.fromtimestamp(self.now, UTC),
        )

    async def detail(self) -> str:
        with pytest.raises(ChatError) as refused:
            await self.base.passages(QUESTION)
        assert refused.value.code is Code.KNOWLEDGE_UNAVAILABLE
        return str(refused.value.detail)


@pytest.fixture
def pod() -> Pod:
    return Pod()


async def test_what_is_nearest_is_retrieved_by_the_vector_of_the_question(pod: Pod) -> None:
    passages = await pod.base.passages(QUESTION)
    assert pod.server.asked == [(vector_of(QUESTION[0]), 3)]
    found = [(each.source, each.chunk, each.score, each.text) for each in passages.retrieved]
    assert found == [
        ("docs/status.md", 2, 0.75, "Each incident is reported."),
        ("docs/c", 1, -0.5, "Rain."),
    ]
    assert passages.cited == passages.retrieved


async def test_what_exceeds_the_room_in_the_prompt_is_left_out() -> None:
    pod = Pod(tokens=500)
    pod.server.records.append(("d", "word " * 1000, 1.6, None))
    assert [each.source for each in (await pod.base.passages(QUESTION)).retrieved] == ["docs/status.md", "docs/c"]


async def test_a_server_that_does_not_respond_is_left_alone_until_a_check_succeeds(pod: Pod) -> None:
    pod.server.error = ChromaError("connection refused")
    await pod.base.check()
    for _ in range(SUSPECTED_MIN_ATTEMPTS - 1):
        assert await pod.detail() == f"collection {NAME} of ChromaDB: connection refused"
    asked = len(pod.server.asked)
    assert "circuit breaker is open: connection refused" in await pod.detail()
    assert len(pod.server.asked) == asked
    assert not pod.base.problems
    pod.server.error = None
    await pod.base.check()
    assert (await pod.base.passages(QUESTION)).cited
    assert pod.base.health.state is ComponentState.UP


async def test_a_question_is_a_probe_after_the_pause(pod: Pod) -> None:
    pod.server.error = ChromaError("connection refused")
    await pod.base.check()
    for _ in range(SUSPECTED_MIN_ATTEMPTS - 1):
        await pod.detail()
    pod.now += FIRST_PAUSE_SECONDS
    pod.server.error = None
    assert (await pod.base.passages(QUESTION)).cited


async def test_the_health_has_the_cause_the_latency_and_since_when(pod: Pod) -> None:
    assert pod.base.health == ComponentHealth(component=NAME, state=ComponentState.UNKNOWN)
    await pod.base.check()
    since = pod.base.health.since
    pod.now += 5
    await pod.base.check()
    assert pod.base.health == ComponentHealth(
        component=NAME, state=ComponentState.UP, latency_milliseconds=0.0, since=since
    )
    pod.server.error = RefusedError("it refuses the token (HTTP 401)")
    await pod.base.check()
    down = pod.base.health
    assert (down.state, down.message) == (ComponentState.DOWN, "it refuses the token (HTTP 401)")
    assert down.since == "1970-01-01T00:16:45.000+00:00"


async def test_a_question_that_a_healthy_server_refuses_is_a_problem_with_its_words(pod: Pod) -> None:
    await pod.base.check()
    pod.server.refuses = RefusedError("it expects 384 dimensions")
    for _ in range(2 * SUSPECTED_MIN_ATTEMPTS):
        assert "refuses a question: it expects 384 dimensions" in await pod.detail()
    assert pod.base.health.state is ComponentState.UP
    assert pod.base.problems == (f"collection {NAME} of ChromaDB refuses a question: it expects 384 dimensions",)
    pod.now += REPORTED_SECONDS
    assert not pod.base.problems


async def test_an_embedding_model_that_fails_is_named(pod: Pod) -> None:
    pod.model.error = ChatError(Code.UPSTREAM_ERROR, detail="out of memory.")
    assert "the embedding model e has no vector of a question: out of memory; see" in await pod.detail()
    assert len(pod.base.problems) == 1
    pod.model.error = None
    await pod.base.passages(QUESTION)
    assert not pod.base.problems


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"ids":[],"documents":[],"distances":[],"metadatas":[]}'])
async def test_a_response_that_cannot_be_read_is_no_answer(
    pod: Pod, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(*_: object) -> bytes:
        return answer

    monkeypatch.setattr(pod.server, "find", find)
    assert "its response cannot be read" in await pod.detail()


async def test_without_documents_a_model_answers_if_it_may_and_states_that() -> None:
    meter, inner = Meter("1"), FakeProvider([Token("Hi"), STOP], [Token("Hi"), STOP])
    for on_unavailable, pod in (("answer", Pod("answer")), ("fail", Pod("fail"))):
        pod.server.error = ChromaError("connection refused")
        wise = pod.knowledge.on_unavailable
        provider = Grounded(inner, pod.base, "m", meter=meter, clock=lambda: 0.0, on_unavailable=wise)
        outcome = await ask(provider, ChatRequest("m", (Message("user", QUESTION[0]),)))
        if on_unavailable == "fail":
            assert outcome.error
            assert outcome.error.code is Code.KNOWLEDGE_UNAVAILABLE
            continue
        last = outcome.pieces[-1]
        assert isinstance(last, Finish)
        assert (last.retrieval, last.citations) == ("unavailable", ())
        first, question = inner.asked[0].messages
        assert "cannot be used now" in str(first.content)
        assert question.content == QUESTION[0]
    assert b'chatfleet_retrievals_total{model="m",result="unavailable"} 2.0' in meter.exposition()


def test_several_collections_are_one_component_with_the_worst_state() -> None:
    assert as_component(()).state is ComponentState.UNUSED
    assert as_dependency(()) is None
    up = ComponentHealth(component="t/d/a", state=ComponentState.UP, latency_milliseconds=2.0, since="2026-01-01")
    down = ComponentHealth(
        component="t/d/b", state=ComponentState.DOWN, message="refused", latency_milliseconds=9.0, since="2026-01-02"
    )
    other = down.model_copy(update={"component": "t/d/c", "since": "2026-01-01", "latency_milliseconds": 12.0})
    assert as_component((up, up)) == up.model_copy(update={"component": "chromadb"})
    assert as_component((up, down, other)) == ComponentHealth(
        component="chromadb",
        state=ComponentState.DOWN,
        message="collection t/d/b: refused (1 more)",
        latency_milliseconds=12.0,
        since="2026-01-01",
    )
    assert as_dependency((up, down)) == Dependency(state=State.DOWN, message="collection t/d/b: refused")


def test_a_name_is_that_of_tenant_database_and_collection() -> None:
    settings = Chroma(url="http://chroma", collection="docs", tenant="shop", database="prod")
    assert ChromaCollection(settings, Path("/nowhere"), lambda: None).name == "shop/prod/docs"  # type: ignore[arg-type,return-value]
