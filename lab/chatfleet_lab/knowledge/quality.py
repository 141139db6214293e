"""How often the document that answers a question is among what goes to the model with it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from chatfleet_api.knowledge.contents import Contents
from chatfleet_api.knowledge.documents import Reading
from chatfleet_api.knowledge.query import words_of
from chatfleet_api.knowledge.vector_index import VectorIndex
from chatfleet_contract.spec.knowledge import DocumentsRef, Knowledge, Mode, Source
from chatfleet_lab.knowledge.corpus import BASE, Question
from chatfleet_lab.knowledge.trigrams import vector_of, vectors_of

TOP_K: Final = 4
HYBRID_TOKENS: Final = 4000
"""A core of about a third of the documents, and room for what is retrieved."""
CAG_TOKENS: Final = 100_000


class Quality(NamedTuple):
    """Of one mode."""

    mode: str
    """With its vectors, if it has some."""
    recall: float
    """Share of the questions whose document was there."""
    mrr: float
    """Mean of 1/rank of that document, 0 where it was not there; one in the core has rank 1."""
    core: int
    """Documents in each prompt."""
    missed: tuple[str, ...]


def knowledge(mode: Mode) -> Knowledge:
    tokens = {Mode.RAG: 8000, Mode.CAG: CAG_TOKENS, Mode.HYBRID: HYBRID_TOKENS}[mode]
    sources = [Source(config_map_ref=DocumentsRef(name=BASE))]
    return Knowledge(mode=mode, top_k=TOP_K, context_tokens=tokens, sources=sources)


def quality(mode: Mode, reading: Reading, questions: Sequence[Question], *, vectors: bool = False) -> Quality:
    """Return what `mode` finds: by words, and with `vectors` also by those of a script."""
    contents = Contents(knowledge(mode), reading)
    index = vectors_of(contents) if vectors else None
    ranks = [_rank(contents, question, index) for question in questions]
    mrr = sum(1 / rank for rank in ranks if rank) / len(ranks)
    missed = tuple(question.text for question, rank in zip(questions, ranks, strict=True) if not rank)
    name = f"{mode.value} with vectors" if vectors else mode.value
    return Quality(name, 1 - len(missed) / len(ranks), mrr, len(contents.core_sources), missed)


def shared_words(reading: Reading, questions: Sequence[Question]) -> float:
    """Return the share of the telling words of the questions that their document has, letter by letter."""
    texts = {document.source: set(words_of(document.text)) for document in reading.documents}
    found = [word in texts[question.source] for question in questions for word in words_of(question.text)]
    return sum(found) / len(found)


def _rank(contents: Contents, question: Question, index: VectorIndex | None) -> int:
    """Return the place of the document, 0 when it is not there."""
    if question.source in contents.core_sources:
        return 1
    nearest = None if index is None else index.nearest_to(vector_of(question.text))
    sources = list(dict.fromkeys(each.source for each in contents.passages([question.text], nearest).retrieved))
    return sources.index(question.source) + 1 if question.source in sources else 0
