"""One HTTP client as ASGI shows it: whether it is still there, and what it is answered."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.body import require_json
from chatfleet_api.web.dialects.collect import CollectedCompletion, collect

T = TypeVar("T")


class ClientDisconnected(Exception):  # noqa: N818  # not an error: clients may leave
    """The client closed its connection, or takes nothing any more."""


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; raise `ClientDisconnected` when the client goes first or `work` is cancelled.

    `work` gets a task of its own, since it wakes for every token: waking a short stack costs less than a deep one.
    """
    task = asyncio.ensure_future(work)
    watching = True

    def ended(_: object) -> None:
        if watching:
            scope.reschedule(0)

    task.add_done_callback(ended)
    try:
        async with asyncio.timeout(None) as scope:
            await _left(receive)
    except TimeoutError:
        if not task.done():
            raise
    finally:
        watching = False
        if task.cancel():
            await asyncio.wait((task,))
    if task.cancelled():
        raise ClientDisconnected
    return task.result()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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

    async def whole(self, read: AsyncGenerator[Batch, None]) -> CollectedCompletion:
        """Wait for the end of a run; raises `ChatError` when it fails, `ClientDisconnected` when nobody waits."""
        return await until_disconnect(self.receive, _whole(read))

    async def respond(self, body: bytes) -> None:
        """CollectedCompletion 200 with a JSON body."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def _whole(read: AsyncGenerator[Batch, None]) -> CollectedCompletion:
    async with aclosing(read) as batches:
        return await collect(batches)
