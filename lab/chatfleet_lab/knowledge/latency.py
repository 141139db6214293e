"""The time of a search, and of building an index."""

from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Final, NamedTuple

from chatfleet_api.knowledge.index import Index
from chatfleet_api.knowledge.query import query_of
from chatfleet_lab.knowledge.corpus import Question, made_chunks
from chatfleet_lab.knowledge.quality import TOP_K

SIZES: Final = (1_000, 50_000)
ROUNDS: Final = 3


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


def _milliseconds(index: Index, question: str, clock: Callable[[], float]) -> float:
    began = clock()
    found = index.search(query_of([question]), TOP_K)
    assert len(found) == TOP_K
    return (clock() - began) * 1000
