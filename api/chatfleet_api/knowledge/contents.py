"""What a base has for prompts, by its mode: a core that is in each prompt, and an index of the rest. It blocks.

rag      no core
cag      everything is the core, or nothing is served
hybrid   the first documents are the core, as many as leave room for what is retrieved
"""

from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Final, NamedTuple, Protocol

from chatfleet_api.domain.usage_estimate import BYTES_PER_TOKEN
from chatfleet_api.knowledge.chunking import CHUNK_CHARACTERS, HEADING_CHARACTERS, Chunk, chunks_of
from chatfleet_api.knowledge.documents import Document, Reading
from chatfleet_api.knowledge.fence import fenced
from chatfleet_api.knowledge.fusion import fused
from chatfleet_api.knowledge.index import Index, Retrieved
from chatfleet_api.knowledge.query import query_of
from chatfleet_contract.spec.knowledge import Knowledge, Mode

FENCE_TOKENS: Final = 60
"""Of the two fences around a chunk."""
_RETRIEVED_TOKENS: Final = (CHUNK_CHARACTERS + HEADING_CHARACTERS) // BYTES_PER_TOKEN + FENCE_TOKENS
_CORE_SCORE: Final = 0.0
"""What is in each prompt was not ranked."""
_CANDIDATES: Final = 50
"""Of each ranking before they are fused: a chunk may be far down in one, and first in the other."""


class Nearest(Protocol):
    """Ranks chunks by meaning, for one question."""

    def __call__(self, rows: range, limit: int) -> list[int]:
        """Return those of the chunks at `rows` that are nearest, `limit` at most; the nearest one first."""
        ...


class Passages(NamedTuple):
    """What goes to a model with one question."""

    core: str
    """The same for every question, between fences; empty: there is none."""
    retrieved: tuple[Retrieved, ...]
    cited: tuple[Retrieved, ...]
    """Of what goes to the model, the chunks that fit the question best; the best one first."""
    by_words: bool = False
    """Whether they were found by words alone, because there is no vector of the question, or of the documents."""


class Contents:
    """One version of a base, whole, and never changed."""

    def __init__(self, knowledge: Knowledge, reading: Reading) -> None:
        """Index what was read; `problem` is why it cannot be served."""
        self._knowledge = knowledge
        core = _core(knowledge, reading.documents)
        chunks = _chunks(core)
        self.core_sources = tuple(document.source for document in core)
        self.core = fenced(_unranked(chunks))
        self._core_index = Index(chunks)
        self._index = Index(_chunks(reading.documents[len(core) :]))
        self.size = self._core_index.size + self._index.size
        self.problem = _problem(knowledge, tokens_of(self.core))

    def texts(self) -> list[str]:
        """Return all chunks: first those of the core, in the order in which a `Nearest` knows them."""
        return [*self._core_index.texts(), *self._index.texts()]

    def passages(self, questions: Sequence[str], nearest: Nearest | None = None) -> Passages:
        """Return what goes with the last of `questions`: chunks that fit it, as far as there is room for them.

        They are found by their words, and with `nearest` also by meaning.
        """
        query = query_of(questions)
        room = self._knowledge.context_tokens - tokens_of(self.core)
        found = self._found(self._index, query, nearest)
        retrieved = fitting(found, room)
        in_core = self._found(self._core_index, query, nearest)
        ranked = sorted([*retrieved, *in_core], key=lambda each: -each.score)
        return Passages(self.core, retrieved, tuple(ranked))

    def _found(self, index: Index, query: str, nearest: Nearest | None) -> list[Retrieved]:
        limit = self._knowledge.top_k
        if nearest is None:
            return index.search(query, limit)
        first = 0 if index is self._core_index else self._core_index.size
        by_meaning = nearest(range(first, first + index.size), _CANDIDATES)
        rankings = (index.rows(query, _CANDIDATES), [row - first for row in by_meaning])
        return index.at(fused(rankings, limit))


def fitting(found: Sequence[Retrieved], room: int) -> tuple[Retrieved, ...]:
    """Return the first of `found`, as many as `room` has tokens for."""
    sizes = accumulate(tokens_of(fenced((each,))) for each in found)
    return tuple(each for each, size in zip(found, sizes, strict=True) if size <= room)


def tokens_of(text: str) -> int:
    """Return a guess at the tokens of `text`, as for usage that no upstream reports."""
    return -(-len(text.encode(errors="surrogatepass")) // BYTES_PER_TOKEN)


def _core(knowledge: Knowledge, documents: tuple[Document, ...]) -> tuple[Document, ...]:
    """Return the documents that are in each prompt, in their order."""
    if knowledge.mode is Mode.RAG:
        return ()
    if knowledge.mode is Mode.CAG:
        return documents
    room = knowledge.context_tokens - knowledge.top_k * _RETRIEVED_TOKENS
    sizes = accumulate(tokens_of(fenced(_unranked(chunks_of(document)))) for document in documents)
    return documents[: len(list(takewhile(lambda size: size <= room, sizes)))]


def _chunks(documents: Sequence[Document]) -> list[Chunk]:
    return [chunk for document in documents for chunk in chunks_of(document)]


def _unranked(chunks: Sequence[Chunk]) -> list[Retrieved]:
    return [Retrieved(each.source, each.number, _CORE_SCORE, each.heading, each.text) for each in chunks]


def _problem(knowledge: Knowledge, tokens: int) -> str:
    room = knowledge.context_tokens
    if knowledge.mode is not Mode.CAG or tokens <= room:
        return ""
    named = ", ".join(knowledge.source_names)
    return (
        f"the documents of {named} have {tokens} tokens, and knowledge.contextTokens is {room};"
        " raise it or use mode hybrid"
    )
