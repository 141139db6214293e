"""The API pods as the waiting room sees them: through their own Service, at whichever it leads to.

By the Service's address and never by the pods' own in DNS: resolvers remember for half a minute who is gone, and that
nobody was there. Every connection is a new one, so that it leads to a pod that is there now.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

import aiohttp

from chatfleet_api.waiting_room.room import Room
from chatfleet_contract.report import PodReport

LOOK_SECONDS: Final = 0.5
"""Time between two looks for a pod."""
CONNECT_SECONDS: Final = 2.0

_BROKEN: Final = (aiohttp.ClientError, RuntimeError)
"""What reading a body raises when its connection broke: aiohttp raises the bare one if nobody was reading just then."""
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

    def __init__(self, session: aiohttp.ClientSession, url: str, health_url: str) -> None:
        """Ask over `session`, which remains its owner's to close."""
        self._session = session
        self._url = url
        self._health_url = health_url

    async def there(self) -> bool:
        """Look whether a pod takes requests and is to stay. One that is ending leads nobody but itself."""
        try:
            timeout = aiohttp.ClientTimeout(total=CONNECT_SECONDS)
            async with self._session.get(f"{self._health_url}/health", timeout=timeout) as response:
                told = PodReport.model_validate_json(await response.read())
                return response.status == HTTPStatus.OK and not told.draining
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    @asynccontextmanager
    async def ask(self, asked: Asked) -> AsyncIterator["AnswerOverHTTP"]:
        """Pass a request on, byte for byte."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        try:
            response = await self._session.request(
                asked.method,
                self._url + asked.target,
                headers=[(name.decode(), value.decode(errors="replace")) for name, value in asked.headers],
                data=asked.body or None,
                timeout=timeout,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NobodyThereError from error
        except aiohttp.ClientError as error:
            raise CutOffError from error
        try:
            yield AnswerOverHTTP(response)
        finally:
            response.close()


@asynccontextmanager
async def open_pods(url: str, health_url: str) -> AsyncIterator[PodsOverHTTP]:
    """Yield the pods behind a Service; nothing is added to what is asked, and nothing read into what is answered."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    ) as session:
        yield PodsOverHTTP(session, url, health_url)


class AnswerOverHTTP:
    """`Answer` at the other end of a connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers = end_to_end(response.raw_headers)
        self._response = response

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Read the body as it comes."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except _BROKEN as error:
            raise CutOffError from error
