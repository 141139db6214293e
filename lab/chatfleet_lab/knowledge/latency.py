"""The time of a search, and of building an index."""

from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Final, NamedTuple

from chatfleet_api.knowledge.index import Index
from chatfleet_api.knowledge.query import query_of
from chatfleet_api.knowledge.vector_index import VectorIndex
from chatfleet_lab.knowledge.corpus import Question, made_chunks
from chatfleet_lab.knowledge.quality import TOP_K
from chatfleet_lab.knowledge.trigrams import DIMENSIONS

SIZES: Final = (1_000, 50_000)
ROUNDS: Final = 3
VECTOR_ROUNDS: Final = 200


class Latency(NamedTuple):
    """Of one size, in milliseconds."""

    chunks: int
    build_seconds: float
    p50: float
    p95: float
    longest: float


def latency(chunks: int, questions: Sequence[Question], clock: Callable[[], float]) -> Latency:
    """Return how long searches of all questions take, one at a time."""
    made = made_chunks(chunks, Random(1))  # noqa: S311  # the same chunks each time
    began = clock()
    index = Index(made)
    built = clock() - began
    taken = sorted(_milliseconds(index, question.text, clock) for _ in range(ROUNDS) for question in questions)
    return Latency(chunks, built, median(taken), taken[int(len(taken) * 0.95)], taken[-1])


def vector_latency(chunks: int, clock: Callable[[], float]) -> Latency:
    """Return how long it takes to compare a question with all vectors, one question at a time."""
    random = Random(1)  # noqa: S311  # the same vectors each time
    vectors = {number.to_bytes(8): random.randbytes(DIMENSIONS) for number in range(chunks)}
    began = clock()
    index = VectorIndex("random", [*vectors], vectors)
    built = clock() - began
    taken = []
    for _ in range(VECTOR_ROUNDS):
        nearest, began = index.nearest_to(random.randbytes(DIMENSIONS)), clock()
        nearest(range(chunks), TOP_K)
        taken.append((clock() - began) * 1000)
    taken.sort()
    return Latency(chunks, built, median(taken), taken[int(len(taken) * 0.95)], taken[-1])


def _milliseconds(index: Index, question: str, clock: Callable[[], float]) -> float:
    began = clock()
    found = index.search(query_of([question]), TOP_K)
    assert len(found) == TOP_K
    return (clock() - began) * 1000
