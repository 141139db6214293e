"""A client of an ASGI application without any socket: it asks, reads the answer, and may leave or stop reading."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast

from starlette.types import ASGIApp, Message

T = TypeVar("T")

JSON = {"content-type": "application/json"}


class Exchange:
    """One request and what comes of it."""

    def __init__(self, method: str, path: str, *, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        target, _, query = path.partition("?")
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
            "client": ("192.0.2.1", 50000),
            "server": ("192.0.2.2", 8000),
        }
        self.sent: list[Message] = []
        self.progress = asyncio.Condition()
        self.left = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.parts = [body[start : start + 65_536] for start in range(0, len(body), 65_536)] or [b""]
        self._whole, self._given = len(self.parts), 0

    async def receive(self) -> Message:
        """Give the request's body in parts; then nothing until the client leaves or, as in uvicorn, has its answer."""
        if self.parts:
            self._given += 1
            return {"type": "http.request", "body": self.parts.pop(0), "more_body": self._given < self._whole}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a piece of the answer, as soon as the client reads."""
        await self.reading.wait()
        self.sent.append(message)
        if self.complete:
            self.left.set()
        async with self.progress:
            self.progress.notify_all()

    async def until(self, text: bytes) -> None:
        """Return when `text` has come."""
        async with self.progress:
            await self.progress.wait_for(lambda: text in self.body)

    @property
    def status(self) -> int:
        """Status of the answer."""
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        """What has come of the answer's body."""
        return b"".join(message.get("body", b"") for message in self.sent if message["type"] == "http.response.body")

    @property
    def complete(self) -> bool:
        """Whether the answer has ended."""
        return bool(self.sent) and self.sent[-1].get("more_body") is False

    def json(self) -> Any:  # noqa: ANN401  # whatever was answered
        """Return the answer's body, parsed."""
        return json.loads(self.body)


async def ask(app: ASGIApp, exchange: Exchange) -> Exchange:
    """Send the request and wait for the whole answer."""
    await app(exchange.scope, exchange.receive, exchange.send)
    return exchange


@asynccontextmanager
async def asking(app: ASGIApp, exchange: Exchange) -> AsyncGenerator[asyncio.Task[None], None]:
    """Send the request and let the answer come meanwhile."""
    call = app(exchange.scope, exchange.receive, exchange.send)
    task = asyncio.ensure_future(cast("Any", call))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def post(path: str, body: object, **headers: str) -> Exchange:
    """Return a POST of `body` as JSON."""
    return Exchange("POST", path, body=json.dumps(body).encode(), headers=JSON | headers)


def get(path: str, **headers: str) -> Exchange:
    """Return a GET."""
    return Exchange("GET", path, headers=headers)


async def each(*items: T) -> AsyncGenerator[T, None]:
    """Yield `items`, as something that is waited for."""
    for item in items:
        yield item
