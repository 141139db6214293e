"""The full-text index of a base: FTS5 of SQLite, ranked by BM25. It blocks: run it in a thread.

SQLite releases Python's lock while it works, so that an event loop beside it goes on.
"""

import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
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
_RANK: Final = "INSERT INTO chunks(chunks, rank) VALUES ('rank', 'bm25(1.0, 2.0, 1.0)')"
"""A word in a heading counts twice as much as one in the text, or in the name of the source."""


class Retrieved(NamedTuple):
    """A chunk that fits a question."""

    source: str
    chunk: int
    score: float
    """BM25, higher for a better fit; comparable within one question alone."""
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

    def search(self, query: str, limit: int, *, without: Collection[str] = ()) -> list[Retrieved]:
        """Return the chunks that fit `query` best, none of the sources `without`; the best one first."""
        if not query:
            return []
        with self._lock, closing(self._database.execute(_SEARCH, (query, limit if not without else -1))) as rows:
            found = (
                Retrieved(source, number, round(score, 3), heading, text)
                for source, number, heading, text, score in rows
                if source not in without
            )
            return [each for each, _ in zip(found, range(limit), strict=False)]

    def close(self) -> None:
        """Free the memory; nothing may be searched any more."""
        with self._lock:
            self._database.close()


def _name(source: str) -> str:
    """Return the words in the name of a source, without its ending."""
    stem, dot, ending = source.rpartition(".")
    return stem if dot and "/" not in ending else source
