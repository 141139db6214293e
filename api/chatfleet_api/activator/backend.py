"""The API pods as the activator reaches them: through their own Service, which picks one.

By the Service's address and never by the pods' own in DNS: resolvers cache for half a minute which pods there were, and
that there was none. Every connection is a new one, so that it leads to a pod that is ready now.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from chatfleet_api.http.connection import BrokenError, Connection
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.hosts import Hosts
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.http.urls import parse_url
from chatfleet_contract.names import PATH_HEALTH
from chatfleet_contract.report import PodReport

CONNECT_SECONDS: Final = 2.0

_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect")
)
"""Headers of one connection, which a proxy does not forward."""


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return `headers` without those of the connection, with their names in lower case."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in _HOP_BY_HOP]


class NoPodError(Exception):
    """No pod accepted the request, and none has seen it."""


class ConnectionLostError(Exception):
    """The connection to the pod broke, and the fate of the request is unknown."""


class ProxiedRequest(NamedTuple):
    """A request, as it came."""

    method: str
    target: str
    """Path and query, as they were sent."""
    headers: list[tuple[bytes, bytes]]
    body: bytes


_READINESS: Final = ProxiedRequest("GET", PATH_HEALTH, [], b"")


class ProxiedResponse(Protocol):
    """A pod's response. Reading it raises `ConnectionLostError` when it is not whole."""

    status: int
    headers: list[tuple[bytes, bytes]]

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Read the body as it comes."""
        ...


class Backend(Protocol):
    """The API pods."""

    async def ready(self) -> bool:
        """Return whether a pod accepts requests and is not about to end."""
        ...

    def send(self, request: ProxiedRequest) -> AbstractAsyncContextManager[ProxiedResponse]:
        """Proxy a request; raises `NoPodError` or `ConnectionLostError`. It ends with the block."""
        ...


class HTTPBackend:
    """`Backend` behind a Service."""

    def __init__(self, url: str, health_url: str) -> None:
        """Proxy to `url`, and check readiness at `health_url`: each a scheme, a host and a port."""
        hosts = Hosts.of(parse_url(each)[0].host for each in (url, health_url))
        self._connections = ConnectionPool(Dialer(Egress(allow=hosts)))  # none is ever released to it for reuse
        self._url = url
        self._health_url = health_url

    async def ready(self) -> bool:
        """Return whether a pod accepts requests and is not about to end: requests would soon need another one."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS), self._open(self._health_url, _READINESS) as response:
                report = PodReport.model_validate_json(b"".join([piece async for piece in response.chunks()]))
        except (NoPodError, ConnectionLostError, TimeoutError, ValueError):
            return False
        return response.status == HTTPStatus.OK and not report.draining

    def send(self, request: ProxiedRequest) -> AbstractAsyncContextManager["HTTPResponse"]:
        """Proxy a request, byte for byte."""
        return self._open(self._url, request)

    @asynccontextmanager
    async def _open(self, url: str, request: ProxiedRequest) -> AsyncIterator["HTTPResponse"]:
        origin, host, _ = parse_url(url)
        try:
            connection = await self._connections.send(origin, _encode(request, host), connect_seconds=CONNECT_SECONDS)
        except OSError as error:
            raise NoPodError from error
        except BrokenError as error:
            raise ConnectionLostError from error
        with closing(connection):
            yield HTTPResponse(connection, bodiless=request.method == "HEAD")


class HTTPResponse:
    """`ProxiedResponse` of a connection. `bodiless`: its headers announce a body that does not follow (HEAD)."""

    def __init__(self, connection: Connection, *, bodiless: bool) -> None:
        self.status = connection.status
        self.headers = end_to_end(connection.raw_headers)
        self._connection = connection
        self._bodiless = bodiless

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Read the body as it comes."""
        try:
            while not self._bodiless and (piece := await self._connection.read()):
                yield piece
        except BrokenError as error:
            raise ConnectionLostError from error


def _encode(request: ProxiedRequest, host: str) -> bytes:
    """Return the request as it came, for a connection of its own. No line has a break in it: the request was parsed."""
    headers = [*request.headers, (b"connection", b"close")]
    if all(name != b"host" for name, _ in request.headers):
        headers.append((b"host", host.encode()))
    if request.body:
        headers.append((b"content-length", b"%d" % len(request.body)))
    lines = [
        f"{request.method} {request.target} HTTP/1.1".encode("latin-1"),
        *(b"%b: %b" % header for header in headers),
    ]
    return b"\r\n".join([*lines, b"", request.body])
