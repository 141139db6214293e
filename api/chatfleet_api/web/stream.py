"""SSE streams: the events of one run to one client, a batch at a time, with heartbeats, while the client reads.

Headers wait for the first token (unless the encoder opens before it), so that a failure before it gets a true HTTP
status; a client that waits longer than a heartbeat gets its 200 with the heartbeat.

Two ways to write: `_write_at_once` (the server's `write_now`) for nearly all batches, without a wait; `_write` (ASGI
`send`) for the head, the end, heartbeats and clients that are slow.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Failed, Start
from chatfleet_api.domain.live import Live
from chatfleet_api.runs.log.interface import Moved
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web import extensions
from chatfleet_api.web.client import CLIENT_DISCONNECTED, COMPLETE, Client
from chatfleet_api.web.collect import as_error
from chatfleet_api.web.disconnect import ClientDisconnected, until_disconnect
from chatfleet_api.web.pacing import paced
from chatfleet_api.web.sse import CONTENT_TYPE, RECONNECT, Encoder
from chatfleet_contract.spec import Streaming

SEND_SECONDS: Final = 10.0
"""The connection of a client that takes nothing for this long (up to twice as long) is reset; no run waits for it."""

STREAM_HEADERS: Final = [
    (b"content-type", CONTENT_TYPE),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the stream back
]


MOVED: Final = "moved"

Read: TypeAlias = Callable[[int], AsyncGenerator[Batch, None]]
"""Reads a run from a sequence number on."""


class StreamMeter(Protocol):
    """Counts streams to clients."""

    def stream_ended(self, dialect: str, reason: str) -> None:
        """Count a stream; `reason` is `complete`, an error's code, `client_disconnected` or `moved`."""
        ...

    def stream_resumed(self, dialect: str) -> None:
        """Count a stream that begins after the last event that its client has seen."""
        ...


@dataclass(frozen=True)
class SSEStreams:
    """What all streams of a pod have in common."""

    streaming: Live[Streaming]
    meter: StreamMeter

    async def send(self, read: Read, encoder: Encoder, client: Client, *, after: int = 0, opening: bytes = b"") -> str:
        """Send what comes after event number `after` of a run to a client until one of them ends; return how it did.

        `opening` is sent at once, before there is an event.

        That is `complete`, `client_disconnected`, `moved` or an error's code. Raises `ChatError` while the HTTP status
        can still carry the error.
        """
        reason = CLIENT_DISCONNECTED
        if after:
            self.meter.stream_resumed(encoder.dialect)
        if self.streaming().token_delay_milliseconds:
            read = paced(read, lambda: self.streaming().token_delay_milliseconds / 1000)
        stream = SSEStream(encoder, client, streaming=self.streaming, after=after, opening=opening)
        try:
            reason = await until_disconnect(client.receive, stream.run(read))
        except ClientDisconnected:
            pass
        except ChatError as error:
            reason = error.code
            raise
        finally:
            self.meter.stream_ended(encoder.dialect, reason)
        return reason


class SSEStream:
    """One stream to one client."""

    def __init__(
        self, encoder: Encoder, client: Client, *, streaming: Live[Streaming], after: int, opening: bytes = b""
    ) -> None:
        self._encoder = encoder
        self._send = client.send
        self._abort = extensions.abort(client.scope)
        self._write_now = extensions.write_now(client.scope)
        self._grant = client.principal.grant
        self._revoked = self._grant is not None and self._grant.revoked
        self._streaming = streaming
        self._loop = asyncio.get_running_loop()
        self._held = opening
        self._after = after
        self._opened = False
        self._sending = False
        self._since = self._loop.time()

    async def run(self, read: Read) -> str:
        """Send what `read` yields until the run ends, and return how it did: `complete`, or the code of its failure.

        The connection of a client that takes nothing is reset, and the task that runs this is cancelled.

        Raises:
            ChatError: the run failed before anything was sent; an HTTP status can carry it.
        """
        heartbeat_due = False
        self._task: asyncio.Future[Any] = asyncio.current_task() or self._loop.create_future()
        self._timer = self._loop.call_later(min(self._streaming().heartbeat_seconds, SEND_SECONDS), self._tick)
        if self._grant:
            self._grant.watch(self._cut)
        try:
            if self._held and not self._revoked:
                await self._write(b"")
            while True:
                if self._revoked:
                    return await self._fail(ChatError(Code.CREDENTIAL_REVOKED))
                try:
                    async with asyncio.timeout(None) as self._silence:
                        if heartbeat_due:
                            await self._write(self._encoder.heartbeat)
                        return await self._follow(read)
                except TimeoutError:
                    if not self._silence.expired():
                        raise
                    heartbeat_due = True
        finally:
            self._timer.cancel()
            if self._grant:
                self._grant.forget(self._cut)

    async def _follow(self, read: Read) -> str:
        try:
            async with aclosing(read(self._after)) as batches:
                async for batch in batches:
                    self._after = batch.last
                    last = batch.terminal
                    if self._opened or self._encoder.opens_before_first_token:
                        frames = self._encoder.encode(batch)
                        if last or not self._write_at_once(frames):
                            await self._write(frames, last=last)
                    else:
                        await self._open(batch)
                    if last:
                        event = batch.events[-1]
                        return event.code if isinstance(event, Failed) else COMPLETE
        except Moved:
            if not self._opened:
                raise
            await self._write(RECONNECT, last=True)
            return MOVED
        except ChatError as error:
            return await self._fail(error)
        return await self._fail(ChatError(Code.INTERRUPTED, detail="a run's events end without a terminal one"))

    async def _fail(self, error: ChatError) -> str:
        if not self._opened:
            raise error
        await self._write(self._encoder.error_frame(error), last=True)
        return error.code

    async def _open(self, batch: Batch) -> None:
        """Send the first batch, but hold a lone `Start`: until then a failure still gets its HTTP status."""
        last = batch.events[-1]
        if isinstance(last, Failed) and all(isinstance(event, Start | Failed) for event in batch.events):
            raise as_error(last)
        if isinstance(last, Start):
            self._held = self._encoder.encode(batch)
        else:
            await self._write(self._encoder.encode(batch), last=batch.terminal)

    def _write_at_once(self, frames: bytes) -> bool:
        """Return whether `frames` could be written at once, as nearly all can."""
        if not (self._opened and self._write_now(frames)):
            return False
        if not frames:
            return True
        self._since = self._loop.time()
        return True

    async def _write(self, frames: bytes, *, last: bool = False) -> None:
        self._since, self._sending = self._loop.time(), True
        if not self._opened:
            self._opened = True
            frames, self._held = self._held + frames, b""
            await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        await self._send({"type": "http.response.body", "body": frames, "more_body": not last})
        self._since, self._sending = self._loop.time(), False

    def _cut(self) -> None:
        """End the stream with an error: its credential is no longer valid."""
        self._revoked = True
        if self._sending:
            self._abort()
            self._task.cancel()
        elif not self._silence.expired():
            self._silence.reschedule(0)

    def _tick(self) -> None:
        """Send a heartbeat after a silence; reset the connection when the client takes nothing."""
        heartbeat = self._streaming().heartbeat_seconds
        limit = SEND_SECONDS if self._sending else heartbeat
        left = limit - (self._loop.time() - self._since)
        if left <= 0:
            if self._sending:
                self._abort()
                self._task.cancel()
                return
            if not self._silence.expired():
                self._silence.reschedule(0)
            left = heartbeat
        self._timer = self._loop.call_later(min(left, SEND_SECONDS), self._tick)
