"""The vectors of a base, each number in 8 bits: a question is compared with every one of them. It blocks.

simsimd releases Python's lock while it compares, so that an event loop beside it goes on.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import simsimd

from chatfleet_api.knowledge.contents import Nearest


class VectorIndex:
    """The vectors of the chunks of one version, in their order, and never changed."""

    def __init__(self, space: str, digests: Sequence[bytes], vectors: Mapping[bytes, bytes]) -> None:
        """`space` is that of the model; `vectors` has all `digests`, at least one, and all have one length."""
        self.space = space
        self._rows = {digest: row for row, digest in enumerate(digests)}
        self._matrix = b"".join(vectors[digest] for digest in digests)
        self.dimensions = len(self._matrix) // len(digests)

    @property
    def digests(self) -> Sequence[bytes]:
        """Digests of the texts, each once."""
        return tuple(self._rows)

    def known(self, digest: bytes) -> bytes | None:
        """Return the vector of a text, if it has been made."""
        row = self._rows.get(digest)
        return None if row is None else self._matrix[row * self.dimensions : (row + 1) * self.dimensions]

    def nearest_to(self, question: bytes) -> Nearest:
        """Return the ranking of chunks by the cosine of their vectors with that of a question."""
        return _Ranking(self._matrix, question)


class _Ranking(NamedTuple):
    matrix: bytes
    question: bytes

    def __call__(self, rows: range, limit: int) -> list[int]:
        """Return those of `rows` whose chunks are nearest, `limit` at most; the nearest one first."""
        if not rows:
            return []
        size = len(self.question)
        part = memoryview(self.matrix)[rows.start * size : rows.stop * size].cast("b", shape=[len(rows), size])
        asked = memoryview(self.question).cast("b", shape=[1, size])
        found = simsimd.cdist(asked, part, "cosine")
        distances = memoryview(found).cast("B").cast("d")  # type: ignore[arg-type]  # its stub knows no buffers
        return [row for _, row in heapq.nsmallest(limit, zip(distances, rows, strict=True))]
