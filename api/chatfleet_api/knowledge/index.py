"""The full-text index of a base: FTS5 of SQLite, ranked by BM25. It blocks: run it in a thread.

SQLite releases Python's lock while it works, so that an event loop beside it goes on.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Final, NamedTuple

from chatfleet_api.knowledge.chunking import Chunk

_CREATE: Final = """
CREATE VIRTUAL TABLE chunks USING fts5(
    name, heading, body, source UNINDEXED, number UNINDEXED,
    tokenize = 'porter unicode61 remove_diacritics 2'
)
"""
_SEARCH: Final = """
SELECT source, number, heading, body, -rank FROM chunks WHERE chunks MATCH ? ORDER BY rank LIMIT ?
"""
_ROWS: Final = "SELECT rowid FROM chunks WHERE chunks MATCH ? ORDER BY rank LIMIT ?"
_ROW: Final = "SELECT source, number, heading, body FROM chunks WHERE rowid = ?"
_TEXTS: Final = "SELECT heading, body FROM chunks ORDER BY rowid"
_RANK: Final = "INSERT INTO chunks(chunks, rank) VALUES ('rank', 'bm25(1.0, 2.0, 1.0)')"
"""A word in a heading counts twice as much as one in the text, or in the name of the source."""


class Retrieved(NamedTuple):
    """A chunk that fits a question."""

    source: str
    chunk: int
    score: float
    """By BM25, or of rankings that are fused: higher for a better fit; comparable within one question alone."""
    heading: str
    text: str


class Index:
    """The chunks of a base, whole from the beginning, and never changed."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._lock = Lock()
        with self._lock:
            self._database.execute(_CREATE)
            self._database.execute(_RANK)
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
                ((_name(each.source), each.heading, each.text, each.source, each.number) for each in chunks),
            )
            self._database.execute("COMMIT")
            self._database.execute("INSERT INTO chunks(chunks) VALUES ('optimize')")
            self.size: int = self._database.execute("SELECT count(*) FROM chunks").fetchone()[0]

    def search(self, query: str, limit: int) -> list[Retrieved]:
        """Return the chunks that fit `query` best, `limit` at most; the best one first."""
        if not query or not self.size:
            return []
        with self._lock:
            rows = self._database.execute(_SEARCH, (query, limit)).fetchall()
        return [Retrieved(source, number, _rounded(score), head, text) for source, number, head, text, score in rows]

    def rows(self, query: str, limit: int) -> list[int]:
        """Return the same chunks by their places, the first of which is 0."""
        if not query or not self.size:
            return []
        with self._lock:
            return [row - 1 for (row,) in self._database.execute(_ROWS, (query, limit)).fetchall()]

    def at(self, ranked: Sequence[tuple[int, float]]) -> list[Retrieved]:
        """Return the chunks at places, with their scores."""
        with self._lock:
            found = [(self._database.execute(_ROW, (row + 1,)).fetchone(), score) for row, score in ranked]
        return [Retrieved(source, number, _rounded(score), head, text) for (source, number, head, text), score in found]

    def texts(self) -> list[str]:
        """Return all chunks with their headings, by their places."""
        with self._lock:
            rows = self._database.execute(_TEXTS).fetchall()
        return [f"{heading}\n\n{body}" if heading else body for heading, body in rows]

    def __del__(self) -> None:
        self._database.close()


def _rounded(score: float) -> float:
    """Return four digits: of a word in most chunks, the score is far below 1."""
    return float(f"{score:.4g}")


def _name(source: str) -> str:
    """Return the words in the name of a source, without its ending."""
    stem, dot, ending = source.rpartition(".")
    return stem if dot and "/" not in ending else source
