"""A collection of a ChromaDB server by its REST API (v2), read only; and the chunks in what it returns."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from chatfleet_api.http.connection import BrokenError, Connection
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.knowledge.index import Retrieved
from chatfleet_contract.names import chroma_token_path
from chatfleet_contract.spec.knowledge import Chroma

REQUEST_SECONDS: Final = 2.0
"""For a whole response: a question waits for it."""
MAX_RESPONSE_BYTES: Final = 8 * 1024 * 1024
MAX_MESSAGE: Final = 200
"""Characters of what the server states about an error."""
_INCLUDE: Final = ("documents", "metadatas", "distances")
_MASK: Final = "[token]"


class ChromaError(Exception):
    """A collection cannot be used; the text is the cause, without a token."""


class RefusedError(ChromaError):
    """The server has responded, and refuses the request."""


class MissingError(RefusedError):
    """There is no such collection."""


class _Description(msgspec.Struct):
    id: str


class _Failure(msgspec.Struct):
    message: str = ""


class _Found(msgspec.Struct):
    """Each list has one list for each question."""

    ids: list[list[str]]
    documents: list[list[str | None]]
    distances: list[list[float | None]]
    metadatas: list[list[dict[str, Any] | None]]


_DESCRIPTION: Final = msgspec.json.Decoder(_Description)
_FAILURE: Final = msgspec.json.Decoder(_Failure)
_FOUND: Final = msgspec.json.Decoder(_Found)


class ChromaCollection:
    """Reads one collection. Its methods raise `ChromaError`."""

    def __init__(self, settings: Chroma, folder: Path, pool: Callable[[], ConnectionPool]) -> None:
        """The token is in a file below `folder`; it may be missing, and may change."""
        self.name = f"{settings.tenant}/{settings.database}/{settings.collection}"
        self._pool = pool
        parts = ("tenants", settings.tenant, "databases", settings.database, "collections")
        self._url = f"{settings.url.rstrip('/')}/api/v2/{'/'.join(quote(part, safe='') for part in parts)}"
        self._collection = settings.collection
        ref = settings.token_secret_ref
        self._token = folder / chroma_token_path(ref.name, ref.key) if ref else None
        self._id: str | None = None

    async def check(self) -> None:
        """Find the collection, as each question does once."""
        answer = await self._request("GET", f"{self._url}/{quote(self._collection, safe='')}")
        try:
            self._id = _DESCRIPTION.decode(answer).id
        except msgspec.MsgspecError as error:
            raise ChromaError("its response does not describe a collection; correct the URL") from error

    async def find(self, vector: Sequence[float], limit: int) -> bytes:
        """Return what is nearest to `vector`, for `retrieved_of`."""
        try:
            return await self._query(vector, limit)
        except MissingError:
            self._id = None
            return await self._query(vector, limit)  # it was deleted and made again: its id is another one

    async def _query(self, vector: Sequence[float], limit: int) -> bytes:
        if self._id is None:
            await self.check()
        body = msgspec.json.encode({"query_embeddings": [vector], "n_results": limit, "include": _INCLUDE})
        return await self._request("POST", f"{self._url}/{quote(self._id or '', safe='')}/query", body)

    async def _request(self, method: str, url: str, body: bytes = b"") -> bytes:
        token = self._read_token()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                pool, headers = self._pool(), _headers(token, body)
                connection = await pool.request(method, url, headers, body, connect_seconds=REQUEST_SECONDS)
                answer = await _read(connection)
                pool.release(connection)
        except TimeoutError:
            raise ChromaError(f"it has not responded within {REQUEST_SECONDS:g} s") from None
        except (OSError, ValueError, BrokenError) as error:
            raise ChromaError(str(error) or type(error).__name__) from None
        if connection.status == HTTPStatus.OK:
            return answer
        why = _why(connection.status, answer)
        text = why.replace(token, _MASK) if token else why
        if connection.status == HTTPStatus.NOT_FOUND:
            raise MissingError(text)
        refused = HTTPStatus.BAD_REQUEST <= connection.status < HTTPStatus.INTERNAL_SERVER_ERROR
        raise RefusedError(text) if refused else ChromaError(text)

    def _read_token(self) -> str:
        try:
            return self._token.read_text().strip() if self._token else ""
        except (OSError, ValueError):
            return ""


async def _read(connection: Connection) -> bytes:
    parts, size = [], 0
    try:
        while size <= MAX_RESPONSE_BYTES and (part := await connection.read()):
            parts.append(part)
            size += len(part)
    except BaseException:  # cancellation too: the rest would be read as the next response
        connection.close()
        raise
    if size > MAX_RESPONSE_BYTES:
        connection.close()
        raise ValueError(f"its response has more than {MAX_RESPONSE_BYTES} bytes; lower knowledge.topK")
    return b"".join(parts)


def retrieved_of(answer: bytes, collection: str) -> list[Retrieved]:
    """Return the chunks in a response, the nearest one first; raises `ChromaError`."""
    try:
        found = _FOUND.decode(answer)
        rows = zip(*(found.ids[0], found.documents[0], found.distances[0], found.metadatas[0]), strict=True)
        return [
            _chunk(collection, ident, text, distance or 0.0, metadata or {})
            for ident, text, distance, metadata in rows
            if text
        ]
    except (msgspec.MsgspecError, IndexError, ValueError) as error:
        raise ChromaError(f"its response cannot be read: {type(error).__name__}") from error


def _chunk(collection: str, ident: str, text: str, distance: float, metadata: Mapping[str, Any]) -> Retrieved:
    """Return a record: `source` and `chunk` of its metadata name it where they are there, else its id."""
    source, chunk = metadata.get("source"), metadata.get("chunk")
    named = source if isinstance(source, str) and source else ident
    number = chunk if isinstance(chunk, int) and not isinstance(chunk, bool) and chunk > 0 else 1
    return Retrieved(f"{collection}/{named}", number, float(f"{1 - distance:.4g}"), "", text)


def _headers(token: str, body: bytes) -> dict[str, str]:
    credentials = {"x-chroma-token": token, "Authorization": f"Bearer {token}"} if token else {}
    content = {"Content-Type": "application/json"} if body else {}
    return {"Accept": "application/json", "User-Agent": "chatfleet", **content, **credentials}


def _why(status: int, answer: bytes) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"it refuses the token (HTTP {status}); correct tokenSecretRef"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"it redirects (HTTP {status}), which is not followed; correct the URL"
    try:
        message = " ".join(_FAILURE.decode(answer).message.split())[:MAX_MESSAGE]
    except msgspec.MsgspecError:
        message = ""
    return f"it responded with HTTP {status}{': ' if message else ''}{message}"
