"""An upstream over HTTP: one POST, its answer read as bytes under deadlines, its connection closed on every way out.

What vendors differ in (addresses, headers, bodies, the meaning of events) is a `Dialect`; what is alike stands here.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, Protocol

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.connection import BrokenError, Connection
from chatfleet_api.http.deadline import Watchdog
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.http.sse import EventReader
from chatfleet_api.providers.credentials import FileCredential
from chatfleet_api.providers.provider import Batch, Finish, Opened, Opening, StreamItem
from chatfleet_api.providers.upstream_errors import MAX_BODY_BYTES, clean, from_response
from chatfleet_contract.runtime import RuntimeTimeouts

CHECK_SECONDS: Final = 10.0
"""How long a check may take in all."""

DRAIN_SECONDS: Final = 0.1
"""How long to wait, once the answer is whole, for the end of the response that lets its connection be used again."""

_BROKEN: Final = (BrokenError, OSError, RuntimeError)
"""What asking raises when there is no connection, or no more: uvloop the bare one, if it was reset a moment ago."""

_HEADERS: Final = MappingProxyType(
    {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "chatfleet"}
)

_ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


class Answer(Protocol):
    """Reads one answer."""

    done: bool
    """Whether the `Finish` has been handed out."""

    def read(self, payload: bytes, pieces: list[StreamItem]) -> None:
        """Append to `pieces` what the next payload brings; raise `ChatError` when it is a failure or cannot be read."""
        ...

    def end(self) -> Finish:
        """Return the finish of a stream that ends here; raise `ChatError(UPSTREAM_TRUNCATED)` when it is not whole."""
        ...


class Dialect(Protocol):
    """What the API of one vendor looks like."""

    @property
    def models_url(self) -> str:
        """Where a GET costs nothing and proves the credentials."""
        ...

    @property
    def lists_models(self) -> bool:
        """Whether there must be something at `models_url`; servers that imitate a vendor may leave it out."""
        ...

    def url(self, request: ChatRequest) -> str:
        """Return where an answer to `request` is asked for."""
        ...

    def headers(self, key: str | None, request: ChatRequest | None = None) -> Mapping[str, str]:
        """Return the headers that authenticate and that choose the API's version; `request` is None for a check."""
        ...

    def body(self, request: ChatRequest) -> bytes:
        """Return the JSON that asks for a streamed answer; raise `ChatError` for what this vendor cannot be asked."""
        ...

    def answer(self, request: ChatRequest) -> Answer:
        """Return what reads the answer to `request`."""
        ...


class Upstream:
    """A `Provider` at the other end of a network connection."""

    def __init__(
        self, connections: ConnectionPool, dialect: Dialect, *, key: FileCredential, timeouts: RuntimeTimeouts
    ) -> None:
        """Ask over `connections`, which others use too."""
        self._connections = connections
        self._dialect = dialect
        self._key = key
        self._timeouts = timeouts

    def open(self, request: ChatRequest) -> Opening:
        return Opened(self._batches(request))

    async def _batches(self, request: ChatRequest) -> AsyncGenerator[Batch, None]:
        time = asyncio.get_running_loop().time
        ends = time() + self._timeouts.total_seconds
        until = min(ends, time() + self._timeouts.first_token_seconds)
        answer, events, begun = self._dialect.answer(request), EventReader(), False
        response = await self._ask(request, until)
        watchdog = Watchdog(response.close, until, Code.UPSTREAM_TIMEOUT)
        try:
            while not answer.done:
                try:
                    data = await response.read()
                except _BROKEN as error:
                    code = watchdog.bit or Code.UPSTREAM_TRUNCATED
                    raise ChatError(code, detail=clean(f"{type(error).__name__}: {error}")) from error
                pieces, failure = _understand(answer, events, data)
                if pieces:
                    watchdog.move(ends, Code.UPSTREAM_TIMEOUT)  # while the reader is busy, the upstream is not to blame
                    yield pieces
                    begun = True
                if failure:
                    raise failure
                stalls = time() + self._timeouts.stall_seconds
                if begun and stalls < ends:
                    watchdog.move(stalls, Code.UPSTREAM_STALLED)
            await _drain(response)
        finally:
            watchdog.stop()
            self._connections.leave(response)

    async def check(self) -> None:
        """Prove that the upstream is reachable and takes the key."""
        key = self._key.read()
        url = self._dialect.models_url
        with _translated():
            async with asyncio.timeout(CHECK_SECONDS):
                response = await self._connections.ask(
                    "GET", url, {**_HEADERS, **self._dialect.headers(key)}, connect_seconds=CHECK_SECONDS
                )
                try:
                    await self._checked(response, key)
                finally:
                    self._connections.leave(response)

    async def _checked(self, response: Connection, key: str | None) -> None:
        if response.status not in _ABSENT:
            await self._accept(response, key)
        elif self._dialect.lists_models:
            told = f"GET {self._dialect.models_url} answered HTTP {response.status}; correct baseURL"
            raise ChatError(Code.UPSTREAM_UNAVAILABLE, detail=told)

    async def _ask(self, request: ChatRequest, until: float) -> Connection:
        """Return the connection on which the stream of the answer begins; its caller leaves it."""
        key = self._key.read()
        url, body = self._dialect.url(request), self._dialect.body(request)
        headers = {**_HEADERS, "Content-Type": "application/json", **self._dialect.headers(key, request)}
        with _translated():
            async with asyncio.timeout_at(until):
                response = await self._connections.ask(
                    "POST", url, headers, body, connect_seconds=self._timeouts.connect_seconds
                )
                try:
                    await self._accept(response, key)
                    _require_events(response)
                    response.forget_headers()
                except BaseException:
                    self._connections.leave(response)
                    raise
        return response

    async def _accept(self, response: Connection, key: str | None) -> None:
        """Raise what an error response means."""
        if response.status == HTTPStatus.OK:
            return
        if response.status == HTTPStatus.UNAUTHORIZED:
            self._key.forget()
        body = b""
        while len(body) < MAX_BODY_BYTES and (more := await response.read()):
            body += more
        raise from_response(response.status, response.headers, body, (key,) if key else ())


def _require_events(response: Connection) -> None:
    kind, coding = (response.headers.get(name, "") for name in ("content-type", "content-encoding"))
    if kind.partition(";")[0].strip().lower() != "text/event-stream" or coding:
        raise ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"{kind} {coding} is not an event stream"))


@contextmanager
def _translated() -> Iterator[None]:
    """Translate what can go wrong before the first byte of an answer."""
    try:
        yield
    except TimeoutError as error:
        raise ChatError(Code.UPSTREAM_TIMEOUT, detail=clean(f"no answer in time {error}")) from error
    except _BROKEN as error:
        raise ChatError(Code.UPSTREAM_UNAVAILABLE, detail=clean(f"{type(error).__name__}: {error}")) from error


def _understand(answer: Answer, events: EventReader, data: bytes) -> tuple[list[StreamItem], ChatError | None]:
    """Return the pieces in `data`, and the failure that follows them if there is one."""
    pieces: list[StreamItem] = []
    try:
        for payload in events.feed(data):
            answer.read(payload, pieces)
            if answer.done:
                return pieces, None
        if not data:
            pieces.append(answer.end())
    except ChatError as failure:
        return pieces, failure
    return pieces, None


async def _drain(response: Connection) -> None:
    """Read to the end of a response whose answer is whole, if the end comes soon."""
    if response.whole:
        return
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while await response.read():
                pass
    except (TimeoutError, *_BROKEN):
        return  # the connection is closed instead of kept; the answer is none the worse
