"""What our server writes at once, and what has to wait: without a socket."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from typing_extensions import override
from uvicorn.server import ServerState

from chatfleet_api.server.protocol import Protocol
from chatfleet_api.web.extensions import WRITE


class Wire(asyncio.Transport):
    """A client's connection; remembers what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    @override
    def write(self, data: Any) -> None:
        self.written += data

    @override
    def is_closing(self) -> bool:
        return False

    @override
    def close(self) -> None:
        """Do nothing: no test looks."""


class Server:
    """A connection on which a request came, whose answer a test gives."""

    def __init__(self) -> None:
        self.asked: asyncio.Future[tuple[Scope, Send]] = asyncio.get_running_loop().create_future()
        config = uvicorn.Config(self, log_config=None, lifespan="off", ws="none")
        config.load()
        self.protocol = Protocol(config, ServerState(), {}, asyncio.get_running_loop())
        self.wire = Wire()
        self.protocol.connection_made(self.wire)
        self.protocol.data_received(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's
        self.asked.set_result((scope, send))
        await asyncio.Event().wait()

    async def begin(self, *headers: tuple[bytes, bytes]) -> tuple[Callable[[bytes], bool], Send]:
        """Send the head of an answer; return what writes at once, and what waits."""
        scope, send = await self.asked
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        self.wire.written = b""
        return scope["extensions"][WRITE]["call"], send


@pytest.fixture
async def server() -> Server:
    return Server()


async def test_a_piece_is_written_as_a_chunk(server: Server) -> None:
    write, _ = await server.begin()
    assert write(b"x" * 17)
    assert server.wire.written == b"11\r\n" + b"x" * 17 + b"\r\n"


async def test_an_empty_piece_does_not_end_the_body(server: Server) -> None:
    write, _ = await server.begin()
    assert write(b"")
    assert not server.wire.written


async def test_nothing_is_written_before_the_head(server: Server) -> None:
    scope, _ = await server.asked
    assert not scope["extensions"][WRITE]["call"](b"x")
    assert not server.wire.written


async def test_a_client_that_does_not_keep_up_is_waited_for(server: Server) -> None:
    write, _ = await server.begin()
    server.protocol.pause_writing()
    assert not write(b"x")
    assert not server.wire.written
    server.protocol.resume_writing()
    assert write(b"x")


async def test_nothing_is_written_to_who_has_left(server: Server) -> None:
    write, _ = await server.begin()
    server.protocol.connection_lost(None)
    assert not write(b"x")
    assert not server.wire.written


async def test_nothing_follows_the_end_and_no_length_is_exceeded(server: Server) -> None:
    write, send = await server.begin((b"content-length", b"1"))
    assert not write(b"xx")
    await send({"type": "http.response.body", "body": b"x"})
    assert not write(b"x")
    assert server.wire.written == b"x"
