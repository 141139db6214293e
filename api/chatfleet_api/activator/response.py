"""The response to a client that waits: opened early, with heartbeats, if it is to be a stream.

A stream that was opened here is relayed all the same, byte for byte. Only a response that is no stream has lost its
status by then, and becomes the last event of the client's dialect.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.types import Message

from chatfleet_api.activator.backend import ProxiedResponse
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web import extensions
from chatfleet_api.web.client import Client
from chatfleet_api.web.disconnect import ClientDisconnected
from chatfleet_api.web.errors import ErrorResponse, error_frame, error_response, parse_error_response
from chatfleet_api.web.middleware.request_id import HEADER
from chatfleet_api.web.sse import HEARTBEAT
from chatfleet_api.web.state import request_id
from chatfleet_api.web.stream import SEND_SECONDS, STREAM_HEADERS

T = TypeVar("T")

OPEN_SECONDS: Final = 0.1
"""Time that a client waits for the status of a stream; after that it is 200, with a first heartbeat."""
NO_CONTENT: Final = 204
_SET_HERE: Final = frozenset({HEADER, b"date"})
"""Headers that the response has already. Its request ID is the one of the proxied request."""


class ClientResponse:
    """One response. Sending raises `ClientDisconnected` when the client reads nothing, and its connection is reset."""

    def __init__(self, client: Client, *, streams: bool, heartbeat_seconds: float) -> None:
        self.relaying = False
        """Whether a pod's response is being sent; it cannot become an error any more."""
        self._client = client
        self._path: str = client.scope["path"]
        self._streams = streams
        self._heartbeat = heartbeat_seconds
        self._opened = False

    async def keep_alive_until(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Wait; a client that is to get a stream gets heartbeats meanwhile."""
        task = asyncio.ensure_future(awaited)
        pause = OPEN_SECONDS if self._streams else None
        try:
            while not (await asyncio.wait((task,), timeout=pause))[0]:
                await self._write(HEARTBEAT)
                pause = self._heartbeat
            return task.result()
        finally:
            if task.cancel():
                await asyncio.wait((task,))

    async def relay(self, response: ProxiedResponse) -> None:
        """Send a pod's response."""
        if self._opened and not _is_stream(response):
            await self._instead_of_status(response)
            return
        self.relaying = True
        if not self._opened:
            await self._open(response.status, [header for header in response.headers if header[0] not in _SET_HERE])
        async for chunk in response.chunks():
            await self._write(chunk)
        await self._write(b"", last=True)

    async def fail(self, error: ChatError) -> None:
        """Send why there is no response."""
        known = request_id(self._client.scope)
        if self._opened:
            await self._write(error_frame(error, self._path, known), last=True)
            return
        answered = error_response(error, self._path, known)
        await self._open(answered.status, answered.headers)
        await self._write(answered.body, last=True)

    def abort(self) -> None:
        """Reset the connection: nothing that is incomplete may look complete."""
        extensions.abort(self._client.scope)()

    async def _instead_of_status(self, response: ProxiedResponse) -> None:
        if response.status == NO_CONTENT:
            await self._write(b"", last=True)
            return
        body = b"".join([chunk async for chunk in response.chunks()])
        failed = ErrorResponse(response.status, response.headers, body)
        await self.fail(parse_error_response(failed, self._path))

    async def _open(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._opened = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _write(self, piece: bytes, *, last: bool = False) -> None:
        if not self._opened:
            await self._open(200, STREAM_HEADERS)
        await self._send({"type": "http.response.body", "body": piece, "more_body": not last})

    async def _send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._client.send(message)
        except TimeoutError:  # a client that takes nothing would not take the reason either
            self.abort()
            raise ClientDisconnected from None


def _is_stream(response: ProxiedResponse) -> bool:
    kind = next((value for name, value in response.headers if name == b"content-type"), b"")
    return response.status == 200 and kind.startswith(b"text/event-stream")  # noqa: PLR2004  # OK
