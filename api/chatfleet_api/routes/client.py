"""One HTTP client as ASGI shows it: whether it is still there, and what it is answered."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from chatfleet_api.chat.events import Batch
from chatfleet_api.dialects.answer import Answer, collect
from chatfleet_api.dialects.reading import require_json


class ClientLeft(Exception):  # noqa: N818  # not an error: clients may leave
    """The client went away, or reads no more."""


@asynccontextmanager
async def connected(receive: Receive) -> AsyncGenerator[asyncio.Timeout, None]:
    """Cancel the block and raise `ClientLeft` when the client goes away, or when somebody expires the yielded scope."""
    try:
        async with asyncio.timeout(None) as scope:
            watch = asyncio.ensure_future(_watch(receive, scope))
            try:
                yield scope
            finally:
                watch.cancel()
    except TimeoutError:
        if scope.expired():
            raise ClientLeft from None
        raise


async def _watch(receive: Receive, scope: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    expire(scope)


def expire(scope: asyncio.Timeout) -> None:
    """Let `scope` time out now, unless it already did."""
    if not scope.expired():
        scope.reschedule(0)


@dataclass(frozen=True)
class Client:
    """One request, and who sent it."""

    scope: Scope
    receive: Receive
    send: Send

    def header(self, name: bytes) -> str | None:
        """Return the value of a header of the request, None when it was not sent."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), None)

    async def body(self) -> bytes:
        """Return the body, which `BodyLimit` has read already; raises `ChatError` unless it is declared as JSON."""
        require_json(self.header(b"content-type"))
        message = await self.receive()
        return bytes(message["body"])

    async def whole(self, read: AsyncGenerator[Batch, None]) -> Answer:
        """Wait for the end of a run; raises `ChatError` when it fails and `ClientLeft` when nobody waits any more."""
        async with connected(self.receive), aclosing(read) as batches:
            return await collect(batches)

    async def respond(self, body: bytes) -> None:
        """Answer 200 with a JSON body."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
