"""Several rankings of the same chunks as one: reciprocal rank fusion. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

CONSTANT: Final = 60
"""Of Cormack, Clarke and Buettcher (2009): the first of one ranking must not outweigh the second of all."""


def fused(rankings: Iterable[Iterable[int]], limit: int) -> list[tuple[int, float]]:
    """Return what is best in all of `rankings`, with its score; of equal ones, what the first ranking has first."""
    scores: defaultdict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, row in enumerate(ranking, 1):
            scores[row] += 1 / (CONSTANT + rank)
    return sorted(scores.items(), key=lambda scored: -scored[1])[:limit]
