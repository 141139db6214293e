"""The client: asks in any dialect, notes everything that comes and when, and leaves when its patience ends."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Literal, TypeAlias

import aiohttp
import msgspec
from aiohttp import AddrInfoType

from chaos.reception import NativeReading, OpenAIReading, Reading, Reception
from chaos.script import Script
from chaos.sse import EventParser

DialectName: TypeAlias = Literal["native", "openai", "openai-whole"]
"""A message in a conversation; a chat completion, streamed; the same, not streamed."""
DIALECTS: tuple[DialectName, ...] = ("native", "openai", "openai-whole")
STREAMED: tuple[DialectName, ...] = ("native", "openai")

PATIENCE = 30.0
"""Seconds that a client waits for the end of an answer, if nothing else is said."""


@dataclass(frozen=True)
class Question:
    """A script to ask for, of a model, in a dialect."""

    script: Script
    model: str
    dialect: DialectName = "openai"
    conversation: str | None = None
    """Native dialect: the conversation to ask in; None: a new one."""

    def body(self) -> Mapping[str, object]:
        """Return what is sent."""
        if self.dialect == "native":
            return {"content": self.script.question, "model": self.model, "stream": True}
        messages = [{"role": "user", "content": self.script.question}]
        return {"model": self.model, "messages": messages, "stream": self.dialect == "openai"}


class Message(msgspec.Struct, frozen=True):
    """A message of a conversation, as far as the harness cares."""

    role: str
    content: str
    status: str


class _Messages(msgspec.Struct):
    messages: list[Message]


class RefusedError(Exception):
    """A conversation was not begun."""

    def __init__(self, reception: Reception) -> None:
        super().__init__(reception.ends)
        self.reception = reception


class Client:
    """Asks pods by their URLs, each question over a connection of its own."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, url: str, question: Question, *, patience: float = PATIENCE) -> Reception:
        """Ask, and return what came; leave after `patience` seconds."""
        reception = Reception(asked=monotonic())
        try:
            async with asyncio.timeout(patience):
                await self._receive(url + await self._path(url, question), question, reception)
        except RefusedError as refused:
            reception = refused.reception
        except aiohttp.ClientError:
            reception.closing = "broken"
        except TimeoutError:
            pass  # the end never came
        reception.ended = monotonic()
        return reception

    async def reaches(self, url: str) -> bool:
        """Return whether something takes connections there."""
        try:
            async with self._session.get(url):
                return True
        except aiohttp.ClientError:
            return False

    async def messages(self, url: str, conversation: str) -> list[Message]:
        """Return what is kept of a conversation; raises `aiohttp.ClientError` when that cannot be had."""
        path = f"{url}/api/v1/conversations/{conversation}/messages"
        async with self._session.get(path, raise_for_status=True) as response:
            return msgspec.json.decode(await response.read(), type=_Messages).messages

    async def hold(self, url: str, question: Question) -> None:
        """Ask by a chat completion, and never read the answer; returns when cancelled."""
        async with self._session.post(f"{url}/v1/chat/completions", json=question.body()):
            await asyncio.Event().wait()

    async def converse(self, url: str) -> str:
        """Begin a conversation, and return its id; raises `RefusedError`."""
        refusal = Reception(asked=monotonic())
        async with self._session.post(f"{url}/api/v1/conversations", json={}) as response:
            if response.status == HTTPStatus.CREATED:
                conversation: str = (await response.json())["id"]
                return conversation
            await _note_whole(response, NativeReading(), refusal)
        raise RefusedError(refusal)

    async def _path(self, url: str, question: Question) -> str:
        if question.dialect != "native":
            return "/v1/chat/completions"
        conversation = question.conversation or await self.converse(url)
        return f"/api/v1/conversations/{conversation}/messages"

    async def _receive(self, url: str, question: Question, reception: Reception) -> None:
        reading: Reading = NativeReading() if question.dialect == "native" else OpenAIReading()
        async with self._session.post(url, json=question.body()) as response:
            if response.content_type != "text/event-stream":
                await _note_whole(response, reading, reception)
                return
            reception.status = response.status
            events = EventParser()
            async for data in response.content.iter_any():
                now = monotonic()
                for event in events.feed(data):
                    if piece := reading.take(event, reception):
                        reception.pieces.append(piece)
                        reception.times.append(now)
            reception.closing = "clean"


async def _note_whole(response: aiohttp.ClientResponse, reading: Reading, reception: Reception) -> None:
    reception.status = response.status
    reception.retry_after = response.headers.get("Retry-After")
    reading.whole(await response.read(), reception)
    reception.closing = "clean"


@asynccontextmanager
async def open_client(*, receive_buffer: int | None = None) -> AsyncIterator[Client]:
    """Open a client that has no limits of its own; its connections take in `receive_buffer` bytes unread."""

    def connection_for(address: AddrInfoType) -> socket.socket:
        connection = socket.socket(*address[:3])
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        return connection

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=connection_for),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        trust_env=False,
    ) as session:
        yield Client(session)
