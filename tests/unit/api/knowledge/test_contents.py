"""What goes into prompts, by mode, is bounded by `contextTokens`; and how well retrieval finds is held."""

import pytest

from chatfleet_api.knowledge.contents import Contents, tokens_of
from chatfleet_api.knowledge.documents import Document, Reading
from chatfleet_api.knowledge.fence import fenced
from chatfleet_contract.spec.knowledge import DocumentsRef, Knowledge, Mode, Source
from chatfleet_lab.knowledge.corpus import documents, questions
from chatfleet_lab.knowledge.quality import quality

PAGES = Reading(tuple(Document(f"desk/{number}.md", f"# Page {number}\n" + "fact " * 200) for number in range(20)))


def knowledge(mode: Mode, context_tokens: int, top_k: int = 4) -> Knowledge:
    sources = [Source(config_map_ref=DocumentsRef(name="desk"))]
    return Knowledge(mode=mode, context_tokens=context_tokens, top_k=top_k, sources=sources)


def test_rag_has_no_core_and_at_most_top_k() -> None:
    passages = Contents(knowledge(Mode.RAG, 8000, top_k=3), PAGES).passages(["Which facts?"])
    assert passages.core == ""
    assert len(passages.retrieved) == 3


def test_retrieved_chunks_stay_within_the_tokens() -> None:
    passages = Contents(knowledge(Mode.RAG, 650), PAGES).passages(["Which facts?"])
    assert len(passages.retrieved) == 2
    assert tokens_of(fenced(passages.retrieved)) <= 650


def test_cag_has_all_documents_for_every_question() -> None:
    contents = Contents(knowledge(Mode.CAG, 8000), PAGES)
    assert contents.problem == ""
    assert contents.passages(["Which facts?"]).core == contents.passages(["Something else"]).core
    assert all(f'source="desk/{number}.md"' in contents.passages([]).core for number in range(20))
    assert contents.passages(["facts"]).retrieved == ()
    assert [each.source for each in contents.passages(["page 7"]).cited][:1] == ["desk/7.md"]


def test_cag_that_does_not_fit_is_refused_with_the_numbers() -> None:
    tokens = tokens_of(Contents(knowledge(Mode.CAG, 8000), PAGES).passages([]).core)
    assert Contents(knowledge(Mode.CAG, tokens), PAGES).problem == ""
    assert Contents(knowledge(Mode.CAG, tokens - 1), PAGES).problem == (
        f"the documents of desk have {tokens} tokens, and knowledge.contextTokens is {tokens - 1};"
        " raise it or use mode hybrid"
    )


@pytest.mark.feature(30)
def test_hybrid_has_the_first_documents_and_retrieves_of_the_rest() -> None:
    contents = Contents(knowledge(Mode.HYBRID, 4000), PAGES)
    passages = contents.passages(["Which facts?"])
    assert 0 < len(contents.core_sources) < 20
    assert contents.core_sources == tuple(document.source for document in PAGES.documents)[: len(contents.core_sources)]
    assert len(passages.retrieved) == 4
    assert not {each.source for each in passages.retrieved} & set(contents.core_sources)
    assert {each.source for each in passages.cited} & set(contents.core_sources)
    assert set(passages.retrieved) <= set(passages.cited)
    assert tokens_of(passages.core) + tokens_of(fenced(passages.retrieved)) <= 4000


@pytest.mark.parametrize(
    ("mode", "vectors", "recall", "mrr"),
    [
        *((Mode.RAG, False, 0.94, 0.90), (Mode.HYBRID, False, 0.97, 0.95), (Mode.CAG, False, 1, 1)),
        *((Mode.RAG, True, 0.94, 0.87), (Mode.HYBRID, True, 0.97, 0.95)),
    ],
)
def test_retrieval_finds_what_it_found(mode: Mode, *, vectors: bool, recall: float, mrr: float) -> None:
    reading, asked = documents(), questions()
    assert len(reading.documents) >= 40
    assert len(asked) >= 60
    result = quality(mode, reading, asked, vectors=vectors)
    assert result.recall >= recall
    assert result.mrr >= mrr
