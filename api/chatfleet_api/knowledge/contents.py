"""What a base has for prompts, by its mode: a core that is in each prompt, and an index of the rest. It blocks.

rag      no core
cag      everything is the core, or nothing is served
hybrid   the first documents are the core, as many as leave room for what is retrieved
"""

from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Final, NamedTuple

from chatfleet_api.domain.usage_estimate import BYTES_PER_TOKEN
from chatfleet_api.knowledge.chunking import CHUNK_CHARACTERS, HEADING_CHARACTERS, chunks_of
from chatfleet_api.knowledge.documents import Document, Reading
from chatfleet_api.knowledge.fence import fenced
from chatfleet_api.knowledge.index import Index, Retrieved
from chatfleet_api.knowledge.query import query_of
from chatfleet_contract.spec.knowledge import Knowledge, Mode

FENCE_TOKENS: Final = 60
"""Of the two fences around a chunk."""
_RETRIEVED_TOKENS: Final = (CHUNK_CHARACTERS + HEADING_CHARACTERS) // BYTES_PER_TOKEN + FENCE_TOKENS
_CORE_SCORE: Final = 0.0
"""What is in each prompt was not ranked."""


class Passages(NamedTuple):
    """What goes to a model with one question."""

    core: str
    """The same for every question, between fences; empty: there is none."""
    retrieved: tuple[Retrieved, ...]


class Contents:
    """One version of a base, whole, and never changed."""

    def __init__(self, knowledge: Knowledge, reading: Reading) -> None:
        """Index what was read; `problem` is why it cannot be served."""
        self._knowledge = knowledge
        core = _core(knowledge, reading.documents)
        self._core = fenced(_whole(core))
        self.core_sources = tuple(document.source for document in core)
        rest = reading.documents[len(core) :] if knowledge.mode is not Mode.CAG else ()
        self._index = Index(chunk for document in rest for chunk in chunks_of(document))
        self.chunks = self._index.size + sum(len(chunks_of(document)) for document in core)
        self.problem = _problem(knowledge, tokens_of(self._core))

    def passages(self, questions: Sequence[str]) -> Passages:
        """Return what goes with the last of `questions`: chunks that fit it, as far as there is room for them."""
        knowledge = self._knowledge
        found = self._index.search(query_of(questions), knowledge.top_k) if self._index.size else []
        room = knowledge.context_tokens - tokens_of(self._core)
        sizes = accumulate(tokens_of(fenced((each,))) for each in found)
        return Passages(self._core, tuple(each for each, size in zip(found, sizes, strict=True) if size <= room))


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
    sizes = list(accumulate(tokens_of(fenced(_whole((document,)))) for document in documents))
    return documents[: len(list(takewhile(lambda size: size <= room, sizes)))]


def _whole(documents: Sequence[Document]) -> list[Retrieved]:
    chunks = (chunk for document in documents for chunk in chunks_of(document))
    return [Retrieved(each.source, each.number, _CORE_SCORE, each.heading, each.text) for each in chunks]


def _problem(knowledge: Knowledge, tokens: int) -> str:
    room = knowledge.context_tokens
    if knowledge.mode is not Mode.CAG or tokens <= room:
        return ""
    return f"the documents have {tokens} tokens, and contextTokens is {room}; raise contextTokens or use mode hybrid"
