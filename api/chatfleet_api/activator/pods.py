"""The API pods as the waiting room sees them: through their own Service, at whichever it leads to.

By the Service's address and never by the pods' own in DNS: resolvers remember for half a minute who is gone, and that
nobody was there. Every connection is a new one, so that it leads to a pod that is there now.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from chatfleet_api.activator.probes import Room
from chatfleet_api.http.connection import BrokenError, Connection
from chatfleet_api.http.pool import ConnectionPool, parsed
from chatfleet_contract.report import PodReport

LOOK_SECONDS: Final = 0.5
"""Time between two looks for a pod."""
CONNECT_SECONDS: Final = 2.0

_OWN: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect")
)
"""Headers that are about one connection and end with it."""


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return `headers` without those of the connection, with their names in lower case."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in _OWN]


class NobodyThereError(Exception):
    """No pod took the request, and none has seen it."""


class CutOffError(Exception):
    """The connection to the pod broke, and what became of the request is not known."""


class Asked(NamedTuple):
    """A request, as it came."""

    method: str
    target: str
    """Path and query, as they were sent."""
    headers: list[tuple[bytes, bytes]]
    body: bytes


_LOOK: Final = Asked("GET", "/health", [], b"")


class Answer(Protocol):
    """What a pod answers. Reading it raises `CutOffError` when it is not whole."""

    status: int
    headers: list[tuple[bytes, bytes]]

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Read the body as it comes."""
        ...


class Pods(Protocol):
    """The API pods."""

    async def there(self) -> bool:
        """Look whether a pod takes requests and is to stay."""
        ...

    def ask(self, asked: Asked) -> AbstractAsyncContextManager[Answer]:
        """Pass a request on; raises `NobodyThereError` or `CutOffError`. At the end of the block the pod is left."""
        ...


async def watch(pods: Pods, room: Room, arrival: asyncio.Event) -> None:
    """Keep `room` informed of whether there are pods, and `arrival` set while there are, until cancelled."""
    while True:
        there = await pods.there()
        room.look(pods=there)
        if there:
            arrival.set()
        else:
            arrival.clear()
        await asyncio.sleep(LOOK_SECONDS)


class PodsOverHTTP:
    """`Pods` behind a Service."""

    def __init__(self, url: str, health_url: str) -> None:
        """Ask at `url`, and look at `health_url`: each a scheme, a host and a port."""
        self._connections = ConnectionPool()  # none is ever left to it to be kept
        self._url = url
        self._health_url = health_url

    async def there(self) -> bool:
        """Look whether a pod takes requests and is to stay. One that is ending leads nobody but itself."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS), self._ask(self._health_url, _LOOK) as answer:
                told = PodReport.model_validate_json(b"".join([piece async for piece in answer.chunks()]))
        except (NobodyThereError, CutOffError, TimeoutError, ValueError):
            return False
        return answer.status == HTTPStatus.OK and not told.draining

    def ask(self, asked: Asked) -> AbstractAsyncContextManager["AnswerOverHTTP"]:
        """Pass a request on, byte for byte."""
        return self._ask(self._url, asked)

    @asynccontextmanager
    async def _ask(self, url: str, asked: Asked) -> AsyncIterator["AnswerOverHTTP"]:
        origin, host, _ = parsed(url)
        try:
            connection = await self._connections.send(origin, _written(asked, host), connect_seconds=CONNECT_SECONDS)
        except OSError as error:
            raise NobodyThereError from error
        except BrokenError as error:
            raise CutOffError from error
        with closing(connection):
            yield AnswerOverHTTP(connection, bodiless=asked.method == "HEAD")


class AnswerOverHTTP:
    """`Answer` at the other end of a connection. `bodiless`: its headers tell of a body that does not follow."""

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
            raise CutOffError from error


def _written(asked: Asked, host: str) -> bytes:
    """Return the request as it came, on a connection that ends with it. No line of it holds a break: it was parsed."""
    headers = [*asked.headers, (b"connection", b"close")]
    if all(name != b"host" for name, _ in asked.headers):
        headers.append((b"host", host.encode()))
    if asked.body:
        headers.append((b"content-length", b"%d" % len(asked.body)))
    lines = [f"{asked.method} {asked.target} HTTP/1.1".encode("latin-1"), *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join([*lines, b"", asked.body])
