"""A server on loopback that plays an upstream: it answers each request by a script, and remembers what it saw.

It speaks HTTP/1.1 on a bare socket, so that a script can break every rule of it.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

EVENT_STREAM = "text/event-stream; charset=utf-8"
_FRAMES = "application/vnd.amazon.eventstream"
BY_PATH = {"/converse-stream": _FRAMES, "/invoke-with-response-stream": _FRAMES}
"""Content types of streams, by the end of the path of their request."""
APART_SECONDS = 0.002
"""Between two sends, so that the client reads them apart."""
GRACE_SECONDS = 0.5


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `headers` have lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  # whatever was sent
        """Return the decoded body."""
        return msgspec.json.decode(self.body)


class Reply:
    """The server's end of one exchange, in the hands of a script."""

    def __init__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Answer `request`."""
        self.request = request
        self._writer = writer

    async def raw(self, data: bytes) -> None:
        """Send `data` as it is, and let it go out before anything else."""
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(APART_SECONDS)

    async def head(self, status: int = 200, content_type: str | None = None, **headers: str) -> None:
        """Send the status and the headers of a chunked body, by default a stream; dashes are underscores."""
        if content_type is None:
            path = self.request.path.partition("?")[0]
            content_type = next((kind for end, kind in BY_PATH.items() if path.endswith(end)), EVENT_STREAM)
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def send(self, *data: bytes) -> None:
        """Send each of `data` as one chunk, all at once."""
        await self.raw(b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in data))

    async def trickle(self, data: bytes) -> None:
        """Send each byte of `data` as one chunk."""
        for byte in data:
            self._writer.write(b"1\r\n%c\r\n" % byte)
            await asyncio.sleep(0)

    async def end(self) -> None:
        """End the body as HTTP wants it."""
        await self.raw(b"0\r\n\r\n")

    async def hang(self) -> None:
        """Say nothing more until the client gives up."""
        await asyncio.Event().wait()

    def cut(self) -> None:
        """Reset the connection."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Handler: TypeAlias = Callable[[Reply], Awaitable[None]]


def playing(*steps: object) -> Handler:
    """Return a script: send bytes, pause for seconds, or `end`, `cut` or `hang`, after the head of an event stream."""

    async def script(reply: Reply) -> None:
        await reply.head()
        for step in steps:
            match step:
                case bytes():
                    await reply.send(step)
                case "end":
                    await reply.end()
                case "cut":
                    reply.cut()
                case "hang":
                    await reply.hang()
                case float():
                    await asyncio.sleep(step)  # the upstream's pause

    return script


@dataclass
class FakeUpstream:
    """What was asked of the server, and what it is to answer: the scripts in turn, the last one for ever."""

    url: str
    scripts: list[Handler] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    """Connections that are open now."""
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _abandoned: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    def answers(self, *scripts: Handler) -> None:
        """Answer by `scripts` from now on."""
        self.scripts = list(scripts)

    async def asked(self) -> None:
        """Return when a request has been read."""
        await self._asked.wait()

    async def abandoned(self, within: float = 3.0) -> None:
        """Return when a client has closed its connection in mid-answer; raise `TimeoutError` when none does soon."""
        await asyncio.wait_for(self._abandoned.wait(), within)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client closes it."""
        self.connections += 1
        self.open += 1
        self._serving.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def stop(self) -> None:
        """Wait shortly for the clients to close their connections, and close what remains."""
        if self._serving:
            await asyncio.wait(self._serving, timeout=GRACE_SECONDS)
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                first = await reader.readexactly(1)
                while first:
                    first = await self._exchange(first, reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _exchange(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Read a request that begins with `first`, answer it, and return the first byte of the next one."""
        request = await _read(first, reader)
        self.requests.append(request)
        self._asked.set()
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        playing = asyncio.ensure_future(script(Reply(request, writer)))
        coming = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((playing, coming), return_when=asyncio.FIRST_COMPLETED)
            reset = any(task.done() and isinstance(task.exception(), ConnectionError) for task in (playing, coming))
            if reset or (not playing.done() and not await coming):
                self._abandoned.set()
                return b""
            await playing
            return await coming
        finally:
            for task in (playing, coming):
                task.cancel()
            await asyncio.gather(playing, coming, return_exceptions=True)


async def _read(first: bytes, reader: asyncio.StreamReader) -> Request:
    start, *lines = (first + await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    method, path, _ = start.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


@asynccontextmanager
async def fake_upstream(*scripts: Handler) -> AsyncIterator[FakeUpstream]:
    """Serve `scripts` on a free port of loopback."""
    fake = FakeUpstream("", list(scripts))
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    fake.url = f"http://{host}:{port}"
    try:
        yield fake
    finally:
        server.close()
        await fake.stop()
        await server.wait_closed()
