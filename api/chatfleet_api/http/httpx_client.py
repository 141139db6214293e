"""An httpx client whose requests leave the pod through the connection pool, and so the guard: for libraries with one.

Each request has a connection of its own: one that is reused may have been closed by its server, and what was sent on it
would be sent again. A request that failed is answered by a response with status 502, because such libraries end more
than the request when it raises.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import httpx2
from typing_extensions import override

from chatfleet_api.http.connection import BrokenError, Connection
from chatfleet_api.http.pool import ConnectionPool

CONNECT_SECONDS: Final = 10.0
MAX_RESPONSE_BYTES: Final = 1 << 20
"""Of a response that is no event stream."""
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
"""Headers that belong to the connection, or to a transport that decompresses."""


class Exchange(NamedTuple):
    """What a caller adds to each request, and makes of one that failed."""

    headers: Callable[[], Mapping[str, str]]
    """Returns more headers; raises `ValueError` when there are none that can be sent."""
    failure: Callable[[str], bytes]
    """Returns the JSON of the response that stands for a request that failed, from the reason."""
    instead: Callable[[Mapping[str, str], int], bytes | None]
    """Returns JSON in the place of a response, by the headers of the request and the status; None: as it came."""


def httpx_client(connections: ConnectionPool, exchange: Exchange) -> httpx2.AsyncClient:
    """Return a client that sends over `connections`, without a timeout of its own."""
    return httpx2.AsyncClient(transport=_PoolTransport(connections, exchange), timeout=None, trust_env=False)


class _PoolTransport(httpx2.AsyncBaseTransport):
    def __init__(self, connections: ConnectionPool, exchange: Exchange) -> None:
        self._connections = connections
        self._exchange = exchange

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._respond(request)
        except TimeoutError:
            reason = f"no connection within {CONNECT_SECONDS:g} s"
        except (OSError, BrokenError, ValueError) as error:
            reason = str(error)
        return httpx2.Response(
            HTTPStatus.BAD_GATEWAY,
            headers={"content-type": "application/json"},
            content=self._exchange.failure(reason),
            request=request,
        )

    async def _respond(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OURS}
        connection = await self._connections.request(
            request.method,
            str(request.url),
            {**headers, **self._exchange.headers()},
            await request.aread(),
            connect_seconds=CONNECT_SECONDS,
        )
        came = [*connection.raw_headers]
        if "text/event-stream" in connection.headers.get("content-type", ""):
            return httpx2.Response(connection.status, headers=came, stream=_Body(connection), request=request)
        body = await _whole(connection)
        if (instead := self._exchange.instead(request.headers, connection.status)) is not None:
            body, came = instead, [(b"content-type", b"application/json")]
        return httpx2.Response(connection.status, headers=came, content=body, request=request)


class _Body(httpx2.AsyncByteStream):
    """The body of a response, as it comes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while part := await self._connection.read():
                yield part
        except BrokenError as error:
            raise httpx2.ReadError(str(error)) from error

    @override
    async def aclose(self) -> None:
        self._connection.close()


async def _whole(connection: Connection) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        while part := await connection.read():
            parts.append(part)
            size += len(part)
            if size > MAX_RESPONSE_BYTES:
                raise ValueError(f"the response has more than {MAX_RESPONSE_BYTES} bytes")
    finally:
        connection.close()
    return b"".join(parts)
