"""The answer to one client who waits: opened early for a client that wants a stream, else as the pod gives it.

A stream that was opened here is still the pod's: what the pod sends follows byte for byte. Only an answer that is no
stream can then no longer be told by its status, and becomes the last event of the client's dialect.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.types import Message

from chatfleet_api.activator.pods import Answer
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web import extensions
from chatfleet_api.web.dialects.failures import Answered, error_frame, error_response, parse_error_response
from chatfleet_api.web.dialects.sse import HEARTBEAT
from chatfleet_api.web.disconnect import Client, ClientDisconnected
from chatfleet_api.web.middleware.request_id import HEADER, request_id
from chatfleet_api.web.stream import SEND_SECONDS, STREAM_HEADERS

T = TypeVar("T")

OPEN_SECONDS: Final = 0.1
"""How long a client that wants a stream waits for its status; after that it is 200, with a first heartbeat."""
NO_CONTENT: Final = 204
_SET_HERE: Final = frozenset({HEADER, b"date"})
"""Headers that the answer has already: the id is the one that the pod was asked with."""


class Reply:
    """One answer. Whatever sends raises `ClientDisconnected` when the client takes nothing, and has dropped it then."""

    def __init__(self, client: Client, *, streams: bool, heartbeat_seconds: float) -> None:
        self.passing = False
        """Whether what is sent is a pod's answer; it cannot become another one any more."""
        self._client = client
        self._path: str = client.scope["path"]
        self._streams = streams
        self._heartbeat = heartbeat_seconds
        self._opened = False

    async def patiently(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Wait; a client that wants a stream hears soon, and then regularly, that it is still being served."""
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

    async def pass_on(self, answer: Answer) -> None:
        """Send what a pod answers."""
        if self._opened and not _is_stream(answer):
            await self._instead_of_status(answer)
            return
        self.passing = True
        if not self._opened:
            await self._open(answer.status, [header for header in answer.headers if header[0] not in _SET_HERE])
        async for chunk in answer.chunks():
            await self._write(chunk)
        await self._write(b"", last=True)

    async def fail(self, error: ChatError) -> None:
        """Tell why there is no answer."""
        known = request_id(self._client.scope)
        if self._opened:
            await self._write(error_frame(error, self._path, known), last=True)
            return
        answered = error_response(error, self._path, known)
        await self._open(answered.status, answered.headers)
        await self._write(answered.body, last=True)

    def abort(self) -> None:
        """End it as a connection that breaks: nothing is pretended to be whole."""
        extensions.abort(self._client.scope)()

    async def _instead_of_status(self, answer: Answer) -> None:
        if answer.status == NO_CONTENT:
            await self._write(b"", last=True)
            return
        body = b"".join([chunk async for chunk in answer.chunks()])
        await self.fail(parse_error_response(Answered(answer.status, answer.headers, body)))

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


def _is_stream(answer: Answer) -> bool:
    kind = next((value for name, value in answer.headers if name == b"content-type"), b"")
    return answer.status == 200 and kind.startswith(b"text/event-stream")  # noqa: PLR2004  # OK
